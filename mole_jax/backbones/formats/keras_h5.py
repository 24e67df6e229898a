"""Keras' weights by layer: the legacy layer-group `.h5` (weights or whole model) and Keras 3's `.weights.h5`."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from jaxtyping import Shaped

from mole_jax.backbones.names import from_keras_layers
from mole_jax.backbones.weights import Read
from mole_jax.errors import UserError

# Bytes of all arrays together: a small HDF5 file can declare any size, and reading it would fill the memory. ResNet152
# with a classifier has 240 MB.
LARGEST: Final = 2**30
# How many bytes a stored one may become: weights hardly shrink at all.
MOST_COMPRESSED: Final = 100
# Where a .keras archive keeps the weights.
WEIGHTS: Final = "model.weights.h5"


def read_keras_h5(path: Path, content: io.BytesIO | None = None) -> Read:
    """Reads either layout.

    Args:
        path: of the file.
        content: the HDF5 file itself, where `path` is an archive that holds it.

    Raises:
        UserError: the file is damaged, is too large, is not a Keras weights file, or does not name its layers.
    """
    try:
        with h5py.File(path if content is None else content, "r") as file:
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
    return partial(from_keras_layers, layers, path=path, form=form, ignored=ignored)


def read_keras_archive(path: Path) -> Read:
    """Reads the .keras file that Keras 3 saves of a whole model: a zip archive with model.weights.h5 inside.

    Raises:
        UserError: as `read_keras_h5`; or the archive is damaged or has no weights.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(WEIGHTS)
            if info.file_size > LARGEST:
                raise UserError(f"{path} declares {info.file_size:,} bytes of weights, more than any backbone has")
            with archive.open(info) as member:
                content = io.BytesIO(member.read(LARGEST))
    except (KeyError, OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is a damaged .keras archive ({error}): save the model again") from error
    return read_keras_h5(path, content)


def _layers(file: h5py.File, path: Path) -> tuple[dict[str, list[Shaped[np.ndarray, "..."]]], str]:
    """Layer name -> its arrays, and the layout in words. Layers of a nested model are called MODEL/LAYER."""
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs or "layer_names0" in root.attrs:
        found, form = dict(_legacy_layers(root, path)), "Keras legacy .h5"
    elif "layers" in file:
        found, form = dict(_keras3_layers(file["layers"], path)), "Keras 3 .weights.h5"
    else:
        raise UserError(
            f"{path} is HDF5 but holds no Keras weights: give a legacy .h5 or a .weights.h5 of keras.applications"
        )
    if (size := sum(array.nbytes for arrays in found.values() for array in arrays)) > LARGEST:
        raise UserError(f"{path} declares {size:,} bytes of weights, more than any backbone has: it is damaged")
    return {layer: [_array(dataset, path) for dataset in datasets] for layer, datasets in found.items()}, form


def _legacy_layers(root: h5py.Group, path: Path) -> Iterator[tuple[str, list[h5py.Dataset]]]:
    for layer in _strings(root, "layer_names"):
        names = _strings(root[layer], "weight_names")
        # A nested model lists the weights of its layers as LAYER/kernel, with a name of its own.
        inner = [name.split("/")[0] for name in names]
        nested = len(set(inner)) > 1
        parts: dict[str, list[h5py.Dataset]] = {} if names else {layer: []}
        for name, of_layer in zip(names, inner, strict=True):
            parts.setdefault(f"{layer}/{of_layer}" if nested else layer, []).append(_dataset(root[layer], name, path))
        yield from parts.items()


def _keras3_layers(layers: h5py.Group, path: Path, prefix: str = "") -> Iterator[tuple[str, list[h5py.Dataset]]]:
    for key, layer in layers.items():
        weights = layer.get("vars", {})
        if "layers" in layer:
            name = layer["vars"].attrs["name"] if "vars" in layer and "name" in layer["vars"].attrs else key
            yield from _keras3_layers(layer["layers"], path, f"{prefix}{name}/")
        if len(weights) == 0:
            continue
        if "name" not in weights.attrs:
            raise UserError(
                f"{path} holds {key!r} without its layer's name (an older Keras 3 wrote it): load it in a newer Keras "
                "and save the weights again"
            )
        datasets = [_dataset(weights, str(i), path) for i in range(len(weights))]
        yield f"{prefix}{weights.attrs['name']}", datasets


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


def _dataset(group: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    """An array that is not read yet."""
    dataset = group[name]
    # Links and external storage could make a weights file read any other file of this machine.
    inside = isinstance(dataset, h5py.Dataset) and dataset.file.filename == group.file.filename
    if not inside or dataset.external or dataset.is_virtual:
        raise UserError(
            f"{path}: {group.name}/{name} does not lie in the file itself, so it is not read: use a plain weights file"
        )
    return dataset


def _array(dataset: h5py.Dataset, path: Path) -> Shaped[np.ndarray, "..."]:
    """The array. What was never written takes no room in the file, and may declare any."""
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > max(stored, 1) * MOST_COMPRESSED:
        raise UserError(f"{path}: {dataset.name} declares {dataset.nbytes:,} bytes and holds {stored:,}: it is damaged")
    return dataset[()]
