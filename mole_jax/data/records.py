"""What is known of one image of a source, before and after its pixels are read."""

import dataclasses
from dataclasses import dataclass
from typing import Final, Literal, get_args

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)
# The index is the label.
CLASSES: Final = ("mole", "melanoma")
# How Keras' generators named the copies of the Kaggle set, AUG_0_<number>; ours are named so too.
COPY_PREFIX: Final = "AUG_"
METADATA_COLUMNS: Final = ("dx", "dx_type", "age", "sex", "localization")


@dataclass(frozen=True)
class Record:
    """One image that a source offers, with what the source says of it.

    Attributes:
        source_path: path relative to the source, with "/" between folders; bytes that are not UTF-8 as lone surrogates.
        image_id: unique within a dataset.
        label: 0 mole (in truth: anything but melanoma), 1 melanoma.
        lesion_id: the lesion that the image shows; the image's own id where the lesion is unknown.
        given_split: the split that the source puts it in; None where the source has no splits.
        dx: the diagnosis as the source writes it (HAM10000's short form for ISIC 2018), "" if unknown, as are the
            other texts.
        dx_type: how the diagnosis was made, such as "histo".
        age: the patient's age in years, None if unknown.
        sex: the patient's sex: "male", "female", "unknown" or "".
        localization: the lesion's site on the body.
        patient_id: the patient whose lesion it is, "" if unknown.
        mask_path: path of its lesion mask relative to the folder of masks; "" where none were asked for.
    """

    source_path: str
    image_id: str
    label: int
    lesion_id: str
    given_split: Split | None = None
    dx: str = ""
    dx_type: str = ""
    age: float | None = None
    sex: str = ""
    localization: str = ""
    patient_id: str = ""
    mask_path: str = ""


@dataclass(frozen=True)
class Quarantined:
    """A file, or a row of a metadata table, that did not become an example.

    Attributes:
        source_path: path of the file; for a table's row without an image, path of the table.
        reason: why, in one phrase for people.
    """

    source_path: str
    reason: str


@dataclass(frozen=True)
class Example(Record):
    """A record whose pixels could be read.

    Attributes:
        sha256: SHA-256 of the file's bytes, in hex; for drawn and augmented images that of the pixels.
        width: width of the source image in pixels, after its EXIF orientation is applied.
        height: height of the same image in pixels.
        row: number of its row in the scratch file, from 0; -1 while it has none.
        augmented_from: for an augmented copy the image_id of its original, else "".
        copy: which copy of its original it is, 1, 2, ...; 0 for an original.
    """

    sha256: str = ""
    width: int = 0
    height: int = 0
    row: int = -1
    augmented_from: str = ""
    copy: int = 0

    @classmethod
    def from_record(cls, record: Record, *, sha256: str, width: int, height: int, row: int) -> "Example":
        """The record, completed by what reading its pixels has shown."""
        fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(Record)}
        return cls(**fields, sha256=sha256, width=width, height=height, row=row)

    def as_copy(self, copy: int, image_id: str) -> "Example":
        """Copy number 1, 2, ... of this original; hash, size and row are the original's until its pixels are made."""
        return dataclasses.replace(self, image_id=image_id, augmented_from=self.image_id, copy=copy)


def is_copy_name(image_id: str) -> bool:
    """Whether an image is called as augmented copies are, in any case and whatever its folder."""
    return image_id.rpartition("/")[2].upper().startswith(COPY_PREFIX)


Placed = tuple[Example, Split]
