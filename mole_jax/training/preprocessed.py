"""A dataset as a network is to see it: its images preprocessed once, stored, and read in place of the originals.

They lie in `<data_dir>/_preprocessed/<key>/` (`blocks.py` says how): `images`, and `found`, whether a lesion was found
in each. The key stands for what is done and by which masks; a row for the pixels, and of given masks for the mask too.
Masks that are found lie in `_masks/<key>/`, eight pixels a byte, for whatever else is to be done by them.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from mole_jax.classifier.preprocess import Preprocessor, warn_of_unfound
from mole_jax.data.dataset import Dataset
from mole_jax.data.image_file import IMAGE_SIZE
from mole_jax.data.prepare.moments import NO_MOMENTS, Moments
from mole_jax.data.records import Split
from mole_jax.data.shards import Chosen, Source
from mole_jax.errors import UserError, full_disk_explained
from mole_jax.files.lock import exclusive
from mole_jax.training.blocks import Blocks, StoredSource, Tell, index, places_of

FOLDER: Final = "_preprocessed"  # no dataset can have a name that begins so
IMAGES: Final = "images"  # the kind of a block's folder
MASKS_FOLDER: Final = "_masks"
MASKS: Final = "masks"
BLOCK: Final = 512  # images; 77 MB


def refuse_without_masks(preprocessor: Preprocessor | None, dataset: Dataset) -> None:
    """Raises UserError where a dataset is to give the masks, and has none."""
    if preprocessor is not None and preprocessor.masks == "given" and not dataset.facts.masks:
        raise UserError(
            f"masks='given', and the dataset {dataset.facts.name!r} has no lesion masks: prepare it with --masks=DIR, "
            "or give --masks=kmeans or the directory of a segmenter"
        )


def as_seen(dataset: Dataset, preprocessor: Preprocessor | None, *, tell: Tell = lambda _: None) -> Dataset:
    """The dataset with its images as a network is to see them; computes those that are missing or damaged first.

    Its facts have the channel means of what is seen of the training split, and another fingerprint.

    Args:
        dataset: any prepared one.
        preprocessor: what is done; None: nothing, and the dataset is given back as it is.
        tell: called with a line for people now and then while images are computed, and where no lesion was found.

    Raises:
        UserError: the dataset has no masks and is to give them, or the store cannot be written.
    """
    if preprocessor is None:
        return dataset
    refuse_without_masks(preprocessor, dataset)
    keys = {split: _keys(dataset, split, preprocessor) for split in dataset.splits}
    blocks = Blocks(dataset.directory.parents[1] / FOLDER, IMAGES, preprocessor.identity)
    with _held(blocks):
        missing = _missing(keys, index(blocks.read("images")).keys() & index(blocks.read("found")).keys())
        if missing:
            masks = None if preprocessor.masks == "given" else stored_masks(dataset, preprocessor, tell=tell)
            _compute(dataset, preprocessor, blocks, missing, masks, tell)
        images, found = blocks.read("images"), blocks.read("found")
    of_image, of_found = index(images), index(found)
    if line := warn_of_unfound(
        np.array([found[b].rows[i] for of_split in keys.values() for b, i in places_of(of_split, of_found)])
    ):
        tell(line)
    splits: dict[Split, Source] = {
        split: StoredSource(images, places_of(of_split, of_image), dataset.labels[split])
        for split, of_split in keys.items()
    }
    rows = {split: [dataclasses.replace(row, pixels="") for row in of] for split, of in dataset.rows.items()}
    fingerprint = hashlib.sha256(f"{dataset.facts.fingerprint} {blocks.directory.name}".encode()).hexdigest()
    moments = _moments(splits.get("train", ()))
    facts = dataclasses.replace(
        dataset.facts, fingerprint=fingerprint, channel_mean=moments.mean(), channel_std=moments.std()
    )
    return dataclasses.replace(dataset, facts=facts, rows=rows, splits=splits)


def _keys(dataset: Dataset, split: Split, preprocessor: Preprocessor) -> list[bytes]:
    pixels = dataset.pixel_digests(split)
    if preprocessor.masks != "given":
        return pixels
    masks = [bytes.fromhex(row.mask) for row in dataset.rows[split]]
    return [hashlib.sha256(image + mask).digest() for image, mask in zip(pixels, masks, strict=True)]


def stored_masks(
    dataset: Dataset, preprocessor: Preprocessor, *, tell: Tell = lambda _: None
) -> Callable[[Split, int], Bool[np.ndarray, "side side"]]:
    """Finds the lesions of every split once; gives what reads the mask of a split's record.

    Args:
        dataset: any prepared one.
        preprocessor: of masks that are found.
        tell: called with a line for people now and then.

    Raises:
        UserError: the store cannot be written.
    """
    keys = {split: dataset.pixel_digests(split) for split in dataset.splits}
    blocks = Blocks(dataset.directory.parents[1] / MASKS_FOLDER, MASKS, preprocessor.identity_of_masks)
    with _held(blocks):
        for records, digests in _parts(dataset, _missing(keys, index(blocks.read(MASKS)).keys()), "masks", tell):
            found = [np.packbits(preprocessor.find(records[i]["image"][None])[0]) for i in range(len(records))]
            blocks.write(MASKS, np.stack(found), digests)
        there = blocks.read(MASKS)
    of_image = index(there)

    def mask_of(split: Split, row: int) -> Bool[np.ndarray, "side side"]:
        block, place = of_image[keys[split][row]]
        pixels = np.unpackbits(there[block].rows[place], count=IMAGE_SIZE**2)
        return pixels.reshape(IMAGE_SIZE, IMAGE_SIZE).astype(bool)

    return mask_of


def _compute(
    dataset: Dataset,
    preprocessor: Preprocessor,
    blocks: Blocks,
    missing: Mapping[bytes, tuple[Split, int]],
    masks: Callable[[Split, int], Bool[np.ndarray, "side side"]] | None,
    tell: Tell,
) -> None:
    places = iter(missing.values())
    for records, digests in _parts(dataset, missing, "images preprocessed", tell):
        shown, found = [], []
        for i in range(len(records)):
            split, row = next(places)
            record = records[i]
            mask = record["mask"] if masks is None else masks(split, row)
            image, is_found = preprocessor(record["image"][None], mask[None])
            shown.append(image[0])
            found.append(is_found[0])
        # The images come last: where an image is there, it is known whether a lesion was found in it.
        blocks.write("found", np.array(found), digests)
        blocks.write("images", np.stack(shown), digests)


@contextmanager
def _held(blocks: Blocks) -> Iterator[None]:
    remedy = "make room, or give another --data_dir; the same command goes on from the last whole block"
    with (
        exclusive(
            blocks.directory,
            busy=f"waiting for another process that computes what goes into {blocks.directory}",
            otherwise="give another --data_dir",
            wait=True,
        ),
        full_disk_explained(blocks.directory, remedy),
    ):
        yield


def _missing(keys: Mapping[Split, Sequence[bytes]], known: Set[bytes]) -> dict[bytes, tuple[Split, int]]:
    """Where to find an image of each key that is not known."""
    missing: dict[bytes, tuple[Split, int]] = {}
    for split, of_split in keys.items():
        for row, key in enumerate(of_split):
            if key not in known:
                missing.setdefault(key, (split, row))
    return missing


def _parts(
    dataset: Dataset, missing: Mapping[bytes, tuple[Split, int]], what: str, tell: Tell
) -> Iterator[tuple[Chosen, UInt8[np.ndarray, "n 32"]]]:
    """The records of each block to be written, and their keys; tells how far it is."""
    keys, places, began = list(missing), list(missing.values()), time.perf_counter()
    with tqdm(total=len(keys), unit=" images", desc=what, disable=None) as bar:
        for start in range(0, len(keys), BLOCK):
            some = keys[start : start + BLOCK]
            records = Chosen([(dataset.splits[split], row) for split, row in places[start : start + BLOCK]])
            yield records, np.frombuffer(b"".join(some), np.uint8).reshape(-1, 32)
            bar.update(len(some))
            done = start + len(some)
            rate = done / (time.perf_counter() - began)
            left = (len(keys) - done) / rate / 60
            tell(f"{what}: {done:,} of {len(keys):,}, {rate:.1f} images/s, {left:.0f} min left")


def _moments(train: Source | tuple[()]) -> Moments:
    return sum((Moments.of(train[i]["image"]) for i in range(len(train))), NO_MOMENTS)
