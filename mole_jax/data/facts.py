"""What a prepared dataset says about itself: metadata.json, where TFDS expects it, beside dataset_info.json."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mole_jax.data.records import Split
from mole_jax.data.versions import AGAIN
from mole_jax.errors import UserError
from mole_jax.files.reading import read_record


@dataclass(frozen=True)
class DatasetFacts:
    """The facts of one prepared dataset.

    Attributes:
        name: the dataset's name.
        layout: the layout of its source, a key of LAYOUTS; "synthetic" for drawn images.
        protocol: how it was split, a key of PROTOCOLS.
        seed: decides the split, the down-selection and the drawn images.
        examples: how many images the down-selection was asked for; 0: no down-selection.
        source_fingerprint: SHA-256 over the source's paths, sizes and metadata table, in hex.
        fingerprint: SHA-256 over ids, labels, lesions, splits, pixels and masks, in hex.
        leaky: whether scores on it would look better than they are.
        leak: why, in one phrase; "" where nothing was found.
        channel_mean: mean of the training split's pixels, red, green, blue, 0..1; empty without a training split.
        channel_std: standard deviation of the same pixels, red, green, blue, 0..1; empty without a training split.
        counts: split -> [moles, melanomas].
        files: how many files the source holds, metadata tables left out.
        quarantined: how many of them did not become examples.
        not_selected: how many usable files the down-selection left out.
        without_image: how many rows of the metadata table have no image.
        copies: how many images in the splits are augmented copies.
        left_out: how many usable originals the protocol left out: sub-sampled away, or present only as copies.
        by_looks: whether images were searched for those that show one lesion, by their pixels.
        joined_by_looks: how many images share a lesion with another by their looks alone.
        small_for_looks: how many images were too small for that.
        masks: SHA-256 over the paths and sizes of its lesion masks, in hex; "" in a dataset without masks.
    """

    name: str
    layout: str
    protocol: str
    seed: int
    examples: int
    source_fingerprint: str
    fingerprint: str
    leaky: bool
    leak: str
    channel_mean: list[float]
    channel_std: list[float]
    counts: dict[Split, list[int]]
    files: int
    quarantined: int
    not_selected: int
    without_image: int
    copies: int = 0
    left_out: int = 0
    by_looks: bool = False
    joined_by_looks: int = 0
    small_for_looks: int = 0
    masks: str = ""

    @property
    def images(self) -> int:
        """How many examples all splits hold."""
        return sum(sum(counts) for counts in self.counts.values())

    @property
    def splits(self) -> list[Split]:
        """The splits that hold images; a dataset for external validation has only one."""
        return [split for split, counts in self.counts.items() if sum(counts)]

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values; without masks they are not mentioned."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "masks" or value}


def read_facts(directory: Path) -> DatasetFacts:
    """Reads the facts of data/<name>/<version>.

    Raises:
        UserError: no prepared dataset lies there, or it is damaged or of another version of this project.
    """
    path = directory / "metadata.json"
    if not path.is_file():
        raise UserError(f"{directory} holds no prepared dataset; python -m experiments.prepare makes one")
    facts: DatasetFacts = read_record(path, DatasetFacts, remedy=AGAIN)
    return facts
