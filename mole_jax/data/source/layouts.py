"""The layouts that a source may have: which files are examples, and what is known of each."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from mole_jax.data.records import Quarantined, Record
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.folders import ClassFolders
from mole_jax.data.source.isic2018 import is_ground_truth, is_groupings, read_isic2018
from mole_jax.data.source.tables import MetadataTable, column_names, merge, metadata, read_table
from mole_jax.data.source.tree import Tree
from mole_jax.errors import UserError
from mole_jax.vocabulary.identity import file_id, match_ids
from mole_jax.vocabulary.words import SPLIT_WORDS, is_unknown, known, plain

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
        one_image_an_id: whether a table says that files of one name are one image; else their bytes say.
    """

    records: list[Record]
    quarantined: list[Quarantined]
    without_image: list[Quarantined]
    tables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    one_image_an_id: bool = False


def recognise(tree: Tree, choices: Choices) -> list[str]:
    """The names of the layouts that fit, the most specific first."""
    if choices.table:
        return ["table"]
    found, folders = [], ClassFolders(tree.files, choices)
    if any(folders.split_of(path) is not None for path in tree.files):
        found.append("kaggle")
    if not choices.classes and (_ham10000_tables(tree) or _isic2018_tables(tree)):
        found.append("ham10000")
    if any(folders.class_of(path) is not None for path in tree.files):
        found.append("folder")
    return found


def _kaggle(tree: Tree, choices: Choices) -> Candidates:
    """train_sep|valid|test / Melanoma|NotMelanoma, the paper's data set."""
    folders = ClassFolders(tree.files, choices)
    return _class_folders(
        tree, folders, lambda path: "" if folders.split_of(path) else "not in a class folder of a split"
    )


def _folder(tree: Tree, choices: Choices) -> Candidates:
    """Melanoma|NotMelanoma, whatever lies around them."""
    folders = ClassFolders(tree.files, choices)
    candidates = _class_folders(
        tree, folders, lambda path: "" if folders.class_of(path) is not None else "not in a class folder"
    )
    records = [dataclasses.replace(record, given_split=None) for record in candidates.records]
    return dataclasses.replace(candidates, records=records)


def _class_folders(tree: Tree, folders: ClassFolders, why_not: Callable[[str], str]) -> Candidates:
    """Images labelled by their folders, grouped by every table beside them that has lesions or patients.

    Args:
        tree: the source.
        folders: its class folders.
        why_not: for a path the reason why its file is no example, "" if it is one.
    """
    table, tables = _groups(tree, folders)
    named = " and ".join(tables)
    images = [path for path in tree.files if path not in tables]
    usable = [path for path in images if not why_not(path)]
    ids, notes = _match(usable, table, named)
    records, quarantined = [], []
    for path in images:
        label, image_id = folders.class_of(path), file_id(path)
        if reason := why_not(path):
            quarantined.append(Quarantined(path, reason))
        elif ids.get(path) in table.contradictory:
            quarantined.append(Quarantined(path, f"contradictory rows in {named}"))
        else:
            assert label is not None, "why_not has refused it"
            row = table.rows[ids[path]] if path in ids else {}
            lesion = known(row.get("lesion_id", "")) or image_id
            records.append(Record(path, image_id, label, lesion, folders.split_of(path), **metadata(row)))
    if tables:
        notes.append(f"lesions and patients of {len(ids):,} of {len(usable):,} images are from {named}")
    if others := folders.others():
        notes.append(f"folders beside the class folders that are none: {others}; --classes says what they are")
    return Candidates(records, quarantined, _without_image(named, table, ids), tables, tuple(notes))


def _ham10000(tree: Tree, choices: Choices) -> Candidates:
    """Images anywhere, diagnosed by HAM10000_metadata or by the tables of the ISIC 2018 challenge.

    Where there are class folders, they must agree with the table.
    """
    table, tables = _read_ham10000(tree)
    return _diagnosed(tree, table, tables, choices, tables[0], "dx", ("lesion_id",))


def _table(tree: Tree, choices: Choices) -> Candidates:
    """Images anywhere, diagnosed by the table and the columns that the user names."""
    path, inside = table_path(tree, choices)
    names = column_names(path)
    wanted = [choices.label_column, *choices.group_columns, *filter(None, [choices.split_column])]
    key = choices.id_column or next((name for name in names if name.casefold() in ID_COLUMNS), "")
    if not key:
        raise UserError(
            f"{path} has none of the columns {', '.join(ID_COLUMNS)}; say with --id=COLUMN which of its columns "
            f"{', '.join(names)[:200]} has the image ids"
        )
    table = read_table(path, required=(key, *wanted), key=key)
    groups = choices.group_columns or tuple(column for column in GROUP_COLUMNS if column in names)
    candidates = _diagnosed(tree, table, inside, choices, path.name, choices.label_column, groups)
    by = (
        f"grouped by {' and '.join(groups)} of {path.name}"
        if groups
        else (
            f"{path.name} has no column lesion_id or patient_id, so each image is its own group; --group names others"
        )
    )
    return dataclasses.replace(candidates, notes=(*candidates.notes, by))


