"""Lesion masks beside a source's images: which mask is whose, and reading the two together."""

import dataclasses
import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from mole_jax.data.image_file import LoadedImage, UnusableImageError, mask_to_model_size
from mole_jax.data.mask_file import load_mask
from mole_jax.data.prepare.decode import Load
from mole_jax.data.records import Quarantined, Record
from mole_jax.data.source.listing import Listing
from mole_jax.errors import UserError
from mole_jax.vocabulary.identity import ENDINGS, path_id

# What may follow an image's name in that of its mask, in any case; the ISIC challenges and HAM10000 write the first.
MASK_SUFFIXES: Final = ("_segmentation", "_mask")


def with_masks(listing: Listing, load: Load, folder: Path) -> tuple[Listing, Load, str]:
    """A source of which each image has a mask; images without one are quarantined.

    Args:
        listing: what the source offers.
        load: reads the pixels of a record.
        folder: of the masks, with folders in it or not.

    Returns:
        The listing, what reads a record's image and mask, and SHA-256 over the masks' paths and sizes, in hex.

    Raises:
        UserError: there is no such folder, it holds no picture, or none of these images' masks.
    """
    masks = list_masks(folder)
    found = pair([record.source_path for record in listing.records], list(masks))
    if not any(isinstance(mask, Path) for mask in found.values()):
        first = listing.records[0].source_path if listing.records else "none"
        raise UserError(
            f"none of the {len(listing.records):,} images, such as {first!r}, has a mask in {str(folder)!r}, which has "
            f"{len(masks):,}, such as {next(iter(masks))!r}: a mask is called as its image, with or without "
            f"{' or '.join(MASK_SUFFIXES)}"
        )
    kept, without = [], []
    for record in listing.records:
        mask = found[record.source_path]
        if isinstance(mask, Path):
            kept.append(dataclasses.replace(record, mask_path=mask.as_posix()))
        else:
            without.append(Quarantined(record.source_path, mask))
    digest = hashlib.sha256()
    for path, size in masks.items():
        digest.update(os.fsencode(path) + b"\0%d\0" % size)
    listing = dataclasses.replace(listing, records=tuple(kept), quarantined=(*listing.quarantined, *without))
    return listing, functools.partial(_load_both, load, folder.resolve()), digest.hexdigest()


def list_masks(folder: Path) -> dict[str, int]:
    """The pictures below a folder: path relative to it -> size in bytes, in the order of their paths."""
    if not folder.is_dir():
        raise UserError(
            f"masks {str(folder)!r} is {'not a folder' if folder.exists() else 'missing'}; give --masks=DIR"
        )
    files = sorted(
        (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()), key=os.fsencode
    )
    masks = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files if path.name[0] != "."}
    if not masks:
        raise UserError(f"masks {str(folder)!r} holds no picture; give --masks=DIR, the folder of the masks")
    return masks


def pair(images: Sequence[str], masks: Sequence[str]) -> Mapping[str, Path | str]:
    """For each image the path of its mask, or why it has none.

    Names decide. Where several images or masks share one, their folders must agree too: the paths without what
    follows the name must be equal.

    Args:
        images: paths of images relative to their folder.
        masks: paths of masks relative to theirs.
    """
    by_name = defaultdict[str, list[str]](list)
    for mask in masks:
        by_name[_name(mask)].append(mask)
    sharing = defaultdict[str, list[str]](list)
    for image in images:
        sharing[_name(image, is_mask=False)].append(image)
    found: dict[str, Path | str] = {}
    for name, of_name in sharing.items():
        candidates = by_name[name]
        for image in of_name:
            fitting = candidates
            if len(of_name) > 1 or len(candidates) > 1:
                path = str(PurePosixPath(path_id(image)).parent / name)
                fitting = [mask for mask in candidates if str(PurePosixPath(mask).parent / _name(mask)) == path]
            if len(fitting) == 1:
                found[image] = Path(fitting[0])
            elif not candidates:
                found[image] = "no mask among --masks"
            else:
                found[image] = (
                    f"which mask is its own is not certain: {len(of_name)} images and {len(candidates)} masks are "
                    f"called {name}, such as {candidates[0]}"
                )
    return found


def _name(path: str, *, is_mask: bool = True) -> str:
    name = PurePosixPath(path).stem
    if is_mask:
        for suffix in MASK_SUFFIXES:
            if name.casefold().endswith(suffix):
                return name[: -len(suffix)]
    return name


def _load_both(load: Load, folder: Path, record: Record) -> LoadedImage:
    loaded = load(record)
    mask = mask_to_model_size(load_mask(folder / record.mask_path, width=loaded.width, height=loaded.height))
    if not mask.any():
        raise UnusableImageError("its mask is empty within the central square that the image is cropped to")
    return loaded._replace(mask=mask)
