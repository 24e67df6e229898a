"""SHA256SUMS: which files of a folder are ours, and what each was when it was finished.

`sha256sum --check SHA256SUMS` reads it too. It has a section for each kind of thing that lies in the folder:

    # mole_jax run
    <digest>  config.json
    # unfinished: metrics.json

A file is listed before it is written and gets its digest when the whole section is finished. So what is listed is ours
and may be replaced, what is not is somebody else's and may not; and what has a digest is checked when it is read.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError
from mole_jax.files.changes import MARK, SUMS, is_ours
from mole_jax.files.digest import file_sha256
from mole_jax.files.writing import write_text

_UNFINISHED: Final = "# unfinished: "
_HEX: Final = frozenset("0123456789abcdef")
_LOCK: Final = ".lock"

Section = dict[str, str]  # name, relative to the folder -> SHA-256 in hex; "" until it is finished


def claim(folder: Path, kind: str, names: Iterable[str] = (), *, alone: bool = False, otherwise: str) -> None:
    """Makes files of a folder ours, before the first of them is written; makes the folder if need be.

    Files of the kind that were listed before stay listed; all of them count as unfinished from now on.

    Args:
        folder: where the files go.
        kind: of thing that they make up, one word, such as "run".
        names: of the files, relative to the folder.
        alone: whether the folder may hold nothing but what is ours, such as a run's.
        otherwise: what the user can do where it is somebody else's, such as "give another --out".

    Raises:
        UserError: as `refuse_foreign`, or it cannot be written. Nothing has been changed then.
    """
    names = list(names)
    sections = refuse_foreign(folder, kind, names, alone=alone, otherwise=otherwise)
    ours = sections.get(kind, {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, sections | {kind: dict.fromkeys([*ours, *names], "")})
    except OSError as error:
        raise UserError(f"cannot write into {str(folder)!r} ({error.strerror}); {otherwise}") from error


def refuse_foreign(
    folder: Path, kind: str, names: Iterable[str] = (), *, alone: bool = False, otherwise: str
) -> dict[str, Section]:
    """Checks what `claim` checks, and changes nothing; gives the folder's sections by kind.

    Raises:
        UserError: a file of such a name is there and is not of this kind, the folder is not ours, or a file stands
            where a folder must be.
    """
    _refuse_file(folder, otherwise)
    sections = _read(folder)
    if sections and alone and kind not in sections:
        raise UserError(f"{str(folder)!r} holds a {', a '.join(sections)}, not a {kind}; {otherwise}")
    if sections is None or (alone and kind not in sections and _holds_something(folder)):
        raise UserError(
            f"{str(folder)!r} holds files and no mark of mole_jax (a {SUMS} with the line {MARK + kind!r}), so it is "
            f"not known to be ours and nothing in it is touched; {otherwise}"
        )
    ours = sections.get(kind, {})
    for name in names:
        path = folder / name
        if name in ours or not os.path.lexists(path):
            continue
        of = next((other for other, section in sections.items() if name in section), None)
        whose = f"is part of a {of}" if of else "was not written by this command"
        raise UserError(f"{path} is there and {whose}: it is not replaced; {otherwise}, or move it elsewhere")
    return sections


def claims(folder: Path, kind: str) -> list[str]:
    """The files of a kind that are ours, finished or not."""
    return list((_read(folder) or {}).get(kind, {}))


def seal(folder: Path, kind: str) -> None:
    """Records the digest of each file of a kind, now that all are written; those that were not are no longer listed."""
    sections = _read(folder) or {}
    names = [name for name in sections[kind] if (folder / name).is_file()]
    _write(folder, sections | {kind: dict(zip(names, _digests(folder, names), strict=True))})


def seal_all(folder: Path, kind: str) -> None:
    """Records every file below a folder that is wholly ours; to be called once all of them are written."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (SUMS, _LOCK)
    )
    _write(folder, {kind: dict(zip(names, _digests(folder, names), strict=True))})