def table_path(tree: Tree, choices: Choices) -> tuple[Path, tuple[str, ...]]:
    """Where the user's table lies, and its path below the source, if it lies there.

    Raises:
        UserError: it lies neither here nor in the source.
    """
    asked = Path(choices.table).expanduser()
    path = asked if asked.is_file() else tree.root / asked
    if not path.is_file():
        seen = ", ".join(tables_seen(tree)[:5]) or "no table"
        raise UserError(f"--table={choices.table} is no file, neither here nor in {tree.root}, which has {seen}")
    path = path.resolve()
    inside = path.relative_to(tree.root).as_posix() if path.is_relative_to(tree.root) else ""
    return path, (inside,) if inside in tree.files else ()


def _diagnosed(
    tree: Tree,
    table: MetadataTable,
    tables: tuple[str, ...],
    choices: Choices,
    named: str,
    label_column: str,
    group_columns: Sequence[str],
) -> Candidates:
    """Images anywhere, diagnosed by a table."""
    folders = ClassFolders(tree.files, choices)
    images = [path for path in tree.files if path not in tables]
    ids, notes = _match(images, table, named)
    if len(ids) < len(images):
        notes.append(f"{len(ids):,} of {len(images):,} files have a row in {named}")
    rows = {path: table.rows[table_id] for path, table_id in ids.items() if table_id in table.rows}
    decisions = choices.decisions
    diagnoses = [row[label_column] for row in rows.values()]
    if other := decisions.only_other(diagnoses):
        notes.append(f"{other!r} in column {label_column!r} of {named} counts as not melanoma, the only other value")
        decisions = dataclasses.replace(decisions, negative=(*decisions.negative, other))
    decisions.check(diagnoses, f"column {label_column!r} of {named}")
    if choices.split_column:
        _check_split_words((row[choices.split_column] for row in rows.values()), choices.split_column, named)
    records, quarantined = [], []
    for path in images:
        image_id = file_id(path)
        if (row := rows.get(path)) is None:
            reason = "contradictory rows" if ids.get(path) in table.contradictory else "no row"
            quarantined.append(Quarantined(path, f"{reason} in {named}"))
        elif (label := decisions.label(row[label_column])) is None:
            quarantined.append(Quarantined(path, _no_diagnosis(row[label_column], named)))
        elif folders.class_of(path) not in (None, label):
            quarantined.append(
                Quarantined(path, f"its class folder contradicts {label_column}={row[label_column]} in {named}")
            )
        elif choices.split_column and is_unknown(row[choices.split_column]):
            quarantined.append(Quarantined(path, f"no split in {named}"))
        else:
            record = Record(path, image_id, label, image_id, **metadata(row | {"dx": row[label_column]}))
            if choices.split_column:
                record = dataclasses.replace(record, given_split=SPLIT_WORDS[plain(row[choices.split_column])])
            records.append(_grouped(record, row, group_columns))
    return Candidates(
        records, quarantined, _without_image(named, table, ids), tables, tuple(notes), one_image_an_id=True
    )


def _grouped(record: Record, row: dict[str, str], columns: Sequence[str]) -> Record:
    """The record with its lesion and its patient: the column with "patient" in its name is that, or else the second."""
    patient = next((column for column in columns if "patient" in column.casefold()), "".join(columns[1:2]))
    for column in columns:
        value = known(row.get(column, ""))
        if value and column == patient:
            record = dataclasses.replace(record, patient_id=value)
        elif value:
            record = dataclasses.replace(record, lesion_id=value)
    return record


def _check_split_words(texts: Iterable[str], column: str, named: str) -> None:
    if odd := sorted({text for text in texts if not is_unknown(text) and plain(text) not in SPLIT_WORDS}):
        raise UserError(
            f"column {column!r} of {named} has {', '.join(map(repr, odd[:5]))} among its splits; write train, "
            "validation and test, or leave --split out"
        )


def _no_diagnosis(diagnosis: str, table: str) -> str:
    words = f"the diagnosis is {diagnosis!r}, which says neither melanoma nor not melanoma,"
    return f"no diagnosis in {table}" if not diagnosis else f"{words} in {table}"


