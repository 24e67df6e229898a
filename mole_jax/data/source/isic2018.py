"""The tables of the ISIC challenges of 2018 (task 3) and 2019: diagnoses in one-hot form, and the lesions of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mole_jax.data.source.tables import NO_TABLE, MetadataTable, column_names, merge, read_table
from mole_jax.errors import UserError

IMAGE: Final = "image"
# The challenges' columns -> HAM10000's short forms, and what 2019 added to them.
CLASSES: Final = {
    "MEL": "mel",
    "NV": "nv",
    "BCC": "bcc",
    "AKIEC": "akiec",
    "BKL": "bkl",
    "DF": "df",
    "VASC": "vasc",
    "AK": "ak",
    "SCC": "scc",
    "UNK": "unk",
}
# What both years have.
COMMON: Final = frozenset({IMAGE, "MEL", "NV", "BCC", "BKL", "DF", "VASC"})
# How the diagnosis was made: the challenge's words -> HAM10000's short forms. Others are kept as they are.
CONFIRMED: Final = {
    "histopathology": "histo",
    "serial imaging showing no change": "follow_up",
    "single image expert consensus": "consensus",
    "confocal microscopy with consensus dermoscopy": "confocal",
}


def is_ground_truth(path: Path) -> bool:
    """Whether a file is the challenge's one-hot table."""
    return set(column_names(path)) >= COMMON


def is_groupings(path: Path) -> bool:
    """Whether a file is the challenge's table of lesions, and not its table of diagnoses with a column of lesions."""
    return {IMAGE, "lesion_id"} <= set(column_names(path)) and not is_ground_truth(path)


def read_lesions(groupings: Sequence[Path]) -> MetadataTable:
    """The challenge's tables of lesions as one, by image; images of which they disagree are contradictory.

    Raises:
        UserError: as `read_table`.
    """
    tables = [read_table(path, required=(IMAGE, "lesion_id"), key=IMAGE) for path in groupings]
    return merge(tables, ("lesion_id",))


def read_isic2018(ground_truth: Path, lesions: MetadataTable = NO_TABLE) -> MetadataTable:
    """Reads the table in the form of HAM10000's own: image_id, dx, and lesion_id, patient_id and dx_type where known.

    What the table of lesions does not say is taken from the table of diagnoses, where that has such columns. A row
    without a class has an empty dx; one with several is contradictory.

    Args:
        ground_truth: path of the table of diagnoses.
        lesions: what `read_lesions` gives.

    Raises:
        UserError: as `read_table`; or a cell of the one-hot table is neither 0 nor 1, as in a submission.
    """
    truth = read_table(ground_truth, required=sorted(COMMON), key=IMAGE)
    rows, contradictory = {}, {*truth.contradictory, *(lesions.contradictory & truth.rows.keys())}
    for image_id, row in truth.rows.items():
        diagnoses = [
            dx
            for column, dx in CLASSES.items()
            if column in row and _is_one(row[column], column, image_id, ground_truth)
        ]
        if len(diagnoses) > 1:
            contradictory.add(image_id)
            continue
        lesion = row | lesions.rows.get(image_id, {})
        # Written with underscores in the file, with spaces in the challenge's own description.
        confirmed = lesion.get("diagnosis_confirm_type") or lesion.get("diagnosis confirm type") or ""
        rows[image_id] = lesion | {
            "image_id": image_id,
            "dx": diagnoses[0] if diagnoses else "",
            "lesion_id": lesion.get("lesion_id", ""),
            "patient_id": lesion.get("patient_id", ""),
            "dx_type": CONFIRMED.get(confirmed, confirmed),
        }
    return MetadataTable({key: row for key, row in rows.items() if key not in contradictory}, frozenset(contradictory))


def _is_one(text: str, column: str, image_id: str, path: Path) -> bool:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value not in (0, 1):
        raise UserError(
            f"{path}: {text!r} of image {image_id} in column {column} is neither 0 nor 1; give the challenge's ground "
            "truth, not a submission"
        )
    return value == 1