def strangers(folder: Path, kind: str) -> list[str]:
    """The files below a folder that is wholly ours that are not, relative to it; none where there is no folder."""
    ours = {*claims(folder, kind), SUMS, _LOCK}
    return sorted(
        name
        for name in (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
        if name not in ours
    )


def is_sealed(folder: Path, kind: str) -> bool:
    """Whether all files of a kind are finished."""
    section = (_read(folder) or {}).get(kind)
    return section is not None and all(section.values())


def verify(
    folder: Path, kind: str, required: Sequence[str] = (), *, only: Sequence[str] | None = None, again: str
) -> None:
    """Reads every file of a kind and compares its SHA-256. Files that were added since do not matter.

    A folder without digests (an older version made it, or it was copied without them) is logged as unverified.

    Args:
        folder: to check.
        kind: of thing that is in it.
        required: files that must be among them.
        only: the files to look at; None: all of them.
        again: what the user can do about damage.

    Raises:
        UserError: a file is missing or has changed, or the record itself is damaged; names the first such file.
    """
    if not os.path.lexists(folder / SUMS):
        logging.getLogger(__name__).warning(
            "%s has no %s (an older version made it, or it was copied without): damage to its files would not be "
            "noticed; %s",
            folder,
            SUMS,
            again,
        )
        return
    if fault := find_fault(folder, kind, required, only=only):
        raise UserError(f"{fault}; {again}")


def find_fault(folder: Path, kind: str, required: Sequence[str] = (), *, only: Sequence[str] | None = None) -> str:
    """What is wrong with the first file of a kind that is not as it was written, in words; "" where all are.

    Args:
        folder: that has digests.
        kind: of thing that is in it.
        required: files that must be among them.
        only: the files to look at; None: all of them.
    """
    try:
        sections = _sections(folder)
        if sections is None:  # as datasets had it before there were kinds
            sections = {kind: _parse_lines(folder, _text(folder / SUMS).splitlines())}
    except _Damaged as error:
        return str(error)
    if kind not in sections:
        return f"{folder / SUMS} has no line {MARK + kind!r}"
    section = {name: digest for name, digest in sections[kind].items() if only is None or name in only}
    if missing := [name for name in [*section, *required] if not (folder / name).is_file()]:
        return f"{folder / missing[0]} is missing"
    if unlisted := [name for name in required if not section.get(name)]:
        return f"{folder / SUMS} has no digest of {unlisted[0]}, which it should have"
    finished = [name for name, digest in section.items() if digest]
    for name, found in zip(finished, _digests(folder, finished), strict=True):
        if found != section[name]:
            return f"{folder / name} has changed since it was written (its SHA-256 differs)"
    return ""


class _Damaged(Exception):
    """SHA256SUMS cannot be read; the message says how."""


def _read(folder: Path) -> dict[str, Section] | None:
    """As `_sections`; damage is a UserError, with what can be done."""
    try:
        return _sections(folder)
    except _Damaged as error:
        raise UserError(f"{error}; restore it, or move the folder elsewhere") from error


def _sections(folder: Path) -> dict[str, Section] | None:
    """The sections; none where there is no file, and None where the file is somebody else's."""
    path = folder / SUMS
    if not os.path.lexists(path):
        return {}
    if path.is_symlink() or not is_ours(folder):
        return None
    sections: dict[str, Section] = {}
    for line in _text(path).splitlines():
        if line.startswith(MARK):
            kind = line.removeprefix(MARK)
            sections[kind] = {}
            continue
        sections[kind] |= _parse_lines(folder, [line])
    return sections


def _parse_lines(folder: Path, lines: Sequence[str]) -> Section:
    section: Section = {}
    for line in lines:
        if line.startswith(_UNFINISHED):
            digest, name = "", line.removeprefix(_UNFINISHED)
        else:
            digest, _, name = line.partition("  ")
            if len(digest) != 64 or not set(digest) <= _HEX or not name:
                raise _Damaged(f"{folder / SUMS} is damaged (the line {line[:80]!r})")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise _Damaged(f"{folder / SUMS} is damaged (it lists {name!r}, outside the folder)")
        section[name] = digest
    return section


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _Damaged(f"{path} is damaged ({error})") from error


def _write(folder: Path, sections: dict[str, Section]) -> None:
    lines: list[str] = []
    for kind, section in sections.items():
        lines.append(f"{MARK}{kind}\n")
        lines += [f"{digest}  {name}\n" if digest else f"{_UNFINISHED}{name}\n" for name, digest in section.items()]
    write_text(folder / SUMS, "".join(lines))


def _digests(folder: Path, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    with ThreadPoolExecutor(min(len(names), os.cpu_count() or 1)) as threads:  # hashing releases the interpreter lock
        return list(threads.map(file_sha256, [folder / name for name in names]))


def _holds_something(folder: Path) -> bool:
    """Whether there is anything but a lock in a folder."""
    return folder.is_dir() and any(entry.name != _LOCK for entry in folder.iterdir())


def _refuse_file(folder: Path, otherwise: str) -> None:
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            if not place.is_dir():
                raise UserError(f"{str(place)!r} is a file, not a folder; {otherwise}")
            return
