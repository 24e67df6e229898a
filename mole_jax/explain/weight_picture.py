"""The weights of the logistic regression as a picture (the paper's Fig. 2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mole_jax.data.image_file import IMAGE_SIZE
from mole_jax.files.writing import open_binary_whole

FILE_NAME = "weight_picture.npy"


def weight_picture(params: Mapping[str, Any]) -> Float[np.ndarray, "224 224 3"]:
    """The kernel in the shape of the images: how much the logit rises with each pixel's red, green and blue.

    Args:
        params: the parameters of the model `logistic`, whose kernel is [224 * 224 * 3, 1] over row, column, channel.
    """
    return np.asarray(params["fc1"]["kernel"], np.float32).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)


def save_weight_picture(run_dir: Path, params: Mapping[str, Any]) -> None:
    """Writes run_dir/weight_picture.npy, float32 [224, 224, 3]."""
    with open_binary_whole(run_dir / FILE_NAME) as file:
        np.save(file, weight_picture(params))
