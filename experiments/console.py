"""What a command prints reaches people whatever their terminal is: any encoding, a closed pipe, odd names of files."""

import codecs
import os
import re
import sys
from typing import Any, Final, TextIO, cast

# What a terminal would obey instead of showing: control characters but for line feed and tab, and marks that turn the
# direction of writing. An image's name may hold them.
_OBEYED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Signs of our own that consoles without Unicode lack.
_PLAIN: Final = {
    "─": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "│": "|",
    "≥": ">=",
    "≤": "<=",
    "×": "x",
    "·": "*",
    "…": "...",
    "±": "+-",
}


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


codecs.register_error("plain", _in_plain_signs)


def visible(text: str) -> str:
    r"""A text with nothing in it that a terminal would obey: an escape character is shown as \x1b."""
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class Steady:
    """A text stream that shows what its encoding lacks in plain signs, and goes quiet when nobody reads it any more.

    So `command | head` still does all of its work, and a console of code page 1252 gets its table.
    """

    def __init__(self, stream: TextIO, *, guarded: bool) -> None:
        """Wraps a stream.

        Args:
            stream: to write to.
            guarded: whether control characters are shown instead of obeyed; progress bars need some.
        """
        self._stream = stream
        self._guarded = guarded

    def write(self, text: str) -> int:
        """Writes a text, as far as it can be shown."""
        shown = visible(text) if self._guarded else text
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(shown.encode(encoding, "plain").decode(encoding))
        except BrokenPipeError:
            self._go_quiet()
        return len(text)

    def flush(self) -> None:
        """Sends off what has been written."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._go_quiet()

    def _go_quiet(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def steady_streams() -> None:
    """Makes stdout and stderr steady; of the two, progress bars use stderr."""
    sys.stdout = cast(TextIO, Steady(sys.stdout, guarded=True))
    sys.stderr = cast(TextIO, Steady(sys.stderr, guarded=False))
