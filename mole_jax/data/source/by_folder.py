"""Images labelled by the folders that they lie in."""

import dataclasses
from collections.abc import Callable

from mole_jax.data.records import Quarantined, Record
from mole_jax.data.source.by_table import match, without_image
from mole_jax.data.source.candidates import Candidates
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.folders import ClassFolders
from mole_jax.data.source.table_files import GROUP_COLUMNS, ID_COLUMNS, may_be_a_table, named, passed_over, why_not_used
from mole_jax.data.source.tables import MetadataTable, column_names, merge, metadata, read_table
from mole_jax.data.source.tree import Tree
from mole_jax.vocabulary.identity import file_id
from mole_jax.vocabulary.words import known


def kaggle(tree: Tree, choices: Choices) -> Candidates:
    """train_sep|valid|test / Melanoma|NotMelanoma, the paper's data set."""
    folders = ClassFolders(tree.files, choices)
    return _class_folders(
        tree, folders, lambda path: "" if folders.split_of(path) else "not in a class folder of a split"
    )


def folder(tree: Tree, choices: Choices) -> Candidates:
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
    name = named(tables)
    images = [path for path in tree.files if path not in tables]
    usable = [path for path in images if not why_not(path)]
    ids, notes = match(usable, table, name)
    records, quarantined = [], []
    for path in images:
        label, image_id = folders.class_of(path), file_id(path)
        if reason := why_not(path):
            quarantined.append(why_not_used(path, reason))
        elif ids.get(path) in table.contradictory:
            quarantined.append(Quarantined(path, f"contradictory rows in {name}"))
        else:
            assert label is not None, "why_not has refused it"
            row = table.rows[ids[path]] if path in ids else {}
            lesion = known(row.get("lesion_id", "")) or image_id
            records.append(Record(path, image_id, label, lesion, folders.split_of(path), **metadata(row)))
    if tables:
        notes.append(f"lesions and patients of {len(ids):,} of {len(usable):,} images are from {name}")
    if others := folders.others():
        notes.append(f"folders beside the class folders that are none: {others}; --classes says what they are")
    notes += passed_over(tree, tables)
    return Candidates(records, quarantined, without_image(name, table, ids), tables, tuple(notes))


def _groups(tree: Tree, folders: ClassFolders) -> tuple[MetadataTable, tuple[str, ...]]:
    """What the tables say that have a column of ids and one of lesions or patients, and where these tables lie."""
    tables: list[MetadataTable] = []
    paths: list[str] = []
    for path in tree.files:
        if not may_be_a_table(path) or folders.class_of(path) is not None:
            continue
        names = {name.casefold(): name for name in column_names(tree.root / path)}
        key = next((names[column] for column in ID_COLUMNS if column in names), None)
        if key and any(column in names for column in GROUP_COLUMNS):
            table = read_table(tree.root / path, required=(key,), key=key)
            rows = {name: {column.casefold(): text for column, text in row.items()} for name, row in table.rows.items()}
            tables.append(MetadataTable(rows, table.contradictory))
            paths.append(path)
    return merge(tables, GROUP_COLUMNS), tuple(paths)
