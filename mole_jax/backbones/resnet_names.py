"""A ResNet's weights by other names: Keras, torchvision, timm and Hugging Face (microsoft/resnet-50)."""

import re

from mole_jax.backbones.base import NameTable, Origin


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


def _keras_module(layer: str) -> str | None:
    """Our name of a Keras layer. Keras counts stages from 2 and blocks from 1, and calls the shortcut convolution 0."""
    if layer in ("predictions", "probs"):  # the official files say "probs"
        return "fc"
    if match := re.fullmatch(r"conv1_(conv|bn)", layer):
        return f"{match[1]}1"
    if match := re.fullmatch(r"conv([2-9])_block([1-9]\d*)_(\d)_(conv|bn)", layer):
        stage, block, position, kind = int(match[1]) - 1, int(match[2]) - 1, match[3], match[4]
        return f"layer{stage}_{block}/" + (f"downsample_{kind}" if position == "0" else f"{kind}{position}")
    return None


# The names do not tell v1 from v1.5. All of torchvision, timm and microsoft/resnet-* under these names are v1.5.
NAMES = NameTable(
    torch=Origin(
        _module,
        "v1.5",
        "torchvision",
        ("layer1.0.conv1.weight", "encoder.stages.0.layers.0.layer.0.convolution.weight"),
        {"embedder.": "Hugging Face state dict", "": "torchvision/timm state dict"},
    ),
    keras=Origin(_keras_module, "v1", "keras", ("conv1_conv",), {}),
)
