"""The tables of public sets, known by their columns whatever the file is called."""

import dataclasses
from dataclasses import dataclass
from typing import Final

from mole_jax.data.source.choices import Choices
from mole_jax.data.source.table_files import GROUP_COLUMNS, tables_seen
from mole_jax.data.source.tables import column_names
from mole_jax.data.source.tree import Tree
from mole_jax.vocabulary.diagnoses import Decisions


@dataclass(frozen=True)
class PublicTable:
    """The table of a public set. Columns are in lower case.

    Attributes:
        set_name: what it is called.
        columns: the columns that it is known by.
        id_column: its column of image ids.
        label_columns: its columns of diagnoses; those that a table lacks are left out.
        positive: values that mean melanoma, beyond the vocabulary.
        negative: values that mean not melanoma, beyond the vocabulary.
        group_columns: its columns of lesions and patients; () for those of GROUP_COLUMNS that are there.
        other_images: a column of other photographs of the same lesions, which are no examples; "" for none.
    """

    set_name: str
    columns: frozenset[str]
    id_column: str
    label_columns: tuple[str, ...]
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    group_columns: tuple[str, ...] = ()
    other_images: str = ""


# ISIC 2020's target is melanoma or not (all 584 malignant lesions are melanomas); ISIC 2024's is malignant or not, so
# that its diagnoses are read instead. derm7pt has a dermoscopic and a clinical photograph of each case.
PUBLIC: Final = (
    PublicTable(
        "ISIC 2017",
        frozenset({"image_id", "melanoma", "seborrheic_keratosis"}),
        "image_id",
        ("melanoma",),
        ("1",),
        ("0",),
    ),
    PublicTable(
        "ISIC 2020", frozenset({"image_name", "benign_malignant", "target"}), "image_name", ("target",), ("1",), ("0",)
    ),
    PublicTable("ISIC 2024", frozenset({"isic_id", "target", "iddx_full"}), "isic_id", ("iddx_full",)),
    PublicTable(
        "the ISIC Archive",
        frozenset({"isic_id", "diagnosis_1"}),
        "isic_id",
        ("diagnosis_1", "diagnosis_2", "diagnosis_3", "diagnosis_4", "diagnosis_5"),
    ),
    PublicTable("PAD-UFES-20", frozenset({"img_id", "diagnostic"}), "img_id", ("diagnostic",)),
    PublicTable(
        "PH2",
        frozenset({"image name", "common nevus", "atypical nevus", "melanoma"}),
        "image name",
        ("common nevus", "atypical nevus", "melanoma"),
    ),
    PublicTable(
        "derm7pt",
        frozenset({"case_num", "diagnosis", "derm"}),
        "derm",
        ("diagnosis",),
        group_columns=("case_num",),
        other_images="clinic",
    ),
)


def find_public(tree: Tree) -> tuple[PublicTable, list[str]] | None:
    """The public set of which the source has a table, and the paths of its tables; None for no set, or several."""
    found: dict[str, tuple[PublicTable, list[str]]] = {}
    for path in tables_seen(tree):
        columns = {name.casefold() for name in column_names(tree.root / path)}
        public = next((one for one in PUBLIC if one.columns <= columns), None)
        if public is not None:
            found.setdefault(public.set_name, (public, []))[1].append(path)
    return next(iter(found.values())) if len(found) == 1 else None


def choices_of(public: PublicTable, names: list[str], path: str, choices: Choices) -> Choices:
    """What the user would have to say of the table.

    Args:
        public: what the table is.
        names: its columns as they are written.
        path: where it lies.
        choices: what the user says; decisions of theirs go first.
    """
    by_name = {name.casefold(): name for name in names}
    decided = {value.casefold() for value in (*choices.decisions.positive, *choices.decisions.negative)}
    decisions = Decisions(
        (*choices.decisions.positive, *(value for value in public.positive if value not in decided)),
        (*choices.decisions.negative, *(value for value in public.negative if value not in decided)),
    )
    return dataclasses.replace(
        choices,
        decisions=decisions,
        table=path,
        id_column=by_name[public.id_column],
        label_column=",".join(by_name[name] for name in public.label_columns if name in by_name),
        group_columns=tuple(by_name[name] for name in public.group_columns or GROUP_COLUMNS if name in by_name),
    )
