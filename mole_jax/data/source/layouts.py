"""The layouts that a source may have, and which fit one."""

import functools
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from mole_jax.data.source.by_folder import folder, kaggle
from mole_jax.data.source.by_table import DIAGNOSIS, SPLIT, TableOfImages, diagnosed, read_as_one, with_diagnosis
from mole_jax.data.source.candidates import Candidates
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.folders import ClassFolders
from mole_jax.data.source.isic2018 import is_ground_truth, is_groupings, read_isic2018, read_lesions
from mole_jax.data.source.npz import ENDING, is_npz, read_npz
from mole_jax.data.source.public_tables import choices_of, find_public
from mole_jax.data.source.table_files import (
    GROUP_COLUMNS,
    ID_COLUMNS,
    TABLE_SUFFIXES,
    asked_tables,
    may_be_a_table,
    named,
    splits_of_tables,
)
from mole_jax.data.source.tables import column_names, read_table
from mole_jax.data.source.tree import Tree
from mole_jax.errors import UserError
from mole_jax.files.digest import file_sha256


def recognise(tree: Tree, choices: Choices) -> list[str]:
    """The names of the layouts that fit, the most specific first."""
    if choices.table:
        return ["table"]
    if is_npz(tree):
        return ["npz"]
    found, folders = [], ClassFolders(tree.files, choices)
    if any(folders.split_of(path) is not None for path in tree.files):
        found.append("kaggle")
    if not choices.classes and (_ham10000_tables(tree) or _isic2018_tables(tree)):
        found.append("ham10000")
    if not choices.classes and find_public(tree):
        found.append("table")
    if any(folders.class_of(path) is not None for path in tree.files):
        found.append("folder")
    return found


def _ham10000(tree: Tree, choices: Choices) -> Candidates:
    """Images anywhere, diagnosed by HAM10000_metadata or by the tables of the ISIC challenges of 2018 and 2019.

    Where there are class folders, they must agree with the table.
    """
    return diagnosed(tree, _challenge(tree) or _ham10000_table(tree), choices)


def _ham10000_table(tree: Tree) -> TableOfImages:
    paths = _ham10000_tables(tree)
    splits = splits_of_tables(paths)
    read = functools.partial(read_table, required=("image_id", "dx"))
    table, notes = read_as_one([tree.root / path for path in paths], paths, read, splits, ("dx", "lesion_id"))
    groups = ("lesion_id", "patient_id")
    return TableOfImages(table, tuple(paths), named(paths), "dx", groups, SPLIT if splits else "", notes=notes)


def _challenge(tree: Tree) -> TableOfImages | None:
    """The challenge's tables of diagnoses, one or one a split, and its tables of lesions; None where there are none."""
    if _ham10000_tables(tree) or not (truths := _isic2018_tables(tree)):
        return None
    lists = [path for path in tree.files if path.lower().endswith(".csv") and is_groupings(tree.root / path)]
    lesions = read_lesions([tree.root / path for path in lists])
    splits = splits_of_tables(truths)
    table, notes = read_as_one(
        [tree.root / path for path in truths],
        truths,
        lambda path: read_isic2018(path, lesions),
        splits,
        ("dx", "lesion_id"),
    )
    known = sum(key in table.rows for key in lesions.rows)
    if lesions.rows and not known:
        raise UserError(
            f"none of the {len(lesions.rows):,} images in {named(lists)}, such as {next(iter(lesions.rows))!r}, is in "
            f"{named(truths)}; give the table of these images' lesions, or move it away"
        )
    if lists and known < len(table.rows):
        notes += (f"lesions of {known:,} of {len(table.rows):,} images are from {named(lists)}",)
    groups = ("lesion_id", "patient_id")
    used = (*truths, *lists)
    return TableOfImages(table, used, named(truths), "dx", groups, SPLIT if splits else "", notes=notes)


