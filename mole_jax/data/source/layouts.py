"""The layouts that a source may have: which files are examples, and what is known of each."""

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from mole_jax.data.records import Quarantined, Record, Split
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.isic2018 import is_ground_truth, is_groupings, read_isic2018
from mole_jax.data.source.tables import MetadataTable, column_names, merge, metadata, read_table
from mole_jax.data.source.tree import Tree
from mole_jax.data.source.words import known
from mole_jax.errors import UserError

CLASS_FOLDERS: Final = {"notmelanoma": 0, "melanoma": 1}
SPLIT_FOLDERS: Final[dict[str, Split]] = {
    "train_sep": "train",
    "train": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
TABLE_SUFFIXES: Final = ("", ".csv", ".tab", ".tsv", ".txt")
# What the public sets call the columns, in lower case; of several the first is taken.
ID_COLUMNS: Final = ("image_id", "image_name", "isic_id", "image")
GROUP_COLUMNS: Final = ("lesion_id", "patient_id")


@dataclass(frozen=True)
class Candidates:
    """What a layout makes of a tree's files.

    Attributes:
        records: the files that may become examples; image_ids may still repeat.
        quarantined: the files that may not, each with its reason.
        without_image: the rows of the metadata table that have no image.
        tables: paths of the metadata tables, which are neither records nor quarantined.
        notes: what people should know of how the source was read, each a sentence.
    """

    records: list[Record]
    quarantined: list[Quarantined]
    without_image: list[Quarantined]
    tables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recognise(tree: Tree) -> list[str]:
    """The names of the layouts that fit, the most specific first."""
    found = []
    if any(_given_split(path) is not None for path in tree.files):
        found.append("kaggle")
    if _ham10000_tables(tree) or _isic2018_tables(tree):
        found.append("ham10000")
    if any(_class_of(path) is not None for path in tree.files):
        found.append("folder")
    return found


def _kaggle(tree: Tree, choices: Choices) -> Candidates:
    """train_sep|valid|test / Melanoma|NotMelanoma, the paper's data set."""
    del choices
    return _class_folders(tree, lambda path: "" if _given_split(path) else "not in a class folder of a split")


def _ham10000(tree: Tree, choices: Choices) -> Candidates:
    """Images anywhere, diagnosed by HAM10000_metadata or by the tables of the ISIC 2018 challenge.

    Where there are class folders, they must agree with the table.
    """
    table, tables = _read_ham10000(tree)
    table_path = tables[0]
    images = [path for path in tree.files if path not in tables]
    rows = {path: row for path in images if (row := table.rows.get(_image_id(path)))}
    choices.decisions.check((row["dx"] for row in rows.values()), f"column 'dx' of {table_path}")
    records, quarantined = [], []
    for path in images:
        image_id = _image_id(path)
        if (row := rows.get(path)) is None:
            reason = "contradictory rows" if image_id in table.contradictory else "no row"
            quarantined.append(Quarantined(path, f"{reason} in {table_path}"))
        elif (label := choices.decisions.label(row["dx"])) is None:
            quarantined.append(Quarantined(path, _no_diagnosis(row["dx"], table_path)))
        elif _class_of(path) not in (None, label):
            quarantined.append(Quarantined(path, f"its class folder contradicts dx={row['dx']} in {table_path}"))
        else:
            records.append(Record(path, image_id, label, _lesion(row, image_id), **metadata(row)))
    return Candidates(records, quarantined, _without_image(table_path, table.rows, set(map(_image_id, images))), tables)


def _no_diagnosis(diagnosis: str, table: str) -> str:
    words = f"the diagnosis is {diagnosis!r}, which says neither melanoma nor not melanoma,"
    return f"no diagnosis in {table}" if not diagnosis else f"{words} in {table}"


def _lesion(row: dict[str, str], image_id: str) -> str:
    """The row's lesion, the image's own id where it is unknown."""
    return known(row.get("lesion_id", "")) or image_id


def _read_ham10000(tree: Tree) -> tuple[MetadataTable, tuple[str, ...]]:
    """The table of diagnoses, and the paths of the files that it was read from."""
    if own := _ham10000_tables(tree):
        path = _one_table(tree, own)
        return read_table(tree.root / path, required=("image_id", "dx")), (path,)
    truth = _one_table(tree, _isic2018_tables(tree))
    if not (lists := [path for path in tree.files if path.lower().endswith(".csv") and is_groupings(tree.root / path)]):
        return read_isic2018(tree.root / truth, None), (truth,)
    lesions = _one_table(tree, lists)
    return read_isic2018(tree.root / truth, tree.root / lesions), (truth, lesions)


def _folder(tree: Tree, choices: Choices) -> Candidates:
    """Melanoma|NotMelanoma, whatever lies around them."""
    del choices
    candidates = _class_folders(tree, lambda path: "" if _class_of(path) is not None else "not in a class folder")
    records = [dataclasses.replace(record, given_split=None) for record in candidates.records]
    return dataclasses.replace(candidates, records=records)


def _class_folders(tree: Tree, why_not: Callable[[str], str]) -> Candidates:
    """Images labelled by their folders, grouped by every table beside them that has lesions or patients.

    Args:
        tree: the source.
        why_not: for a path the reason why its file is no example, "" if it is one.
    """
    table, tables = _groups(tree)
    named = " and ".join(tables)
    records, quarantined, seen, grouped = [], [], set(), 0
    for path in tree.files:
        if path in tables:
            continue
        label, image_id = _class_of(path), _image_id(path)
        seen.add(image_id)
        if reason := why_not(path):
            quarantined.append(Quarantined(path, reason))
        elif image_id in table.contradictory:
            quarantined.append(Quarantined(path, f"contradictory rows in {named}"))
        else:
            assert label is not None, "why_not has refused it"
            row = table.rows.get(image_id, {})
            grouped += bool(row)
            records.append(Record(path, image_id, label, _lesion(row, image_id), _given_split(path), **metadata(row)))
    notes = (f"lesions and patients of {grouped:,} of {len(records):,} images are from {named}",) if tables else ()
    return Candidates(records, quarantined, _without_image(named, table.rows, seen), tables, notes)


def _groups(tree: Tree) -> tuple[MetadataTable, tuple[str, ...]]:
    """What the tables say that have a column of ids and one of lesions or patients, and where these tables lie."""
    tables: list[MetadataTable] = []
    paths: list[str] = []
    for path in tree.files:
        if not _may_be_a_table(path) or _class_of(path) is not None:
            continue
        names = {name.casefold(): name for name in column_names(tree.root / path)}
        key = next((names[column] for column in ID_COLUMNS if column in names), None)
        if key and any(column in names for column in GROUP_COLUMNS):
            table = read_table(tree.root / path, required=(key,), key=key)
            rows = {name: {column.casefold(): text for column, text in row.items()} for name, row in table.rows.items()}
            tables.append(MetadataTable(rows, table.contradictory))
            paths.append(path)
    return merge(tables, GROUP_COLUMNS), tuple(paths)


# Which files are examples, by layout. `auto` tries them in the order of `recognise`.
LAYOUTS: Final[dict[str, Callable[[Tree, Choices], Candidates]]] = {
    "kaggle": _kaggle,
    "ham10000": _ham10000,
    "folder": _folder,
}
# What to say of a source that does not have the layout.
NEEDS: Final = {
    "kaggle": "folders train_sep, valid and test, in each Melanoma and NotMelanoma",
    "ham10000": "a table HAM10000_metadata.csv, or the ISIC 2018 challenge's one-hot ground truth",
    "folder": "folders Melanoma and NotMelanoma",
}


def _image_id(path: str) -> str:
    """The file's name without its ending; bytes that are not UTF-8 as \\xNN."""
    return PurePosixPath(path).stem.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _class_of(path: str) -> int | None:
    """The label of the innermost class folder."""
    labels = [CLASS_FOLDERS[part.lower()] for part in path.split("/")[:-1] if part.lower() in CLASS_FOLDERS]
    return labels[-1] if labels else None


def _given_split(path: str) -> Split | None:
    """The split folder right above a class folder."""
    parts = [part.lower() for part in path.split("/")[:-1]]
    splits = [SPLIT_FOLDERS[a] for a, b in itertools.pairwise(parts) if a in SPLIT_FOLDERS and b in CLASS_FOLDERS]
    return splits[-1] if splits else None


def _ham10000_tables(tree: Tree) -> list[str]:
    """Where HAM10000_metadata lies; Dataverse delivers it without an ending, or as .tab."""
    names = {f"ham10000_metadata{suffix}" for suffix in TABLE_SUFFIXES}
    return [path for path in tree.files if PurePosixPath(path).name.lower() in names]


def _isic2018_tables(tree: Tree) -> list[str]:
    """Where the challenge's one-hot tables lie, one for each of its splits."""
    return [path for path in tree.files if path.lower().endswith(".csv") and is_ground_truth(tree.root / path)]


def _may_be_a_table(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in TABLE_SUFFIXES[1:]


def _one_table(tree: Tree, tables: list[str]) -> str:
    if len(tables) > 1:
        raise UserError(
            f"{tree.root} holds {len(tables)} metadata tables, {' and '.join(tables[:2])}; "
            "keep the one that belongs to these images and move the others away"
        )
    return tables[0]


def _without_image(table: str, rows: dict[str, dict[str, str]], seen: set[str]) -> list[Quarantined]:
    return [Quarantined(table, f"row {image_id} has no image") for image_id in rows if image_id not in seen]
