"""Compares a file's tensors with the network they are meant for, and stops at any difference."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.base import Architecture
from mole_jax.backbones.weights import Read, Source
from mole_jax.errors import UserError
from mole_jax.files.tensors import Differences


class WeightsMismatchError(UserError):
    """The file holds the weights of another network.

    Attributes:
        only_in_file: tensors that only the file has, by the file's own names.
        only_in_model: tensors that only the model has, by their Flax names.
        other_shape: tensors whose shapes differ: the Flax name with both shapes.
    """

    def __init__(self, file: str, different: Differences, fits: str = "") -> None:
        self.only_in_file, self.only_in_model, self.other_shape = different
        way = (
            f"it holds the weights of {fits}, so give --backbone={fits}, or another file"
            if fits
            else "choose the file's own network with --backbone, or another file"
        )
        super().__init__(f"{file} does not fit the network ({different.describe()}): {way}")


def match(read: Read, architecture: Architecture, file: str) -> tuple[dict[str, Any], Architecture, Source]:
    """The Flax variables of a file, as float32, the network that they fit, and what was read.

    Args:
        read: the file, still under its own names.
        architecture: the network that the file must have; variant and classes come from the file.
        file: the file's path, for messages.

    Raises:
        WeightsMismatchError: a tensor is missing, left over or has another shape.
        UserError: a value is not a finite float, or a variance is negative.
    """
    source = read(architecture.names)
    config, different = _compare(source, architecture)
    if any(different):
        fits = (name for name, other in BACKBONES.items() if _fits(read(other.names), other))
        raise WeightsMismatchError(file, different, next(fits, ""))
    expected, tensors = flat_shapes(config), source.tensors
    for name, array in tensors.items():
        _check_values(name, array, file)
    variables = unflatten_dict({name: np.asarray(tensors[name], np.float32) for name in expected}, sep="/")
    return variables, config, source


def _fits(source: Source, architecture: Architecture) -> bool:
    layers = {name.partition("/")[2].rpartition("/")[0] for name in source.tensors}
    # The names alone tell nearly all networks apart, and drawing up the shapes of one takes seconds.
    return layers - {"fc"} == set(architecture.layers) and not any(_compare(source, architecture)[1])


def _compare(source: Source, architecture: Architecture) -> tuple[Architecture, Differences]:
    """The network that the file's tensors would be of, and what tells them from it.

    Other parts of the model are no difference, unless the network itself is not there.
    """
    bias = source.tensors.get("params/fc/bias")
    config = architecture.fitted(source.variant, None if bias is None else bias.size)
    expected, tensors = flat_shapes(config), source.tensors
    other_shape = [
        f"{name} (file {_shape(tensors[name])}, model {_shape(expected[name])})"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    only_in_model = [name for name in expected if name not in tensors]
    only_in_file = [*source.unknown, *(source.file_names[name] for name in tensors if name not in expected)]
    if only_in_model:
        only_in_file += source.other_parts
    return config, Differences(only_in_file, only_in_model, other_shape)


def flat_shapes(config: Architecture) -> dict[str, jax.ShapeDtypeStruct]:
    """Flax name -> shape and type of each of the network's variables; nothing is computed."""
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda key, x: config.network().init(key, x, train=False), key, image)
    return flatten_dict(variables, sep="/")


def _check_values(name: str, array: Any, file: str) -> None:
    if not jnp.issubdtype(array.dtype, jnp.floating):  # unlike NumPy's, this knows bfloat16
        raise UserError(
            f"{file}: {name} holds {array.dtype} values instead of floats: the file is quantised or damaged"
        )
    if not np.isfinite(array).all():
        raise UserError(f"{file}: {name} holds values that are not finite: the file is damaged, get it again")
    if name.endswith("/var") and (array < 0).any():
        raise UserError(f"{file}: {name} holds negative variances: the file is damaged, get it again")


def _shape(array: Any) -> str:
    return "x".join(map(str, array.shape)) or "scalar"