def _table(tree: Tree, choices: Choices) -> Candidates:
    """Images anywhere, diagnosed by the table and the columns that the user names, or by a public set's."""
    other_images, notes = "", list[str]()
    if not choices.table:
        public = find_public(tree)
        assert public is not None, "recognise has found it"
        (of_set, paths), first = public, public[1][0]
        names = column_names(tree.root / first)
        choices = choices_of(of_set, names, ",".join(paths), choices)
        other_images = next((name for name in names if name.casefold() == of_set.other_images), "")
        flags = f"--id={choices.id_column} --label={choices.label_column}"
        notes.append(f"{named(paths)} has the columns of {of_set.set_name} and is read with {flags}")
    found = asked_tables(tree, choices.table)
    name = named([path.name for path, _ in found])
    names = column_names(found[0][0])
    key = choices.id_column or next((name for name in names if name.casefold() in ID_COLUMNS), "")
    if not key:
        raise UserError(
            f"{found[0][0]} has none of the columns {', '.join(ID_COLUMNS)}; say with --id=COLUMN which of its columns "
            f"{', '.join(names)[:200]} has the image ids"
        )
    labels = [choices.label_column] if choices.label_column in names else choices.label_column.split(",")
    groups = choices.group_columns or tuple(column for column in GROUP_COLUMNS if column in names)
    required = (key, *labels, *groups, *filter(None, [choices.split_column, other_images]))
    splits = {} if choices.split_column else splits_of_tables([path.name for path, _ in found])
    table, how = read_as_one(
        [path for path, _ in found],
        [path.name for path, _ in found],
        functools.partial(read_table, required=required, key=key),
        splits,
        (*labels, *groups),
    )
    notes += [*how, _groups_note(groups, name)]
    if len(labels) > 1:
        table = with_diagnosis(table, labels)
    of_images = TableOfImages(
        table,
        tuple(inside for _, inside in found if inside),
        name,
        labels[0] if len(labels) == 1 else DIAGNOSIS,
        groups,
        choices.split_column or (SPLIT if splits else ""),
        other_images,
        tuple(notes),
    )
    return diagnosed(tree, of_images, choices)


def _groups_note(groups: tuple[str, ...], name: str) -> str:
    if groups:
        return f"grouped by {' and '.join(groups)} of {name}"
    return f"{name} has no column lesion_id or patient_id, so each image is its own group; --group names others"


def content_of_tables(tree: Tree, tables: tuple[str, ...], choices: Choices) -> list[bytes]:
    """The bytes of all tables that were read, in the source or elsewhere."""
    inside = [tree.root / table for table in tables]
    elsewhere = [path for path, within in asked_tables(tree, choices.table) if not within] if choices.table else []
    return [_content(path) for path in (*inside, *elsewhere)]


def _content(path: Path) -> bytes:
    """The file's bytes; for an archive, which may be large, their SHA-256."""
    return file_sha256(path).encode() if path.suffix.lower() == ENDING else path.read_bytes()


def _ham10000_tables(tree: Tree) -> list[str]:
    """Where HAM10000_metadata lies; Dataverse delivers it without an ending, or as .tab.

    Where no file has that name, tables with its columns are taken for it, whatever their names.
    """
    names = {f"ham10000_metadata{suffix}" for suffix in TABLE_SUFFIXES}
    if own := [path for path in tree.files if PurePosixPath(path).name.lower() in names]:
        return own
    return [
        path
        for path in tree.files
        if may_be_a_table(path) and {"image_id", "dx"} <= set(column_names(tree.root / path))
    ]


def _isic2018_tables(tree: Tree) -> list[str]:
    """Where the challenge's one-hot tables lie, one for each of its splits."""
    return [path for path in tree.files if path.lower().endswith(".csv") and is_ground_truth(tree.root / path)]


# Which files are examples, by layout. `auto` tries them in the order of `recognise`.
LAYOUTS: Final[dict[str, Callable[[Tree, Choices], Candidates]]] = {
    "kaggle": kaggle,
    "ham10000": _ham10000,
    "folder": folder,
    "table": _table,
    "npz": read_npz,
}
# What to say of a source that does not have the layout.
NEEDS: Final = {
    "kaggle": "folders train_sep, valid and test, in each Melanoma and NotMelanoma",
    "ham10000": "a table HAM10000_metadata.csv, or the ISIC 2018 challenge's one-hot ground truth",
    "folder": "folders Melanoma and NotMelanoma",
    "table": "--table=FILE --id=COLUMN --label=COLUMN, or the table of a public set",
    "npz": "one .npz file with MedMNIST's arrays train_images, train_labels and so on",
}
