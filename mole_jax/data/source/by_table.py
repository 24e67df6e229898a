"""Images anywhere in a source, diagnosed by a table."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mole_jax.data.records import Quarantined, Record, Split
from mole_jax.data.source.candidates import Candidates
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.folders import ClassFolders
from mole_jax.data.source.table_files import named, passed_over, why_not_used
from mole_jax.data.source.tables import MetadataTable, merge, metadata
from mole_jax.data.source.tree import Tree
from mole_jax.errors import UserError
from mole_jax.vocabulary.diagnoses import BETWEEN
from mole_jax.vocabulary.identity import file_id, match_ids
from mole_jax.vocabulary.words import SPLIT_WORDS, is_unknown, known, plain

# The column of the split that a table's name tells.
SPLIT: Final = "split by the table's name"
# The column of what several columns of diagnoses say together.
DIAGNOSIS: Final = "diagnosis by several columns"
# Cells of a table that has a column for each diagnosis, as `words.plain` writes them: no, and yes.
NOT_THIS: Final = frozenset({"", "0", "0 0", "no", "false"})
THIS: Final = frozenset({"1", "1 0", "x", "yes", "true"})


@dataclass(frozen=True)
class TableOfImages:
    """A table, and what its columns mean.

    Attributes:
        table: its rows by image id.
        inside: paths of its files that lie in the source.
        name: what people call it.
        label: its column of diagnoses.
        groups: its columns of lesions and patients.
        split: its column of splits, "" for none.
        other_images: its column of photographs that are no examples, "" for none.
        notes: what people should know of how it was read.
    """

    table: MetadataTable
    inside: tuple[str, ...]
    name: str
    label: str
    groups: tuple[str, ...] = ()
    split: str = ""
    other_images: str = ""
    notes: tuple[str, ...] = ()


def read_as_one(
    paths: Sequence[Path],
    names: Sequence[str],
    read: Callable[[Path], MetadataTable],
    splits: Mapping[str, Split],
    columns: Collection[str],
) -> tuple[MetadataTable, tuple[str, ...]]:
    """Several tables of one form as one; rows of one image that disagree are contradictory.

    Args:
        paths: of the tables.
        names: what people call each.
        read: reads one of them.
        splits: name -> the split of its images; empty where the tables are no splits.
        columns: in which rows of one image must agree.

    Returns:
        The table, where there are splits with a column SPLIT, and what is to be said of it.
    """
    tables = []
    for path, name in zip(paths, names, strict=True):
        table = read(path)
        extra = {SPLIT: splits[name]} if name in splits else {}
        tables.append(MetadataTable({key: row | extra for key, row in table.rows.items()}, table.contradictory))
    if len(tables) == 1:
        return tables[0], ()
    how = "each as the split that its name tells" if splits else "as one"
    return merge(tables, [*columns, SPLIT]), (f"{len(tables)} tables are read, {how}: {named(names)}",)


def with_diagnosis(table: MetadataTable, columns: Sequence[str]) -> MetadataTable:
    """The table with a column DIAGNOSIS, which says what several columns say together.

    Columns that hold marks alone (0 and 1, or X) are a diagnosis each, and the marked one counts; a row with several
    marks is contradictory. Others go from the broadest to the narrowest.
    """
    cells = {plain(row.get(column, "")) for row in table.rows.values() for column in columns}
    if not cells <= NOT_THIS | THIS:
        rows = {
            key: row | {DIAGNOSIS: BETWEEN.join(row[column] for column in columns if known(row.get(column, "")))}
            for key, row in table.rows.items()
        }
        return dataclasses.replace(table, rows=rows)
    marked = {
        key: [column for column in columns if plain(row.get(column, "")) in THIS] for key, row in table.rows.items()
    }
    rows = {key: row | {DIAGNOSIS: "".join(marked[key])} for key, row in table.rows.items() if len(marked[key]) < 2}
    return MetadataTable(rows, table.contradictory | {key for key, of_one in marked.items() if len(of_one) > 1})


def diagnosed(tree: Tree, of_images: TableOfImages, choices: Choices) -> Candidates:
    """What the table makes of the files.

    Raises:
        UserError: none of its rows belongs to a file; or a diagnosis or a split is not understood.
    """
    table, name, label_column = of_images.table, of_images.name, of_images.label
    folders = ClassFolders(tree.files, choices)
    images, others = _without_other_images(tree, of_images)
    ids, notes = match(images, table, name)
    if len(ids) < len(images):
        notes.append(f"{len(ids):,} of {len(images):,} files have a row in {name}")
    rows = {path: table.rows[table_id] for path, table_id in ids.items() if table_id in table.rows}
    decisions = choices.decisions
    diagnoses = [row[label_column] for row in rows.values()]
    if other := decisions.only_other(diagnoses):
        notes.append(f"{other!r} in column {label_column!r} of {name} counts as not melanoma, the only other value")
        decisions = dataclasses.replace(decisions, negative=(*decisions.negative, other))
    decisions.check(diagnoses, f"column {label_column!r} of {name}")
    if of_images.split:
        _check_split_words((row.get(of_images.split, "") for row in rows.values()), of_images.split, name)
    records, quarantined = [], list(others)
    for path in images:
        image_id = file_id(path)
        if (row := rows.get(path)) is None:
            torn = ids.get(path) in table.contradictory
            quarantined.append(
                Quarantined(path, f"contradictory rows in {name}") if torn else why_not_used(path, f"no row in {name}")
            )
        elif (label := decisions.label(row[label_column])) is None:
            quarantined.append(Quarantined(path, _no_diagnosis(row[label_column], name)))
        elif folders.class_of(path) not in (None, label):
            quarantined.append(
                Quarantined(path, f"its class folder contradicts {label_column}={row[label_column]} in {name}")
            )
        elif of_images.split and is_unknown(row.get(of_images.split, "")):
            quarantined.append(Quarantined(path, f"no split in {name}"))
        else:
            record = Record(path, image_id, label, image_id, **metadata(row | {"dx": row[label_column]}))
            if of_images.split:
                record = dataclasses.replace(record, given_split=SPLIT_WORDS[plain(row[of_images.split])])
            records.append(_grouped(record, row, of_images.groups))
    notes += [*of_images.notes, *_kinds_of_image(rows.values()), *passed_over(tree, of_images.inside)]
    return Candidates(
        records, quarantined, without_image(name, table, ids), of_images.inside, tuple(notes), one_image_an_id=True
    )


def match(paths: Sequence[str], table: MetadataTable, name: str) -> tuple[dict[str, str], list[str]]:
    """Path -> id in the table, and what is to be said of it.

    Raises:
        UserError: the table has rows, and none of them belongs to any of the files.
    """
    ids = [*table.rows, *table.contradictory]
    found, how = match_ids(paths, ids)
    if ids and paths and not found:
        raise UserError(
            f"none of the {len(ids):,} ids in {name}, such as {ids[0]!r}, is the name of one of the {len(paths):,} "
            f"files, such as {paths[0]!r}; give the table of these images with --table=FILE, or move it away"
        )
    return found, [f"rows of {name} were found {', '.join(how)}"] if how else []


def without_image(name: str, table: MetadataTable, ids: Mapping[str, str]) -> list[Quarantined]:
    """An entry for each row of the table that no file belongs to."""
    seen = set(ids.values())
    return [Quarantined(name, f"row {image_id} has no image") for image_id in table.rows if image_id not in seen]


def _without_other_images(tree: Tree, of_images: TableOfImages) -> tuple[list[str], list[Quarantined]]:
    """The files that may be examples, and those that the table calls other photographs of the same lesions."""
    images = [path for path in tree.files if path not in of_images.inside]
    if not of_images.other_images:
        return images, []
    exact = {row[of_images.other_images].replace("\\", "/") for row in of_images.table.rows.values()}
    ends = {path: {path.split("/", n)[-1] for n in range(path.count("/") + 1)} for path in images}
    others = {path for path in images if ends[path] & exact}
    reason = f"another photograph of the lesion, by column {of_images.other_images} of {of_images.name}"
    return [path for path in images if path not in others], [
        Quarantined(path, reason) for path in images if path in others
    ]


def _kinds_of_image(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """What the ISIC Archive's column image_type says, where it is not dermoscopic alone."""
    kinds = Counter(kind for row in rows if (kind := known(row.get("image_type", ""))))
    if set(kinds) <= {"dermoscopic"}:
        return []
    return [f"not all are dermoscopic: {', '.join(f'{kind} ({count:,})' for kind, count in kinds.most_common())}"]


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


def _check_split_words(texts: Iterable[str], column: str, name: str) -> None:
    if odd := sorted({text for text in texts if not is_unknown(text) and plain(text) not in SPLIT_WORDS}):
        raise UserError(
            f"column {column!r} of {name} has {', '.join(map(repr, odd[:5]))} among its splits; write train, "
            "validation and test, or leave --split out"
        )


def _no_diagnosis(diagnosis: str, name: str) -> str:
    words = f"the diagnosis is {diagnosis!r}, which says neither melanoma nor not melanoma,"
    return f"no diagnosis in {name}" if not diagnosis else f"{words} in {name}"
