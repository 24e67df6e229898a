"""Images and their masks, with nothing known of diagnoses: what a segmenter learns from, split by lesion."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Int, UInt8

from mole_jax.data.dataset import Dataset
from mole_jax.data.groups import connected
from mole_jax.data.image_file import UnusableImageError, mask_to_model_size
from mole_jax.data.mask_file import load_mask
from mole_jax.data.prepare.masks import list_masks, pair
from mole_jax.data.prepare.protocols import shuffle_key
from mole_jax.data.records import SPLITS, Quarantined, Split
from mole_jax.data.source.photographs import load_photograph
from mole_jax.errors import UserError
from mole_jax.workers import cores, in_workers

SHARES: Final[dict[Split, float]] = {"train": 0.7, "validation": 0.1, "test": 0.2}
FEWEST: Final = 10  # images; with fewer a split may be empty


@dataclass(frozen=True)
class Pairs:
    """Images of 224x224 with their masks.

    Attributes:
        names: of the images.
        images: 0..255.
        masks: where the lesions are.
        groups: the number of each image's lesion.
        splits: the places of each split's images.
        source: what they are, for people.
        quarantined: what could not be used, and why.
    """

    names: tuple[str, ...]
    images: UInt8[np.ndarray, "n 224 224 3"]
    masks: Bool[np.ndarray, "n 224 224"]
    groups: Int[np.ndarray, " n"]
    splits: dict[Split, Int[np.ndarray, "..."]]
    source: str
    quarantined: tuple[Quarantined, ...] = ()

    def digests(self) -> list[str]:
        """The SHA-256 of each image's pixels, in hex."""
        return [hashlib.sha256(image.data).hexdigest() for image in self.images]

    def fingerprint(self) -> str:
        """SHA-256 over pixels, masks and splits, in hex."""
        digest = hashlib.sha256()
        for split in SPLITS:
            digest.update(split.encode())
            for i in self.splits[split]:
                digest.update(self.images[i].data)
                digest.update(np.packbits(self.masks[i]).data)
        return digest.hexdigest()


def load_pairs(images: Path, masks: Path, *, seed: int) -> Pairs:
    """Reads folders of images and of masks, and splits them at random; images that show one lesion by their looks are
    kept together, since nothing else is known of them.

    Args:
        images: the folder of the images.
        masks: the folder of their masks, called as they are, with or without "_segmentation" or "_mask".
        seed: of the splits.

    Raises:
        UserError: a folder is missing or holds no picture, or fewer than ten images have a usable mask.
    """
    found = pair(paths := list(_pictures(images)), list(list_masks(masks)))
    jobs = [(images / path, masks / mask) for path in paths if isinstance(mask := found[path], Path)]
    loaded = list(in_workers(_load, jobs, workers=cores(), name_of=lambda job: str(job[0]), died=_died))
    quarantined = [Quarantined(path, mask) for path in paths if isinstance(mask := found[path], str)]
    quarantined += [
        Quarantined(job[0].relative_to(images).as_posix(), each)
        for job, each in zip(jobs, loaded, strict=True)
        if isinstance(each, str)
    ]
    kept = [(job[0], each) for job, each in zip(jobs, loaded, strict=True) if not isinstance(each, str)]
    if len(kept) < FEWEST:
        why = f", such as {quarantined[0].source_path!r}: {quarantined[0].reason}" if quarantined else ""
        raise UserError(
            f"{len(kept)} of {len(paths)} images in {str(images)!r} have a usable mask in {str(masks)!r}{why}; at "
            f"least {FEWEST} are needed"
        )
    names = tuple(path.relative_to(images).as_posix() for path, _ in kept)
    pixels = np.stack([image for _, (image, _) in kept])
    groups = _by_looks(pixels)
    return Pairs(
        names,
        pixels,
        np.stack([mask for _, (_, mask) in kept]),
        groups,
        split_groups(names, groups, seed=seed),
        f"{len(names):,} images of {images}",
        tuple(quarantined),
    )


