"""manifest.csv and quarantine.csv: what became of every file of a source, for people and for other tools."""

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from mole_jax.data.records import Example, Quarantined, Split
from mole_jax.data.versions import AGAIN
from mole_jax.errors import UserError
from mole_jax.files.csv_table import as_it_was, write_rows


@dataclass(frozen=True)
class ManifestRow:
    """One example of a prepared dataset. The rows of a split stand in the order of its records.

    Attributes:
        image_id: unique within the dataset.
        lesion_id: the lesion that the image shows; the image's own id where the lesion is unknown.
        label: 0 mole, 1 melanoma.
        split: train, validation or test.
        source_path: path relative to the source; bytes that are not UTF-8 as \\xNN.
        sha256: SHA-256 of the source file, in hex; for an augmented copy that of its pixels.
        width: width of the source image in pixels; for an augmented copy that of the copy.
        height: height of the same image in pixels.
        pixels: SHA-256 of the 224x224 pixels, in hex; "" in datasets older than this column.
        augmented_from: the image_id of the original, "" for an original.
        dx: the diagnosis as the source writes it (HAM10000's short form for ISIC 2018), "" if unknown, as are the
            other texts.
        dx_type: how the diagnosis was made, such as "histo".
        age: the patient's age in years, None if unknown (empty in the file).
        sex: the patient's sex: "male", "female", "unknown" or "".
        localization: the lesion's site on the body.
        patient_id: the patient whose lesion it is, "" if unknown and in datasets older than this column.
        mask: SHA-256 of the 224x224 pixels of its lesion mask, a byte each, 0 or 1, in hex; "" in datasets without
            masks, whose files have no such column.
    """

    image_id: str
    lesion_id: str
    label: int
    split: Split
    source_path: str
    sha256: str
    width: int
    height: int
    pixels: str
    augmented_from: str
    dx: str
    dx_type: str
    age: float | None
    sex: str
    localization: str
    patient_id: str = ""
    mask: str = ""

    @classmethod
    def from_example(cls, example: Example, split: Split, *, pixels: str = "", mask: str = "") -> "ManifestRow":
        """The manifest's row for an example."""
        own = ("split", "source_path", "pixels", "mask")
        values = {f.name: getattr(example, f.name) for f in dataclasses.fields(cls) if f.name not in own}
        return cls(**values, split=split, source_path=printable(example.source_path), pixels=pixels, mask=mask)


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Writes the rows as CSV, UTF-8, with a header."""
    with_masks = any(row.mask for row in rows)
    names = [field.name for field in dataclasses.fields(ManifestRow) if field.name != "mask" or with_masks]
    write_rows(path, names, ([_cell(getattr(row, name)) for name in names] for row in rows))


def read_manifest(directory: Path) -> list[ManifestRow]:
    """Reads `manifest.csv` of a prepared dataset: train, validation, test, each in the order of its records.

    Raises:
        UserError: it is missing, damaged, or of another version of this project.
    """
    types, path = get_type_hints(ManifestRow), directory / "manifest.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                ManifestRow(**{name: _parse(text, types[name]) for name, text in ({"pixels": ""} | row).items()})
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UserError(f"{path} is damaged or of another version of this project ({error}); {AGAIN}") from error


def write_quarantine(path: Path, quarantined: Iterable[Quarantined]) -> None:
    """Writes `source_path,reason`."""
    write_rows(
        path, ["source_path", "reason"], ([printable(item.source_path), printable(item.reason)] for item in quarantined)
    )


def printable(path: str) -> str:
    """The path with bytes that are not UTF-8 written as \\xNN; everything else stays."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _parse(text: str, hint: object) -> Any:
    if hint is int:
        return int(text)
    if hint == float | None:
        return float(text) if text else None
    return as_it_was(text)
