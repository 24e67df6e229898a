"""Builds one dataset in an empty folder: choose, decode, split, write the shards, the manifest and the facts."""

import dataclasses
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mole_jax.data.facts import DatasetFacts
from mole_jax.data.manifest import ManifestRow, write_manifest, write_quarantine
from mole_jax.data.prepare.copies import make_copies
from mole_jax.data.prepare.decode import Load, decode_all
from mole_jax.data.prepare.leaks import find_leak
from mole_jax.data.prepare.looks import is_small, join_by_looks
from mole_jax.data.prepare.moments import NO_MOMENTS
from mole_jax.data.prepare.protocols import PROTOCOLS, check_source, check_splits, shuffle_key
from mole_jax.data.prepare.scratch import IMAGE_BYTES, MASK_BYTES, masks_beside
from mole_jax.data.prepare.write_shards import describe, write_shards
from mole_jax.data.records import CLASSES, SPLITS, Example, Placed, Quarantined, Record, Split
from mole_jax.data.source.listing import Listing
from mole_jax.errors import UserError
from mole_jax.files.changes import remove_file


@dataclass(frozen=True)
class Settings:
    """What decides a dataset's content, besides the library versions.

    Attributes:
        layout: the layout of the source, a key of LAYOUTS; "synthetic" for drawn images.
        protocol: a key of PROTOCOLS.
        seed: decides the split, the choice of examples and the drawn images.
        examples: how many images to choose, half of each class; 0: all.
        source_fingerprint: SHA-256 of the listing, in hex.
        by_looks: whether images that show one lesion are looked for by their pixels.
        masks: SHA-256 over the paths and sizes of the lesion masks, in hex; "": no masks.
    """

    layout: str
    protocol: str
    seed: int
    examples: int
    source_fingerprint: str
    by_looks: bool = False
    masks: str = ""


def build(
    folder: Path, name: str, listing: Listing, load: Load, settings: Settings, *, version: str, workers: int
) -> DatasetFacts:
    """Writes the complete dataset.

    Args:
        folder: an empty folder to write to; left half-written if anything fails.
        name: the dataset's name.
        listing: what the source offers.
        load: reads or draws the pixels of a record.
        settings: what decides the dataset's content.
        version: of the dataset, such as "1.0.0".
        workers: number of processes that decode.

    Raises:
        UserError: too few usable images of a class, or too little disk space.
    """
    candidates = select(listing.records, settings.examples, settings.seed)
    _check_classes(candidates, listing.quarantined)
    check_source(candidates, settings.protocol)
    _check_space(folder, len(candidates), with_masks=bool(settings.masks))
    # The name is this process's own: workers of a prepare that was just killed may still write to theirs.
    scratch = folder / f"scratch-{os.getpid()}"
    decoded = decode_all(
        candidates,
        load,
        scratch,
        workers=1 if settings.layout == "npz" else workers,  # one process, since each would hold the whole archive
        reads_files=settings.layout not in ("synthetic", "npz"),
    )
    examples = [item for item in decoded if isinstance(item, Example)]
    quarantined = [*listing.quarantined, *(item for item in decoded if isinstance(item, Quarantined))]
    _check_classes(examples, quarantined)

    named = examples
    if settings.by_looks:
        examples = join_by_looks(examples, scratch)
    protocol = PROTOCOLS[settings.protocol]
    placed = protocol.assign(examples, settings.seed)
    check_splits(placed, protocol.splits)
    _check_space(folder, len(placed), with_masks=bool(settings.masks))
    placed = _augment(placed, scratch, len(candidates), seed=settings.seed, workers=workers)
    copies = sum(bool(example.augmented_from) for example, _ in placed)
    splits = _in_order(placed, settings.seed)
    leak = "; ".join(filter(None, [find_leak(placed), "" if settings.protocol == "external" else listing.leak]))

    written = write_shards(folder, name, {split: splits[split] for split in protocol.splits}, scratch, workers=workers)
    remove_file(scratch)
    remove_file(masks_beside(scratch))
    pixels, masks = (
        iter([digest.hex() for of_shard in digests for digest in of_shard])
        for digests in ((shard.digests for shard in written), (shard.masks for shard in written))
    )
    rows = [
        ManifestRow.from_example(example, split, pixels=next(pixels), mask=next(masks, ""))
        for split in SPLITS
        for example in splits[split]
    ]
    moments = sum((shard.moments for shard in written), NO_MOMENTS)
    facts = DatasetFacts(
        name=name,
        **dataclasses.asdict(settings),
        fingerprint=_fingerprint(rows),
        leaky=protocol.leaky or bool(leak),
        leak=leak,
        channel_mean=moments.mean(),
        channel_std=moments.std(),
        counts={
            split: [sum(e.label == label for e in members) for label in range(len(CLASSES))]
            for split, members in splits.items()
        },
        files=listing.files,
        quarantined=len(quarantined),
        not_selected=len(listing.records) - len(candidates),
        without_image=len(listing.without_image),
        copies=copies,
        left_out=len(examples) - (len(placed) - copies),
        joined_by_looks=_joined(named, examples),
        small_for_looks=sum(map(is_small, examples)) if settings.by_looks else 0,
    )
    originals = facts.images - facts.copies
    assert facts.files == originals + facts.quarantined + facts.not_selected + facts.left_out, (
        "nothing is dropped silently"
    )
    write_manifest(folder / "manifest.csv", rows)
    write_quarantine(
        folder / "quarantine.csv", [*sorted(quarantined, key=lambda item: item.source_path), *listing.without_image]
    )
    describe(folder, name, written, version=version, description=_description(facts), metadata=facts.to_dict())
    return facts


