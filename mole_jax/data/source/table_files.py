"""Which files of a source are tables, and what to say of those that were not used."""

from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from mole_jax.data.records import Quarantined, Split
from mole_jax.data.source.tables import column_names
from mole_jax.data.source.tree import Tree
from mole_jax.errors import UserError
from mole_jax.vocabulary.identity import match_ids
from mole_jax.vocabulary.words import SPLIT_WORDS, plain

TABLE_SUFFIXES: Final = ("", ".csv", ".tab", ".tsv", ".txt")
# Endings that nothing but a table has.
SURE_SUFFIXES: Final = (".csv", ".tab", ".tsv")
# Endings of what spreadsheets and notebooks write instead, and nothing here reads.
OTHER_TABLES: Final = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".json", ".jsonl", ".pkl")
# What the public sets call the columns, in lower case; of several the first is taken.
ID_COLUMNS: Final = ("image_id", "image_name", "isic_id", "image", "img_id")
GROUP_COLUMNS: Final = ("lesion_id", "patient_id")
NAMED: Final = 5


def may_be_a_table(path: str) -> bool:
    """Whether a file's ending is that of a table as text."""
    return PurePosixPath(path).suffix.lower() in TABLE_SUFFIXES[1:]


def tables_seen(tree: Tree) -> list[str]:
    """The files that may be tables of images: a table's ending and at least two columns."""
    return [path for path in tree.files if may_be_a_table(path) and len(column_names(tree.root / path)) > 1]


def has_header(tree: Tree, path: str) -> bool:
    """Whether a table's first line has the names of its columns, and not already an image of the source."""
    first = column_names(tree.root / path)
    return not first or not match_ids([one for one in tree.files if one != path], first[:1])[0]


def split_of_table(path: str) -> Split | None:
    """The one split that a table's name tells: test for ISIC2018_Task3_Test_GroundTruth.csv."""
    splits = {SPLIT_WORDS[word] for word in plain(PurePosixPath(path).stem).split() if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None


def splits_of_tables(paths: Collection[str]) -> dict[str, Split]:
    """The split of each of several tables of one form, where their names tell one each and training is among them."""
    found = {path: split for path in paths if (split := split_of_table(path)) is not None}
    several = len(found) == len(paths) > 1 and len(set(found.values())) == len(paths)
    return found if several and "train" in found.values() else {}


def named(paths: Iterable[str]) -> str:
    """The paths for a sentence."""
    return " and ".join(paths)


def passed_over(tree: Tree, used: Collection[str]) -> list[str]:
    """A sentence that names the tables beside the images that were not used; none where there is no such table."""
    suffixes = {*SURE_SUFFIXES, *OTHER_TABLES}
    others = [path for path in tree.files if PurePosixPath(path).suffix.lower() in suffixes and path not in used]
    if not others:
        return []
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    return [f"not used: {', '.join(others[:NAMED])}{more}; --table=FILE reads a table"]


def why_not_used(path: str, reason: str) -> Quarantined:
    """The quarantine's entry of a file that is no example: a table is called one."""
    of_table = PurePosixPath(path).suffix.lower() in SURE_SUFFIXES
    return Quarantined(path, "a table that was not used" if of_table else reason)


def asked_tables(tree: Tree, given: str) -> list[tuple[Path, str]]:
    """Where the tables lie that the user names, each with its path below the source, "" if it lies elsewhere.

    Args:
        tree: the source.
        given: the path of a table, from here or from the source, or several with commas between them.

    Raises:
        UserError: one of them lies neither here nor in the source.
    """
    found = []
    for text in [given] if _find(tree, given) else given.split(","):
        if (path := _find(tree, text.strip())) is None:
            seen = ", ".join(tables_seen(tree)[:NAMED]) or "no table"
            raise UserError(f"--table={text.strip()} is no file, neither here nor in {tree.root}, which has {seen}")
        inside = path.relative_to(tree.root).as_posix() if path.is_relative_to(tree.root) else ""
        found.append((path, inside if inside in tree.files else ""))
    return found


def _find(tree: Tree, text: str) -> Path | None:
    asked = Path(text).expanduser()
    return next((path.resolve() for path in (asked, tree.root / asked) if path.is_file()), None)
