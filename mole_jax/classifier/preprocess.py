"""From an image to what a network is to see of it: `--preprocess` and `--masks` as one value."""

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Array, Bool, UInt8

from mole_jax.classifier.segmenter import Segmenter, open_segmenter
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.inputs.kmeans import kmeans_mask
from mole_jax.inputs.lesion import preprocessed
from mole_jax.placement import one_device

# To be raised when an image would be changed otherwise than before: what was stored is then computed again.
RULES: Final = 1
Images = UInt8[np.ndarray, "n side side 3"]
Masks = Bool[np.ndarray, "n side side"]
LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preprocessor:
    """What is done to every image before its network sees it, in training and after it.

    Attributes:
        how: one of `inputs.lesion.WORDS`, not "none".
        masks: where the lesion is said to be.
        segmenter: of masks "segmenter"; else None.
    """

    how: str
    masks: Literal["kmeans", "given", "segmenter"]
    segmenter: Segmenter | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """All that the outcome depends on besides the image and, of masks "given", its mask; JSON values."""
        return {**self.identity_of_masks, "preprocess": self.how}

    @property
    def identity_of_masks(self) -> dict[str, Any]:
        """All that a mask that is found depends on besides the image; JSON values."""
        weights = self.segmenter.about.sha256 if self.segmenter else ""
        return {"rules": RULES, "masks": self.masks, "segmenter": weights}

    def __call__(self, images: Images, masks: Masks | None = None) -> tuple[Images, Bool[np.ndarray, " n"]]:
        """The images as the network is to see them, and in which a lesion was found; the others stay as they are.

        One at a time, so that what becomes of an image depends, to the last bit, on nothing else.

        Args:
            images: any number.
            masks: one an image; of masks that are found, those that `find` has given. None: they are found now.

        Raises:
            UserError: masks are to be given, and there are none.
        """
        if masks is None:
            masks = self.find(images)
        shown = [np.asarray(self._change(image, mask)) for image, mask in zip(images, masks, strict=True)]
        return np.stack(shown) if shown else images, np.asarray(masks.any(axis=(1, 2)))

    def find(self, images: Images) -> Masks:
        """Where the lesions are.

        Raises:
            UserError: masks are to be given.
        """
        if self.masks == "given":
            raise UserError(
                "the run was trained with masks=given, and photographs have no masks beside them: score a dataset that "
                "was prepared with --masks=DIR, or train with --masks=kmeans or a segmenter"
            )
        masks = [np.asarray(self._find(image)) for image in images]
        return np.stack(masks) if masks else np.zeros(images.shape[:3], bool)

    # Finding and changing are compiled apart, so that a mask is the same whether it was stored in between or not.

    @functools.cached_property
    def _find(self) -> Callable[[Any], Array]:
        placement, segmenter = one_device(), self.segmenter
        if segmenter is None:
            step = placement.jit(kmeans_mask)
            return lambda image: step(placement.everywhere(image))
        of_network, variables = placement.jit(segmenter.mask), placement.everywhere(segmenter.variables)
        return lambda image: of_network(variables, placement.everywhere(image))

    @functools.cached_property
    def _change(self) -> Callable[[Any, Any], Array]:
        placement = one_device()
        step = placement.jit(functools.partial(preprocessed, how=self.how))
        return lambda image, mask: step(*placement.everywhere((image, mask)))


def load_preprocessor(config: RunConfig) -> Preprocessor | None:
    """What a run does to its images; None where it leaves them as they are.

    Raises:
        UserError: `masks` is the path of no segmenter.
    """
    if config.preprocess == "none":
        return None
    if config.masks == "given":
        return Preprocessor(config.preprocess, "given")
    return replace(lesion_finder(config.masks), how=config.preprocess)


def lesion_finder(masks: str | os.PathLike[str]) -> Preprocessor:
    """What finds the lesions of any images.

    Args:
        masks: "kmeans", or the directory of a segmenter.

    Raises:
        UserError: there is no such segmenter.
    """
    if masks == "kmeans":
        return Preprocessor("lesion_only", "kmeans")
    return Preprocessor("lesion_only", "segmenter", open_segmenter(masks))


def warn_of_unfound(found: Bool[np.ndarray, " n"]) -> str:
    """A line for people where no lesion was found in some images; "" where one was found in all."""
    missing = int((~found).sum())
    if not missing:
        return ""
    return f"no lesion was found in {missing:,} of {len(found):,} images, which are shown to the network as they are"
