"""What a prepared dataset says about itself: metadata.json, TFDS's own place for it, beside dataset_info.json."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mole_jax.data.checksums import AGAIN
from mole_jax.data.records import Split
from mole_jax.data.shards import VERSION
from mole_jax.errors import UserError


@dataclass(frozen=True)
class DatasetFacts:
    """The facts of one prepared dataset.

    Attributes:
        name: of the dataset.
        layout: of its source; "synthetic" for drawn images.
        protocol: how it was split, a key of PROTOCOLS.
        seed: of the split, of the down-selection and of drawn images.
        examples: the down-selection that was asked for, 0 for none.
        source_fingerprint: SHA-256 over the source's paths, sizes and metadata table, in hex.
        fingerprint: SHA-256 over ids, labels, lesions, splits and pixels, in hex.
        leaky: whether scores on it would flatter.
        leak: why, in one phrase; "" where nothing was found.
        channel_mean: of the training split's pixels/255, red, green, blue; empty where nothing is to be trained on.
        channel_std: likewise, the standard deviation over all pixels.
        counts: split -> [moles, melanomas].
        files: in the source.
        quarantined: files that did not become examples.
        not_selected: usable files that the down-selection left out.
        without_image: rows of the metadata table whose image is missing.
        copies: augmented images among the splits.
        left_out: usable originals that the protocol does without: sub-sampled away, or there through copies alone.
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

    @property
    def images(self) -> int:
        """How many examples all splits hold."""
        return sum(sum(counts) for counts in self.counts.values())

    @property
    def splits(self) -> list[Split]:
        """Those that hold images; not all do where nothing is to be trained on."""
        return [split for split, counts in self.counts.items() if sum(counts)]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


def read_facts(directory: Path) -> DatasetFacts:
    """Reads the facts of data/<name>/<version>.

    Raises:
        UserError: no prepared dataset there, or a damaged one, or one of another version of this project.
    """
    path = directory / "metadata.json"
    if not path.is_file():
        raise UserError(f"{directory} holds no prepared dataset; python -m experiments.prepare makes one")
    try:
        return DatasetFacts(**json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); {AGAIN}") from error
    except TypeError as error:
        raise UserError(f"{path} is of another version of this project ({error}); {AGAIN}") from error


def dataset_directory(data_dir: Path, name: str) -> Path:
    """Where the dataset of that name lies.

    Raises:
        UserError: it has not been prepared; names those that have.
    """
    directory = data_dir / name / VERSION
    if not (directory / "metadata.json").is_file():
        prepared = sorted(path.parent.parent.name for path in data_dir.glob(f"*/{VERSION}/metadata.json"))
        have = f"prepared are {', '.join(prepared)}" if prepared else "nothing is prepared there"
        source = "" if name == "synthetic" else " --source=DIR"
        raise UserError(
            f"no dataset {name!r} in {str(data_dir)!r} ({have}); "
            f"make it with: python -m experiments.prepare --dataset={name}{source}"
        )
    return directory
