"""A prepared dataset on disk, as it is read: ArrayRecord shards of `tf.train.Example` records, a TFDS directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from mole_jax.data.image_file import IMAGE_SHAPE
from mole_jax.data.records import SPLITS
from mole_jax.data.tf_example import decode
from mole_jax.data.versions import AGAIN
from mole_jax.errors import UserError


@runtime_checkable
class Source(Protocol):
    """Random access to the records of one split, from several threads at once.

    A record has `image` (uint8 [height, width, 3], or its features; not to be written to), `label` (0 or 1) and, in a
    dataset with masks, `mask` (bool [height, width], where the lesion is).
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Mapping[str, Any]: ...


class ShardSource:
    """The records of one split of a prepared dataset; can be pickled."""

    def __init__(self, shards: list[Path]) -> None:
        """Opens the files.

        Args:
            shards: the split's shard files, in the order of their numbers.
        """
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._records: Any = ArrayRecordDataSource([str(shard) for shard in shards])

    def __len__(self) -> int:
        """The number of records."""
        return len(self._records)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        """Reads one record."""
        record = decode(self._records[index])
        image = np.frombuffer(record["image"], np.uint8).reshape(IMAGE_SHAPE)
        mask = {"mask": np.frombuffer(record["mask"], bool).reshape(IMAGE_SHAPE[:2])} if "mask" in record else {}
        return {"image": image, "label": record["label"], **mask}


class Chosen:
    """Some records of several sources, as one source."""

    def __init__(self, places: Sequence[tuple[Source, int]]) -> None:
        """Names them: a source and the record's place in it, each."""
        self._places = places

    def __len__(self) -> int:
        """The number of records."""
        return len(self._places)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """One record."""
        source, row = self._places[index]
        return source[row]


class Relabelled:
    """The records of a source with other labels."""

    def __init__(self, source: Source, labels: Int[np.ndarray, " n"]) -> None:
        """Gives record i the label i."""
        self._source, self._labels = source, labels

    def __len__(self) -> int:
        """The number of records."""
        return len(self._source)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """One record."""
        return {**self._source[index], "label": int(self._labels[index])}


def shard_name(name: str, split: str, shard: int, shards: int) -> str:
    """The file name of shard number 0, 1, ... of so many, as TFDS has it."""
    return f"{name}-{split}.array_record-{shard:05d}-of-{shards:05d}"


def open_split(directory: Path, split: str) -> ShardSource:
    """Opens a split for random access.

    Args:
        directory: a prepared dataset, data/<name>/<version>.
        split: "train", "validation" or "test".

    Returns:
        A source of records `image` (uint8 [224, 224, 3]), `label` (0 or 1) and, where there are masks, `mask` (bool
        [224, 224]). Record i is row i of that split in the
        manifest, which says the rest; TFDS reads the rest from the record itself.

    Raises:
        UserError: no such split, no prepared dataset there, or a damaged one.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    if not (directory / "dataset_info.json").is_file():
        raise UserError(f"{directory} holds no prepared dataset; python -m experiments.prepare makes one")
    shards = sorted(directory.glob(f"*-{split}.array_record-*"))
    count = int(shards[0].name.rpartition("-")[2]) if shards else 1
    if len(shards) != count:
        raise UserError(f"{len(shards)} of {count} shards of the {split} split are in {directory}; {AGAIN}")
    try:
        return ShardSource(shards)
    except Exception as error:  # ArrayRecord raises several kinds
        reason = " ".join(str(error).split())
        raise UserError(f"the {split} split in {directory} cannot be opened ({reason}); {AGAIN}") from error
