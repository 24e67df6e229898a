"""A ResNet's weights by other names: Keras, torchvision, timm and Hugging Face (microsoft/resnet-50)."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Shaped

from mole_jax.backbones.weights import Source

_FIELDS = {"weight": "params/{}/kernel", "bias": "params/{}/bias"}
_BATCH_NORM_FIELDS = {
    "weight": "params/{}/scale",
    "bias": "params/{}/bias",
    "running_mean": "batch_stats/{}/mean",
    "running_var": "batch_stats/{}/var",
}


# What a head is called. It stands behind the features and takes no part in them; anything else inside the network that
# has no place in ours makes it another network.
_HEADS = frozenset(
    ("classifier", "dense", "fc", "head", "heads", "last_linear", "linear", "logits", "mlp", "output", "proj")
)


def from_state_dict(state: Mapping[str, Shaped[np.ndarray, "..."]]) -> Source:
    """Renames and transposes a state dict; the variant is v1.5 and the preprocessing torchvision's.

    The names do not tell v1 from v1.5. All of torchvision, timm and microsoft/resnet-* under these names are v1.5.
    Where the network is part of a larger model, or wrapped, its names begin with the same words ("module.",
    "backbone."); what does not is of other parts.
    """
    tensors, names = dict[str, Shaped[np.ndarray, "..."]](), dict[str, str]()
    unknown, ignored, others = list[str](), list[str](), list[str]()
    prefix = _prefix(state)
    for own_name, array in state.items():
        module_name, _, field = own_name.removeprefix(prefix).rpartition(".")
        module = _module(module_name) if own_name.startswith(prefix) else None
        if field == "num_batches_tracked":  # only for torch's cumulative average; no ResNet here uses that
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
    hugging_face = any("embedder." in name for name in state)
    form = "Hugging Face state dict" if hugging_face else "torchvision/timm state dict"
    return Source(
        form,
        "v1.5",
        "torchvision",
        tensors,
        names,
        unknown=tuple(unknown),
        ignored=tuple(ignored),
        other_parts=tuple(others),
    )


def _prefix(names: Iterable[str]) -> str:
    """What the names of the network begin with before its own: "module.", "backbone.", ""; "" where none is found."""
    stems = ("layer1.0.conv1.weight", "encoder.stages.0.layers.0.layer.0.convolution.weight")
    found = {name.removesuffix(stem) for name in names for stem in stems if name.endswith(f".{stem}")}
    prefixes = {prefix.removesuffix("resnet.") for prefix in found}  # Hugging Face's own, and its head has none
    return min(prefixes, key=len) if len(prefixes) == 1 else ""


def _to_flax_layout(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    if array.ndim == 4:  # OIHW -> HWIO
        return array.transpose(2, 3, 1, 0)
    return array.T  # dense kernels; vectors stay as they are


def _module(name: str) -> str | None:
    """Our name of a torch module."""
    return _torchvision_module(name) or _hugging_face_module(name.removeprefix("resnet."))


def _torchvision_module(name: str) -> str | None:
    if name in ("conv1", "bn1", "fc"):
        return name
    if match := re.fullmatch(r"layer(\d+)\.(\d+)\.((?:conv|bn)\d)", name):
        return f"layer{match[1]}_{match[2]}/{match[3]}"
    if match := re.fullmatch(r"layer(\d+)\.(\d+)\.downsample\.([01])", name):
        return f"layer{match[1]}_{match[2]}/downsample_{('conv', 'bn')[int(match[3])]}"
    return None


_HUGGING_FACE_KINDS = {"convolution": "conv", "normalization": "bn"}


def _hugging_face_module(name: str) -> str | None:
    """Hugging Face counts stages and the convolutions of a block from 0."""
    if name == "classifier.1":
        return "fc"
    if match := re.fullmatch(r"embedder\.embedder\.(convolution|normalization)", name):
        return f"{_HUGGING_FACE_KINDS[match[1]]}1"
    pattern = r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d)|shortcut)\.(convolution|normalization)"
    if match := re.fullmatch(pattern, name):
        stage, block, position, kind = int(match[1]) + 1, match[2], match[3], _HUGGING_FACE_KINDS[match[4]]
        return f"layer{stage}_{block}/" + (f"downsample_{kind}" if position is None else f"{kind}{int(position) + 1}")
    return None


def keras_module(layer: str) -> str | None:
    """Our name of a Keras layer. Keras counts stages from 2 and blocks from 1, and calls the shortcut convolution 0."""
    if layer in ("predictions", "probs"):  # the official files say "probs"
        return "fc"
    if match := re.fullmatch(r"conv1_(conv|bn)", layer):
        return f"{match[1]}1"
    if match := re.fullmatch(r"conv([2-9])_block([1-9]\d*)_(\d)_(conv|bn)", layer):
        stage, block, position, kind = int(match[1]) - 1, int(match[2]) - 1, match[3], match[4]
        return f"layer{stage}_{block}/" + (f"downsample_{kind}" if position == "0" else f"{kind}{position}")
    return None
