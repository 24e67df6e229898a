"""A trained segmenter: one immutable value that finds the lesion in an image, and its folder on disk."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt8

from mole_jax.errors import UserError
from mole_jax.files.changes import is_ours
from mole_jax.files.digest import file_sha256
from mole_jax.files.folder import new_folder, publish
from mole_jax.files.reading import read_record
from mole_jax.files.sums import verify
from mole_jax.files.tensors import differences, flatten, read_tensors, shape_text, unflatten, write_tensors
from mole_jax.files.writing import write_json
from mole_jax.models import unet
from mole_jax.models.base import Variables

FOLDER: Final = "segmenter"  # in the directory of the run that trained it; also the kind of the folder
ABOUT: Final = "segmenter.json"
WEIGHTS: Final = "weights.safetensors"
AGAIN: Final = "copy it again, or train it again with python -m experiments.segment"


@dataclass(frozen=True)
class About:
    """The content of segmenter.json, and what a classifier says of its segmenter.

    Attributes:
        side: of the images that the network sees, in pixels.
        widths: channels of its levels.
        sha256: of its file of weights, in hex.
        trained_on: what it has learnt from, for people.
    """

    side: int
    widths: tuple[int, ...]
    sha256: str
    trained_on: str = ""


@dataclass(frozen=True)
class Segmenter:
    """A U-Net and its weights."""

    variables: Variables
    about: About

    def mask(self, variables: Variables, image: UInt8[Array, "side side 3"]) -> Bool[Array, "side side"]:
        """Where the lesion is; pure, to be jitted. May be empty.

        Args:
            variables: this segmenter's, as an argument, so that they are no part of what is compiled.
            image: 0..255.
        """
        network = unet.model(self.about.widths)
        small = resized(image, self.about.side)
        logits: Array = network.apply(variables, unet.scaled(small)[None], train=False)[0][0]
        return jax.image.resize(logits, image.shape[:2], "linear") > 0


def resized(image: UInt8[Array, "side side 3"], side: int) -> UInt8[Array, "{side} {side} 3"]:
    """An image as the network sees it, in training and after it: smaller, smoothed as much as that needs."""
    if image.shape[0] == side:
        return image
    values = jax.image.resize(image.astype(jnp.float32), (side, side, 3), "linear")
    return jnp.clip(jnp.round(values), 0, 255).astype(jnp.uint8)


def save_segmenter(variables: Variables, run_dir: Path, *, side: int, trained_on: str) -> Segmenter:
    """Writes `run_dir/segmenter/`, over an earlier one; it appears whole or not at all.

    Args:
        variables: {"params", "batch_stats"} of a U-Net of the usual widths.
        run_dir: of the run that trained it.
        side: of the images that it was trained on, in pixels.
        trained_on: what it has learnt from, for people.
    """
    final = run_dir / FOLDER
    with new_folder(final, FOLDER, otherwise="give another --run_dir") as folder:
        write_tensors(folder / WEIGHTS, jax.device_get(variables))
        about = About(side, unet.WIDTHS, file_sha256(folder / WEIGHTS), trained_on)
        write_json(folder / ABOUT, about.__dict__)
        publish(folder, final, FOLDER)
    return Segmenter(variables, about)


def open_segmenter(path: str | os.PathLike[str]) -> Segmenter:
    """Opens a segmenter.

    Args:
        path: the directory of the run that trained it, or the folder `segmenter` in it.

    Raises:
        UserError: there is none, it is not finished, or a file of it is damaged.
    """
    folder = Path(path) if (Path(path) / ABOUT).is_file() else Path(path) / FOLDER
    if not (folder / ABOUT).is_file():
        raise UserError(
            f"there is no segmenter in {str(path)!r}: give kmeans, given, or the directory of a finished "
            "python -m experiments.segment"
        )
    if not is_ours(folder):
        raise UserError(f"{folder} has no digests of mole_jax, so it is not known to be whole; {AGAIN}")
    verify(folder, FOLDER, (ABOUT, WEIGHTS), again=AGAIN)
    return read_segmenter(folder / WEIGHTS, read_record(folder / ABOUT, About, remedy=AGAIN), again=AGAIN)


def read_segmenter(path: Path, about: About, *, again: str) -> Segmenter:
    """Reads the weights that `about` describes.

    Raises:
        UserError: the file is another one than it says, or does not fit its network.
    """
    if file_sha256(path) != about.sha256:
        raise UserError(f"{path} is not the file that {ABOUT} describes (its SHA-256 differs); {again}")
    variables = unflatten(read_tensors(path)[0])
    network = unet.model(about.widths)
    shape = (1, about.side, about.side, 3)
    wanted = jax.eval_shape(lambda: network.init(jax.random.key(0), input_shape=shape))
    if different := differences(_shapes(variables), _shapes(wanted)).describe():
        raise UserError(f"{path} does not fit its own network ({different}); {again}")
    return Segmenter(variables, about)


def _shapes(tree: Mapping[str, Any]) -> dict[str, str]:
    return {name: shape_text(array) for name, array in flatten(tree).items()}