def _match(paths: Sequence[str], table: MetadataTable, named: str) -> tuple[dict[str, str], list[str]]:
    """Path -> id in the table, and what is to be said of it.

    Raises:
        UserError: the table has rows, and none of them belongs to any of the files.
    """
    ids = [*table.rows, *table.contradictory]
    found, how = match_ids(paths, ids)
    if ids and paths and not found:
        raise UserError(
            f"none of the {len(ids):,} ids in {named}, such as {ids[0]!r}, is the name of one of the {len(paths):,} "
            f"files, such as {paths[0]!r}; give the table of these images with --table=FILE, or move it away"
        )
    return found, [f"rows of {named} were found {', '.join(how)}"] if how else []


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


def _groups(tree: Tree, folders: ClassFolders) -> tuple[MetadataTable, tuple[str, ...]]:
    """What the tables say that have a column of ids and one of lesions or patients, and where these tables lie."""
    tables: list[MetadataTable] = []
    paths: list[str] = []
    for path in tree.files:
        if not _may_be_a_table(path) or folders.class_of(path) is not None:
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
    "table": _table,
}
# What to say of a source that does not have the layout.
NEEDS: Final = {
    "kaggle": "folders train_sep, valid and test, in each Melanoma and NotMelanoma",
    "ham10000": "a table HAM10000_metadata.csv, or the ISIC 2018 challenge's one-hot ground truth",
    "folder": "folders Melanoma and NotMelanoma",
    "table": "--table=FILE --id=COLUMN --label=COLUMN",
}


def refusal(tree: Tree, choices: Choices) -> str:
    """Why no layout fits: the tables and class-like folders that were seen, what they lack, and what would work."""
    said = (
        f"{len(tree.files)} files, but no HAM10000_metadata table, no ISIC 2018 ground truth and no folders Melanoma "
        "and NotMelanoma (optionally below train_sep, valid, test)"
    )
    if choices.classes:
        wanted = ", ".join(name for name, _ in choices.classes)
        said = f"{len(tree.files)} files, and none in a folder {wanted}"
    seen, ways = [], []
    for path in tables_seen(tree)[:3]:
        names = [name for name in column_names(tree.root / path) if name]
        by_name = {name.casefold(): name for name in names}
        seen.append(f"the table {path} with the columns {', '.join(names)[:200]}")
        key = next((by_name[name] for name in ID_COLUMNS if name in by_name), "COLUMN")
        label = next((by_name[name] for name in LABEL_COLUMNS if name in by_name), "COLUMN")
        groups = ",".join(by_name[name] for name in GROUP_COLUMNS if name in by_name)
        positive = " --positive=1" if label.casefold() in ("target", "melanoma", "label") else ""
        group = f" --group={groups}" if groups else ""
        ways.append(f'--table="{path}" --id={key} --label={label}{positive}{group}')
    folders = {
        name: n for name, n in ClassFolders(tree.files, choices).seen.most_common() if plain(name) not in SPLIT_WORDS
    }
    if folders:
        listed = list(folders)[:12]
        seen.append(f"the folders {', '.join(f'{name} ({folders[name]:,} files)' for name in listed)}")
        if len(folders) > 1:
            melanoma = [name for name in listed if plain(name) in ("malignant", "mel", "melanoma", "1")]
            classes = ",".join(f"{name}={int(name in melanoma) if melanoma else '?'}" for name in listed)
            more = " (malignant is more than melanoma)" if "malignant" in map(plain, listed) else ""
            ways.append(f'--classes="{classes}", with 1 for melanoma{more}')
    text = said + (f"; seen: {'; '.join(seen)}" if seen else "")
    return text + (f"; give {', or '.join(ways)}" if ways else "; give --table=FILE --id=COLUMN --label=COLUMN")


# Columns that public sets keep a diagnosis in, in lower case, the best first.
LABEL_COLUMNS: Final = ("dx", "diagnosis_3", "target", "melanoma", "diagnosis", "diagnostic", "label", "diagnosis_1")


def tables_seen(tree: Tree) -> list[str]:
    """The files that may be tables of images: a table's ending and at least two columns."""
    return [path for path in tree.files if _may_be_a_table(path) and len(column_names(tree.root / path)) > 1]


def _ham10000_tables(tree: Tree) -> list[str]:
    """Where HAM10000_metadata lies; Dataverse delivers it without an ending, or as .tab.

    Where no file has that name, a table with its columns is taken for it, whatever its name.
    """
    names = {f"ham10000_metadata{suffix}" for suffix in TABLE_SUFFIXES}
    if named := [path for path in tree.files if PurePosixPath(path).name.lower() in names]:
        return named
    return [
        path
        for path in tree.files
        if _may_be_a_table(path) and {"image_id", "dx"} <= set(column_names(tree.root / path))
    ]


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


def _without_image(named: str, table: MetadataTable, ids: dict[str, str]) -> list[Quarantined]:
    seen = set(ids.values())
    return [Quarantined(named, f"row {image_id} has no image") for image_id in table.rows if image_id not in seen]
