"""Writes the shards of a dataset, several at a time, and describes them to TFDS, without TensorFlow.

The records are written one by one and then described (`tfds.folder_dataset.write_metadata`), instead of through a TFDS
builder, whose shuffler holds a whole split in memory when the order is to be kept.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from mole_jax.data.image_file import IMAGE_SHAPE, IMAGE_SIZE
from mole_jax.data.manifest import ManifestRow
from mole_jax.data.prepare.moments import NO_MOMENTS, Moments
from mole_jax.data.prepare.scratch import masks_beside, read_mask, read_row
from mole_jax.data.records import CLASSES, Example, Split
from mole_jax.data.shards import shard_name
from mole_jax.data.tf_example import encode
from mole_jax.files.changes import move_file
from mole_jax.workers import map_in_workers

EXAMPLES_PER_SHARD: Final = 1000  # 150 MB
# One record a group makes random access cheap; raw bytes read 2.5 times as fast as zstd, for 1.4 times the space. The
# writer's own threads, with which it compresses, cost .3 ms a record here.
WRITER_OPTIONS: Final = "group_size:1,uncompressed,max_parallelism:1"
# A shard takes a third of a second, starting processes a fifth.
SHARDS_WORTH_A_POOL: Final = 3


class Shard(NamedTuple):
    """One file to write: its path, its split, its members, and the scratch file that holds their pixels."""

    path: Path
    split: Split
    members: Sequence[Example]
    scratch: Path


class WrittenShard(NamedTuple):
    """What writing a shard has shown.

    Attributes:
        split: the split that it belongs to.
        size: size of its records in bytes.
        digests: the SHA-256 of each record's pixels, in order.
        masks: that of each record's mask; empty without masks.
        moments: moments of all its pixels; only the training split has some.
    """

    split: Split
    size: int
    digests: list[bytes]
    masks: list[bytes]
    moments: Moments


def write_shards(
    folder: Path, name: str, splits: Mapping[Split, Sequence[Example]], scratch: Path, *, workers: int
) -> list[WrittenShard]:
    """Writes the shards of all splits.

    Args:
        folder: the folder to write to.
        name: the dataset's name, with which file names begin.
        splits: the members of each split, in the order in which they will be read.
        scratch: the scratch file that holds their pixels.
        workers: number of processes; the files do not depend on it.

    Returns:
        The written shards: by split, and within a split by number.
    """
    # The names are this process's own: workers of a prepare that was just killed may still write to theirs.
    prefix = f"{os.getpid()}-"
    shards = [
        Shard(folder / f"{prefix}{shard_name(name, split, *place)}", split, of_one, scratch)
        for split, members in splits.items()
        for place, of_one in _stretches(members)
    ]
    written = map_in_workers(
        _write,
        shards,
        total=len(shards),
        workers=workers,
        desc="writing",
        unit=" shards",
        worth_a_pool=SHARDS_WORTH_A_POOL,
        name_of=lambda shard: shard.path.name,
    )
    for shard in shards:
        move_file(shard.path, folder / shard.path.name.removeprefix(prefix))
    return written


def describe(
    folder: Path,
    name: str,
    written: Sequence[WrittenShard],
    *,
    version: str,
    description: str,
    metadata: Mapping[str, Any],
) -> None:
    """Writes what TFDS needs to read the shards: dataset_info.json, features.json and metadata.json."""
    import tensorflow_datasets as tfds

    def template(split: str) -> Any:
        return tfds.core.ShardedFileTemplate(
            dataset_name=name,
            data_dir=folder,
            split=split,
            filetype_suffix="array_record",
            template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        )

    by_split: dict[Split, list[WrittenShard]] = {}
    for shard in written:
        by_split.setdefault(shard.split, []).append(shard)
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=_features(with_masks=any(shard.masks for shard in written)),
        split_infos=[
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(shard.digests) for shard in shards],
                num_bytes=sum(shard.size for shard in shards),
                filename_template=template(split),
            )
            for split, shards in by_split.items()
        ],
        version=version,
        filename_template=template("train"),
        check_data=False,  # needs TensorFlow
        description=description,
        disable_shuffling=True,
        metadata=tfds.core.MetadataDict(metadata),
    )


def _stretches(members: Sequence[Example]) -> Iterator[tuple[tuple[int, int], Sequence[Example]]]:
    """The members in parts of even size, each with (its number, the number of parts)."""
    count = -(-len(members) // EXAMPLES_PER_SHARD)
    for i in range(count):
        yield (i, count), members[len(members) * i // count : len(members) * (i + 1) // count]


def _write(shard: Shard) -> WrittenShard:
    from array_record.python.array_record_module import ArrayRecordWriter

    size, digests, moments = 0, [], NO_MOMENTS
    masks, of_masks = masks_beside(shard.scratch), list[bytes]()
    with_masks = masks.exists()
    writer = ArrayRecordWriter(str(shard.path), WRITER_OPTIONS)
    for member in shard.members:
        image = read_row(shard.scratch, member.row)
        mask = read_mask(masks, member.row) if with_masks else None
        row = ManifestRow.from_example(member, shard.split)
        record = encode(_record(row, image.tobytes(), None if mask is None else mask.tobytes()))
        writer.write(record)
        size += len(record)
        digests.append(hashlib.sha256(image.data).digest())
        if mask is not None:
            of_masks.append(hashlib.sha256(mask.tobytes()).digest())
        if shard.split == "train":
            moments += Moments.of(image)
    writer.close()
    return WrittenShard(shard.split, size, digests, of_masks, moments)


def _record(row: ManifestRow, pixels: bytes, mask: bytes | None) -> dict[str, bytes | float]:
    """One record's features; `_features` says the same to TFDS."""
    texts = ("image_id", "lesion_id", "source_path", "dx", "dx_type", "sex", "localization")
    return {
        "image": pixels,
        "label": row.label,
        "age": math.nan if row.age is None else row.age,
        **{name: getattr(row, name).encode() for name in texts},
        **({} if mask is None else {"mask": mask}),
    }


def _features(*, with_masks: bool) -> Any:
    import tensorflow_datasets as tfds

    text = tfds.features.Text
    mask = tfds.features.Tensor(shape=(IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8, encoding="bytes")
    return tfds.features.FeaturesDict(
        {
            # The default encoding would store every pixel as a 64-bit integer of a protocol buffer.
            "image": tfds.features.Tensor(shape=IMAGE_SHAPE, dtype=np.uint8, encoding="bytes"),
            "label": tfds.features.ClassLabel(names=list(CLASSES)),
            "image_id": text(),
            "lesion_id": text(),
            "source_path": text(),
            "dx": text(),
            "dx_type": text(),
            "age": tfds.features.Scalar(np.float32),
            "sex": text(),
            "localization": text(),
            **({"mask": mask} if with_masks else {}),
        }
    )
