"""Pretrained networks, each beside the names that its weights have in other libraries."""

import dataclasses
from typing import Any

from mole_jax.backbones.base import Architecture
from mole_jax.backbones.densenet import DenseNetConfig
from mole_jax.backbones.efficientnet_lite import EfficientNetLiteConfig
from mole_jax.backbones.resnet import ResNetConfig

BACKBONES: dict[str, Architecture] = {
    "resnet18": ResNetConfig(block="basic", stage_sizes=(2, 2, 2, 2)),
    "resnet34": ResNetConfig(block="basic", stage_sizes=(3, 4, 6, 3)),
    "resnet50": ResNetConfig(stage_sizes=(3, 4, 6, 3)),
    "resnet101": ResNetConfig(stage_sizes=(3, 4, 23, 3)),
    "resnet152": ResNetConfig(stage_sizes=(3, 8, 36, 3)),
    "densenet121": DenseNetConfig(block_sizes=(6, 12, 24, 16)),
    "efficientnet_lite0": EfficientNetLiteConfig(),
    "efficientnet_lite2": EfficientNetLiteConfig(width=1.1, depth=1.2, image_size=260),
}
# One dataclass a family, by the name under which a stored classifier says which it is.
FAMILIES: dict[str, type[Any]] = {
    "resnet": ResNetConfig,
    "densenet": DenseNetConfig,
    "efficientnet_lite": EfficientNetLiteConfig,
}


def name_of(architecture: Architecture) -> str:
    """Its key in BACKBONES, whatever its variant and classes; else its fields in words."""
    fields = _shape(architecture)
    return next((name for name, known in BACKBONES.items() if _shape(known) == fields), str(architecture))


def _shape(architecture: Architecture) -> tuple[type, dict[str, Any]]:
    fields = dataclasses.asdict(architecture)
    return type(architecture), {name: fields[name] for name in fields.keys() - {"variant", "classes"}}


def family_of(architecture: Architecture) -> str:
    """Its family's key in FAMILIES."""
    return next(family for family, kind in FAMILIES.items() if type(architecture) is kind)