def select(records: Sequence[Record], examples: int, seed: int) -> list[Record]:
    """The paper's random down-selection: `examples` in all, half of each class; 0 keeps all. Keeps the order.

    Raises:
        UserError: a class has too few.
    """
    if not examples:
        return list(records)
    chosen: set[str] = set()
    for label, name in enumerate(CLASSES):
        ids = [record.image_id for record in records if record.label == label]
        if len(ids) < examples // 2:
            raise UserError(
                f"examples={examples} needs {examples // 2} {name} images and the source has {len(ids)}; ask for fewer"
            )
        chosen.update(sorted(ids, key=lambda image_id: shuffle_key(seed, "select", image_id))[: examples // 2])
    return [record for record in records if record.image_id in chosen]


def _joined(named: Sequence[Example], examples: Sequence[Example]) -> int:
    """How many images share a lesion with others that the source does not say they share it with."""
    before, after = (Counter(example.lesion_id for example in of_one) for of_one in (named, examples))
    return sum(after[b.lesion_id] > before[a.lesion_id] for a, b in zip(named, examples, strict=True))


def _fingerprint(rows: Sequence[ManifestRow]) -> str:
    """SHA-256 over ids, labels, lesions, splits, pixels and masks, in hex."""
    digest = hashlib.sha256()
    for row in rows:
        identity = f"{row.split}\0{row.image_id}\0{row.lesion_id}\0{row.label}\0"
        digest.update(identity.encode() + bytes.fromhex(row.pixels) + bytes.fromhex(row.mask))
    return digest.hexdigest()


def _augment(placed: Sequence[Placed], scratch: Path, first_row: int, *, seed: int, workers: int) -> list[Placed]:
    """The same examples, once the pixels of the copies are made."""
    planned = [example for example, _ in placed if example.augmented_from]
    made = iter(make_copies(planned, scratch, first_row, seed=seed, workers=workers))
    return [(next(made) if example.augmented_from else example, split) for example, split in placed]


def _in_order(placed: Sequence[Placed], seed: int) -> dict[Split, list[Example]]:
    """The members of each split in a pseudo-random order, so that any stretch of a split is a fair sample of it."""
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for example, split in sorted(placed, key=lambda pair: shuffle_key(seed, "order", pair[0].image_id)):
        splits[split].append(example)
    return splits


def _check_classes(records: Sequence[Record], quarantined: Sequence[Quarantined]) -> None:
    counts = Counter(record.label for record in records)
    for label, name in enumerate(CLASSES):
        if not counts[label]:
            others = f"{counts[1 - label]} {CLASSES[1 - label]} and {len(quarantined)} quarantined"
            first = f", such as {quarantined[0].source_path!r}: {quarantined[0].reason}" if quarantined else ""
            raise UserError(f"the source has no usable {name} image ({others}{first}); both classes are needed")


def _check_space(folder: Path, images: int, *, with_masks: bool) -> None:
    """Asks for twice the pixels: the scratch file and the shards lie side by side for a while."""
    each = IMAGE_BYTES + (MASK_BYTES if with_masks else 0)
    needed, free = 2 * images * each, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{images} images need {needed / 1e9:.1f} GB and {str(folder.parent)!r} has {free / 1e9:.1f} GB free"
        )


def _description(facts: DatasetFacts) -> str:
    drawn = "Synthetic drawings, not photographs. " if facts.layout == "synthetic" else ""
    leak = f"LEAKY: {facts.leak}. " if facts.leaky else ""
    return (
        f"{drawn}{leak}Layout {facts.layout}, protocol {facts.protocol}, seed {facts.seed}. Labels: 0 mole, 1 melanoma."
    )
