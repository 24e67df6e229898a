"""Keras Applications' ResNets: the legacy layer-group `.h5` (weights or whole model) and Keras 3's `.weights.h5`."""

from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from mole_jax.backbones.resnet_names import keras_module
from mole_jax.backbones.weights import Source
from mole_jax.errors import UserError

# Both layouts keep a layer's arrays in a fixed order. Keras goes by it too: the names beside them changed over time.
_CONV_OR_DENSE = ("params/{}/kernel", "params/{}/bias")
_BATCH_NORM = ("params/{}/scale", "params/{}/bias", "batch_stats/{}/mean", "batch_stats/{}/var")
_LARGEST = 2**30  # bytes of one dataset: a small HDF5 file can declare any size, and reading it would fill the memory


def read_keras_h5(path: Path) -> Source:
    """Reads either layout; the variant is v1 and the preprocessing Keras' own.

    Raises:
        UserError: the file is damaged, is not a Keras weights file, or does not name its layers.
    """
    try:
        with h5py.File(path, "r") as file:
            layers, form = _layers(file, path)
            ignored = tuple(name for name in ("optimizer", "optimizer_weights") if name in file)
    except UserError:
        raise
    except (
        OSError,
        LookupError,
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:  # h5py on altered files
        raise UserError(f"{path} is a damaged HDF5 file ({error}): download or save it again") from error
    tensors, names, unknown = {}, {}, []
    for layer, arrays in layers.items():
        module = keras_module(layer)
        templates = _BATCH_NORM if layer.endswith("_bn") else _CONV_OR_DENSE
        for i, array in enumerate(arrays):
            if module is None or i >= len(templates):
                unknown.append(f"{layer}[{i}]")
                continue
            name = templates[i].format(module)
            tensors[name], names[name] = array, f"{layer}[{i}]"
    return Source(form, "v1", "keras", tensors, names, unknown=tuple(unknown), ignored=ignored)


def _layers(file: h5py.File, path: Path) -> tuple[dict[str, list[Shaped[np.ndarray, "..."]]], str]:
    """Layer name -> its arrays, and the layout in words."""
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs or "layer_names0" in root.attrs:
        names = _strings(root, "layer_names")
        return {name: _legacy_arrays(root, name, path) for name in names}, "Keras legacy .h5"
    if "layers" in file:
        return _keras3_layers(file["layers"], path), "Keras 3 .weights.h5"
    raise UserError(
        f"{path} is HDF5 but holds no Keras weights: give a legacy .h5 or a .weights.h5 of keras.applications"
    )


def _legacy_arrays(root: h5py.Group, layer: str, path: Path) -> list[Shaped[np.ndarray, "..."]]:
    group = root[layer]
    return [_array(group, name, path) for name in _strings(group, "weight_names")]


def _keras3_layers(layers: h5py.Group, path: Path) -> dict[str, list[Shaped[np.ndarray, "..."]]]:
    found = {}
    for key, layer in layers.items():
        weights = layer.get("vars", {})
        if len(weights) == 0:
            continue
        if "name" not in weights.attrs:
            raise UserError(
                f"{path} holds {key!r} without its layer's name (an older Keras 3 wrote it): load it in a newer Keras "
                "and save the weights again"
            )
        found[str(weights.attrs["name"])] = [_array(weights, str(i), path) for i in range(len(weights))]
    return found


def _strings(group: h5py.Group, attribute: str) -> list[str]:
    """A list of strings, which Keras splits into attribute0, attribute1, ... where it is over HDF5's header limit."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        parts, i = [], 0
        while f"{attribute}{i}" in group.attrs:
            parts.append(group.attrs[f"{attribute}{i}"])
            i += 1
    return [value.decode() if isinstance(value, bytes) else str(value) for part in parts for value in part]


def _array(group: h5py.Group, name: str, path: Path) -> Shaped[np.ndarray, "..."]:
    dataset = group[name]
    # Links and external storage could make a weights file read any other file of this machine.
    inside = isinstance(dataset, h5py.Dataset) and dataset.file.filename == group.file.filename
    if not inside or dataset.external or dataset.is_virtual:
        raise UserError(
            f"{path}: {group.name}/{name} does not lie in the file itself, so it is not read: use a plain weights file"
        )
    if dataset.nbytes > _LARGEST:
        raise UserError(
            f"{path}: {group.name}/{name} declares {dataset.nbytes:,} bytes, more than any ResNet has: it is damaged"
        )
    return dataset[()]
