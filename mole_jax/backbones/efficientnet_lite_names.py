"""An EfficientNet-Lite's weights by other names: the authors' weights in PyTorch, and timm.

Keras Applications has none.
"""

import re
from collections.abc import Sequence

from mole_jax.backbones.base import NameTable, Origin

_OUTER = {
    "_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "head_conv", "_bn1": "head_bn", "_fc": "fc",
    "conv_stem": "stem_conv", "bn1": "stem_bn", "conv_head": "head_conv", "bn2": "head_bn", "classifier": "fc",
}  # fmt: skip
_INNER = {
    "_expand_conv": "expand_conv", "_bn0": "expand_bn", "_depthwise_conv": "depthwise_conv", "_bn1": "depthwise_bn",
    "_project_conv": "project_conv", "_bn2": "project_bn",
}  # fmt: skip
_TIMM = {
    "conv_pw": "expand_conv", "bn1": "expand_bn", "conv_dw": "depthwise_conv", "bn2": "depthwise_bn",
    "conv_pwl": "project_conv", "bn3": "project_bn",
}  # fmt: skip
# The first stage has nothing to expand, so that timm counts its layers otherwise.
_TIMM_FIRST = {"conv_dw": "depthwise_conv", "bn1": "depthwise_bn", "conv_pw": "project_conv", "bn2": "project_bn"}

_TIMM_FORM = "timm state dict"


def name_table(blocks: Sequence[str]) -> NameTable:
    """The names of a network with these blocks ("stage1_0", ...), which the authors' port counts from 0 to the last."""

    def module(name: str) -> str | None:
        if name in _OUTER:
            return _OUTER[name]
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", name):
            number, inner = int(match[1]), _INNER.get(match[2])
            return f"{blocks[number]}/{inner}" if inner is not None and number < len(blocks) else None
        if match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(\w+)", name):
            inner = (_TIMM_FIRST if match[1] == "0" else _TIMM).get(match[3])
            return None if inner is None else f"stage{int(match[1]) + 1}_{match[2]}/{inner}"
        return None

    return NameTable(
        torch=Origin(
            module,
            "tf",
            "efficientnet_lite",
            ("_conv_stem.weight", "conv_stem.weight"),
            {"_blocks.": "EfficientNet-Lite PyTorch state dict", "": _TIMM_FORM},
            {
                _TIMM_FORM: "timm has two networks under these names: the file is taken for a tf_efficientnet_lite; "
                "efficientnet_lite0.ra_in1k pads and normalises otherwise, and would give wrong features here"
            },
        ),
        keras=Origin(lambda _: None, "tf", "efficientnet_lite", (), {}),
    )