def pairs_of(dataset: Dataset) -> Pairs:
    """The images and masks of a prepared dataset, with its own splits and lesions.

    Raises:
        UserError: it has no masks, or not all three splits.
    """
    facts = dataset.facts
    if not facts.masks:
        raise UserError(f"the dataset {facts.name!r} has no lesion masks: prepare it with --masks=DIR")
    if missing := [split for split in SPLITS if split not in dataset.splits]:
        raise UserError(f"the dataset {facts.name!r} has no {missing[0]} split; prepare it with --protocol=grouped")
    rows = [row for split in SPLITS for row in dataset.rows[split]]
    records = [dataset.splits[split][i] for split in SPLITS for i in range(len(dataset.splits[split]))]
    ends = np.cumsum([0, *(len(dataset.splits[split]) for split in SPLITS)])
    return Pairs(
        tuple(row.image_id for row in rows),
        np.stack([record["image"] for record in records]),
        np.stack([record["mask"] for record in records]),
        np.unique([row.lesion_id for row in rows], return_inverse=True)[1].astype(np.int64),
        {split: np.arange(start, end) for split, start, end in zip(SPLITS, ends[:-1], ends[1:], strict=True)},
        f"{len(rows):,} images of the dataset {facts.name}",
    )


def split_groups(
    names: Sequence[str], groups: Int[np.ndarray, " n"], *, seed: int
) -> dict[Split, Int[np.ndarray, "..."]]:
    """The places of each split's images: whole groups in a pseudo-random order, as near to `SHARES` as they come.

    Args:
        names: of the images; the order depends on them and the seed, not on the order of the images.
        groups: of each image.
        seed: of the order.
    """
    first: dict[int, str] = {}
    for name, group in zip(names, groups.tolist(), strict=True):
        first[group] = min(first.get(group, name), name)
    places: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for group in sorted(first, key=lambda group: shuffle_key(seed, "split", first[group])):
        emptiest = min(SPLITS, key=lambda split: len(places[split]) / SHARES[split])
        places[emptiest] += np.flatnonzero(groups == group).tolist()
    return {split: np.array(sorted(of_split), np.int64) for split, of_split in places.items()}


def _pictures(folder: Path) -> list[str]:
    try:
        return list(list_masks(folder))
    except UserError as error:
        raise UserError(str(error).replace("masks ", "images ", 1).replace("--masks=DIR", "--images=DIR")) from error


def _by_looks(images: UInt8[np.ndarray, "n 224 224 3"]) -> Int[np.ndarray, " n"]:
    from mole_jax.looks.fingerprints import fingerprints  # late: OpenCV and scikit-learn take a second
    from mole_jax.looks.near_duplicates import near_duplicates

    pairs = near_duplicates(fingerprints(iter(images)))
    same: dict[bytes, int] = {}
    equal = [(i, same.setdefault(hashlib.sha256(image.data).digest(), i)) for i, image in enumerate(images)]
    return connected(len(images), [*((each.query, each.reference) for each in pairs), *equal])


def _load(job: tuple[Path, Path]) -> tuple[np.ndarray, np.ndarray] | str:
    image, mask = job
    try:
        loaded = load_photograph(image)
        small = mask_to_model_size(load_mask(mask, width=loaded.width, height=loaded.height))
    except UnusableImageError as error:
        return str(error)
    if not small.any():
        return "its mask is empty within the central square that the image is cropped to"
    return loaded.image, small


def _died(_: tuple[Path, Path]) -> str:
    return "kills the process that decodes it"


def part_of(pairs: Pairs, places: Int[np.ndarray, " m"]) -> Pairs:
    """Some of the images alone, all in the split `test`."""
    none = np.zeros(0, np.int64)
    return dataclasses.replace(
        pairs,
        names=tuple(pairs.names[i] for i in places),
        images=pairs.images[places],
        masks=pairs.masks[places],
        groups=pairs.groups[places],
        splits={"train": none, "validation": none, "test": np.arange(len(places))},
    )
