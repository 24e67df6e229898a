"""Ports ImageNet weights of Keras or torch into a safetensors file of Flax variables."""

from pathlib import Path
from typing import get_args

from absl import flags

from experiments import cli
from mole_jax.config import HINTS
from mole_jax.errors import UserError

DESCRIPTION = """Ports a network's ImageNet weights into one safetensors file of Flax variables.

  python -m experiments.port_weights --source=resnet50.safetensors --out=resnet50_flax.safetensors

Reads Keras .h5, .weights.h5 and .keras, .safetensors and .npz under the names of torchvision, timm or Hugging Face,
and torch .pth. Variant (v1, v1.5), preprocessing and origin go into the file and come back
with it. What the network does not use, such as a head of another kind, is left out and named."""

_SOURCE = flags.DEFINE_string(
    "source", None, "the weights file to read, or 'auto' for the network's published file", required=True
)
_OUT = flags.DEFINE_string("out", None, "the safetensors file to write", required=True)
_BACKBONE = flags.DEFINE_enum(
    "backbone",
    "resnet50",
    get_args(HINTS["backbone"]),
    "the network in the source, and the --backbone of the runs that will use it",
)


def run() -> None:
    """Reads, checks, writes, and prints what was found."""
    out = Path(_OUT.value).expanduser()
    if Path(_SOURCE.value).expanduser().resolve() == out.resolve():
        raise UserError(f"--out={out} is the source itself: give another name")

    from mole_jax.backbones import BACKBONES
    from mole_jax.backbones.formats.flax_safetensors import write_flax_safetensors
    from mole_jax.backbones.load import load_pretrained
    from mole_jax.backbones.weights import count_parameters

    pretrained = load_pretrained(_SOURCE.value, architecture=BACKBONES[_BACKBONE.value])
    write_flax_safetensors(out, pretrained)
    classes = pretrained.config.classes
    lines = {
        "source": pretrained.provenance.file,
        "sha256": pretrained.provenance.sha256,
        "format": pretrained.provenance.format,
        "network": f"{_BACKBONE.value} {pretrained.variant}",
        "classes": "no classifier" if classes is None else classes,
        "preprocessing": pretrained.preprocessing,
        "parameters": f"{count_parameters(pretrained.variables['params']):,}",
        "moving statistics": f"{count_parameters(pretrained.variables['batch_stats']):,}",
        "ignored": _summary(pretrained.ignored),
        "written": out,
    }
    for label, value in lines.items():
        print(f"{label:18} {value}")
    print(f"use it: python -m experiments.run --model=transfer --backbone={_BACKBONE.value} --weights={out}")


def _summary(names: tuple[str, ...]) -> str:
    """The counters of batches by their number, the others by name: `53 x num_batches_tracked, fc.1.weight`."""
    counters = sum(name.endswith("num_batches_tracked") for name in names)
    others = [name for name in names if not name.endswith("num_batches_tracked")]
    return ", ".join([*([f"{counters} x num_batches_tracked"] if counters else []), *others]) or "nothing"


if __name__ == "__main__":
    cli.main(run, description=DESCRIPTION)
