"""Which row of a table belongs to which file: by name, and where that fails by the name as people rewrite it."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm"})


def file_id(path: str) -> str:
    """The file's name without its ending; bytes that are not UTF-8 as \\xNN."""
    return PurePosixPath(path).stem.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def path_id(path: str) -> str:
    """The file's path without its ending, for files whose names are not enough."""
    return (
        str(PurePosixPath(path).with_suffix("")).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    )


def match_ids(paths: Sequence[str], ids: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Finds for each file the id that a table has for it.

    The file's name without its ending is looked for first, then its path with it, then the name in another case, then
    with other leading zeros. What fits two ids fits none. An id that was found is not looked for by a looser rule.

    Args:
        paths: the files, relative to the source, with "/" between folders.
        ids: the ids of the table, which may have endings and folders.

    Returns:
        path -> id for the files that have one, and how those were found whose id is not the file's name, in phrases.
    """
    left, found, how = set(ids), dict[str, str](), Counter[str]()
    for name, keys_of_file, key_of_id in RULES:
        by_key = defaultdict(list)
        for table_id in left:
            by_key[key_of_id(table_id)].append(table_id)
        used = set()
        for path in paths:
            if path in found:
                continue
            fitting = [by_key[key] for key in keys_of_file(path) if key in by_key]
            if fitting and len(fitting[0]) == 1:
                found[path] = fitting[0][0]
                used.add(fitting[0][0])
                how[name] += 1
        left -= used
    return found, [f"{count:,} by {name}" for name, count in how.items() if name]


def pair_ids(ids: Sequence[str], others: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Finds for each id of an image the one in another table that names the same image.

    Looked for first as it is written, then without the ending of an image file and without case, then without folders
    (where one of the tables has none), then without leading zeros. What fits two ids fits none.

    Args:
        ids: of one table, each once.
        others: of the other, each once.

    Returns:
        id -> other id for those that have one, and how those were found that are not written alike, in phrases.
    """
    found = {name: name for name in set(ids).intersection(others)}
    how = []
    for phrase, key in _looser(ids, others):
        mine, theirs = (
            [name for name in names if name not in done]
            for names, done in ((ids, found), (others, set(found.values())))
        )
        keys = [Counter(map(key, names)) for names in (mine, theirs)]
        by_key = {key(name): name for name in theirs}
        new = {name: by_key[key(name)] for name in mine if keys[0][key(name)] == 1 == keys[1].get(key(name))}
        how += [f"{len(new):,} {phrase}"] if new else []
        found |= new
    return found, how


def comparable_id(name: str, *, folders: bool = True) -> str:
    """An image's id without the ending of an image file and without case, so that two spellings of one name are equal.

    Args:
        name: as a table writes it.
        folders: whether those before the name count.
    """
    folder, _, last = _slashes(name).casefold().rpartition("/")
    stem, _, ending = last.rpartition(".")  # for millions of ids, which a path for each would slow down
    last = stem if stem and f".{ending}" in ENDINGS else last
    return f"{folder}/{last}" if folders and folder else last


def _looser(ids: Sequence[str], others: Sequence[str]) -> Iterator[tuple[str, Callable[[str], str]]]:
    yield "without ending and case", comparable_id
    if any("/" in _slashes(name) for name in ids) and any("/" in _slashes(name) for name in others):
        return
    yield "without folder, ending and case", lambda name: comparable_id(name, folders=False)
    yield "without leading zeros", lambda name: _without_zeros(comparable_id(name, folders=False))


def _ends_of_path(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[i:]) for i in range(len(parts))]


def _slashes(table_id: str) -> str:
    return table_id.replace("\\", "/").removeprefix("./")


def _name(table_id: str) -> str:
    name = PurePosixPath(_slashes(table_id))
    return (name.stem if name.suffix.lower() in ENDINGS else name.name).casefold()


def _without_zeros(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


_Rule = tuple[str, Callable[[str], list[str]], Callable[[str], str]]
RULES: Final[tuple[_Rule, ...]] = (
    ("", lambda path: [file_id(path)], lambda table_id: table_id),
    ("the name with its ending", _ends_of_path, _slashes),
    ("the name without ending, folder and case", lambda path: [file_id(path).casefold()], _name),
    (
        "the name without leading zeros",
        lambda path: [_without_zeros(file_id(path).casefold())],
        lambda table_id: _without_zeros(_name(table_id)),
    ),
)
