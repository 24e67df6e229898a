"""What the user says of a source where its files do not."""

from dataclasses import dataclass, field
from typing import Final

from mole_jax.errors import UserError
from mole_jax.vocabulary.diagnoses import NO_DECISIONS, Decisions
from mole_jax.vocabulary.words import plain


@dataclass(frozen=True)
class Choices:
    """What the user says of a source.

    Attributes:
        decisions: which diagnoses count as melanoma and which do not, beyond the vocabulary.
        classes: folder's name, as `words.plain` writes it, and its label, 0 or 1; () to go by the vocabulary.
        table: path of a table of the images, from here or from the source, or several with commas between; "" to go by
            the layout.
        id_column: its column of image ids; "" for the first of image_id, image_name, isic_id, image. Columns of a table
            without a header are called 1, 2, ...
        label_column: its column of diagnoses; or several with commas between them: one for each diagnosis, or from the
            broadest to the narrowest.
        group_columns: its columns of what must not be torn apart by a split, patients or lesions.
        split_column: its column of splits; "" to split anew.
        follow_links: whether links that lead out of the source are followed.
    """

    decisions: Decisions = NO_DECISIONS
    classes: tuple[tuple[str, int], ...] = ()
    table: str = ""
    id_column: str = ""
    label_column: str = ""
    group_columns: tuple[str, ...] = ()
    split_column: str = ""
    # What it lets in shows in the files and their sizes, so that it need not be part of a fingerprint.
    follow_links: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Raises UserError where columns are named without a table, a table has no label, or classes are one-sided."""
        columns = {"id": self.id_column, "label": self.label_column, "split": self.split_column}
        named = [f"--{flag}" for flag, value in (columns | {"group": self.group_columns}).items() if value]
        if named and not self.table:
            raise UserError(f"{named[0]} names a column and there is no table; give --table=FILE as well")
        if self.table and not self.label_column:
            raise UserError(f"--table={self.table} needs --label=COLUMN, its column of diagnoses")
        if len(self.group_columns) > 2:
            raise UserError(
                f"--group={','.join(self.group_columns)} names more than two columns, a lesion and a patient"
            )
        if self.table and self.classes:
            raise UserError("--table and --classes both say what is a melanoma; give one of them")
        if self.classes and {label for _, label in self.classes} != {0, 1}:
            raise UserError(
                f'--classes={self.classes_text()} needs both classes, as in --classes="malignant=1,benign=0"'
            )

    def classes_text(self) -> str:
        """The classes as the flag has them."""
        return ",".join(f"{name}={label}" for name, label in self.classes)


NO_CHOICES: Final = Choices()


def parse_classes(texts: list[str]) -> tuple[tuple[str, int], ...]:
    """Reads FOLDER=1 (melanoma) and FOLDER=0 (not melanoma).

    Raises:
        UserError: one of them is not of this form, or a folder is named twice.
    """
    classes: dict[str, int] = {}
    for text in texts:
        name, _, label = text.rpartition("=")
        if not plain(name) or label.strip() not in ("0", "1"):
            raise UserError(f'--classes: {text!r} is not FOLDER=1 or FOLDER=0; give --classes="malignant=1,benign=0"')
        if plain(name) in classes:
            raise UserError(f"--classes names the folder {name!r} twice; leave one of them")
        classes[plain(name)] = int(label)
    return tuple(classes.items())
