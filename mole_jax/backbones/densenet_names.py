"""A DenseNet's weights by other names: Keras, torchvision and timm."""

import re

from mole_jax.backbones.base import NameTable, Origin

_OUTER = {"conv0": "conv0", "norm0": "bn0", "norm5": "last_bn", "classifier": "fc"}
_KERAS_OUTER = {"conv1_conv": "conv0", "conv1_bn": "bn0", "bn": "last_bn", "predictions": "fc", "fc1000": "fc"}
# Keras counts the layers' batch norms and convolutions as they come, the first from 0.
_KERAS_INNER = {"0_bn": "bn1", "1_conv": "conv1", "1_bn": "bn2", "2_conv": "conv2"}


def _module(name: str) -> str | None:
    name = name.removeprefix("features.")
    if name in _OUTER:
        return _OUTER[name]
    if match := re.fullmatch(r"transition(\d+)\.(norm|conv)", name):
        return f"transition{match[1]}/{match[2].replace('norm', 'bn')}"
    # torchvision's own files have "norm.1" where its code, and timm, say "norm1".
    if match := re.fullmatch(r"denseblock(\d+)\.denselayer([1-9]\d*)\.(norm|conv)\.?([12])", name):
        return f"block{match[1]}_{int(match[2]) - 1}/{match[3].replace('norm', 'bn')}{match[4]}"
    return None


def _keras_module(layer: str) -> str | None:
    if layer in _KERAS_OUTER:
        return _KERAS_OUTER[layer]
    if match := re.fullmatch(r"pool([2-9])_(bn|conv)", layer):
        return f"transition{int(match[1]) - 1}/{match[2]}"
    if match := re.fullmatch(r"conv([2-9])_block([1-9]\d*)_(\d_(?:bn|conv))", layer):
        inner = _KERAS_INNER.get(match[3])
        return None if inner is None else f"block{int(match[1]) - 1}_{int(match[2]) - 1}/{inner}"
    return None


NAMES = NameTable(
    torch=Origin(
        _module, "torchvision", "torchvision", ("features.conv0.weight",), {"": "torchvision/timm state dict"}
    ),
    keras=Origin(
        _keras_module, "keras", "torchvision", ("conv1_conv",), {}
    ),  # DenseNet's preprocessing is mode="torch"
)
