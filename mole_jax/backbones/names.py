"""From a file's names and layout to ours, by a network's table of names."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from mole_jax.backbones.base import NameTable
from mole_jax.backbones.weights import Source
from mole_jax.errors import UserError

_FIELDS = {"weight": "params/{}/kernel", "bias": "params/{}/bias"}
_BATCH_NORM_FIELDS = {
    "weight": "params/{}/scale",
    "bias": "params/{}/bias",
    "running_mean": "batch_stats/{}/mean",
    "running_var": "batch_stats/{}/var",
}
# Keras keeps a layer's arrays in a fixed order, and goes by it too: the names beside them changed over time.
_KERAS_CONV_OR_DENSE = ("params/{}/kernel", "params/{}/bias")
_KERAS_BATCH_NORM = ("params/{}/scale", "params/{}/bias", "batch_stats/{}/mean", "batch_stats/{}/var")
# What a head is called. It stands behind the features and takes no part in them; anything else inside the network that
# has no place in ours makes it another network.
_HEADS = frozenset(
    ("classifier", "dense", "fc", "head", "heads", "last_linear", "linear", "logits", "mlp", "output", "proj")
)


def from_state_dict(state: Mapping[str, Shaped[np.ndarray, "..."]], table: NameTable) -> Source:
    """Renames and transposes a state dict, as torch has them.

    Where the network is part of a larger model, or wrapped, its names begin with the same words ("module.",
    "backbone."); what does not is of other parts.
    """
    origin = table.torch
    tensors, names = dict[str, Shaped[np.ndarray, "..."]](), dict[str, str]()
    unknown, ignored, others = list[str](), list[str](), list[str]()
    prefix = _prefix(state, origin.stems)
    for own_name, array in state.items():
        module_name, _, field = own_name.removeprefix(prefix).rpartition(".")
        module = origin.module(module_name) if own_name.startswith(prefix) else None
        if field == "num_batches_tracked":  # only for torch's cumulative average; no network here uses that
            ignored.append(own_name)
            continue
        is_norm = module is not None and re.search(r"bn\d?$", module)
        template = (_BATCH_NORM_FIELDS if is_norm else _FIELDS).get(field)
        if module is None or template is None:
            of_head = own_name.removeprefix(prefix).split(".")[0] in _HEADS and array.ndim < 4
            (others if of_head or not own_name.startswith(prefix) else unknown).append(own_name)
            continue
        name = template.format(module)
        tensors[name], names[name] = _to_flax_layout(array), own_name
    form = next(form for part, form in origin.forms.items() if any(part in name for name in state) or not part)
    return Source(
        form,
        origin.variant,
        origin.preprocessing,
        tensors,
        names,
        unknown=tuple(unknown),
        ignored=tuple(ignored),
        other_parts=tuple(others),
    )


def _prefix(names: Iterable[str], stems: tuple[str, ...]) -> str:
    """What the names of the network begin with before its own: "module.", "backbone.", ""; "" where none is found."""
    found = {name.removesuffix(stem) for name in names for stem in stems if name.endswith(f".{stem}")}
    prefixes = {prefix.removesuffix("resnet.") for prefix in found}  # Hugging Face's own, and its head has none
    return min(prefixes, key=len) if len(prefixes) == 1 else ""


def _to_flax_layout(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    if array.ndim == 4:  # OIHW -> HWIO, also of depthwise kernels, whose I is 1
        return array.transpose(2, 3, 1, 0)
    return array.T  # dense kernels; vectors stay as they are


def from_keras_layers(
    layers: Mapping[str, list[Shaped[np.ndarray, "..."]]],
    table: NameTable,
    *,
    path: Path,
    form: str,
    ignored: tuple[str, ...],
) -> Source:
    """Renames Keras' layers, also where the network is one layer of a larger model.

    Args:
        layers: a layer's name -> its arrays; those of a nested model are called MODEL/LAYER.
        table: the network's names.
        path: of the file, for messages.
        form: the file's layout, in words.
        ignored: the file's names that are left out on purpose.

    Raises:
        UserError: it holds several networks, or one of an older Keras.
    """
    if old := [layer for layer in layers if re.fullmatch(r"(res|bn)\d[a-z]\d*_branch\d[a-z]?", layer)]:
        raise UserError(
            f"{path} is Keras' ResNet file of 2016 (its layers are called {old[0]} and the like), whose network pads "
            "and normalises otherwise: give the later file of the same name (MD5 4d473c1dd8becc155b73f8504c6f6626), "
            "which 'auto' downloads"
        )
    origin = table.keras
    # Keras' DenseNet files of 2018 have a slash in two names, which are no layers of a nested model.
    layers = {re.sub(r"(^|/)conv1/(conv|bn)$", r"\1conv1_\2", layer): arrays for layer, arrays in layers.items()}
    nested = [layer.rpartition("/")[0] for layer in layers if layer.rpartition("/")[2] in origin.stems]
    if len(nested) > 1:
        raise UserError(f"{path} holds {len(nested)} networks ({', '.join(nested)}): save one of them by itself")
    network = nested[0] if nested else ""
    tensors, names, unknown, others = {}, {}, [], []
    for layer, arrays in layers.items():
        model, _, own_name = layer.rpartition("/")
        module = origin.module(own_name) if model == network else None
        templates = _KERAS_BATCH_NORM if own_name.endswith("bn") else _KERAS_CONV_OR_DENSE
        if module is None and (model != network or all(array.ndim < 4 for array in arrays)):
            others += [layer] if arrays else []
            continue
        for i, array in enumerate(arrays):
            if module is None or i >= len(templates):
                unknown.append(f"{layer}[{i}]")
                continue
            name = templates[i].format(module)
            tensors[name], names[name] = array, f"{layer}[{i}]"
    return Source(
        form,
        origin.variant,
        origin.preprocessing,
        tensors,
        names,
        tuple(unknown),
        ignored,
        other_parts=tuple(others),
    )
