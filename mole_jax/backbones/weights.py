"""Weights in memory: `Source`, as a file's reader gives them, and `Pretrained`, matched to a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from mole_jax.backbones.base import Architecture, NameTable
from mole_jax.inputs.normalize import Preprocessing


@dataclass(frozen=True)
class Provenance:
    """Where weights came from."""

    file: str  # its name without the folder; empty for random weights
    sha256: str  # of the file's bytes; empty for random weights
    format: str  # as in `Source.format`, or "random"
    note: str = ""  # such as what a ported file was ported from


@dataclass(frozen=True)
class Source:
    """One file's tensors under our names and in our layout, not yet compared with a network.

    Attributes:
        format: the layout that was recognised, in words.
        variant: the graph that the weights were trained in, as `Architecture.variant`.
        preprocessing: how the images were normalised that they were trained on.
        tensors: Flax name ("params/conv1/kernel") -> array; convolutions are HWIO, dense kernels [in, out].
        file_names: Flax name -> the file's own name, for messages.
        unknown: the file's names that have no place in the network.
        ignored: the file's names that are left out on purpose.
        note: what to add to the provenance, such as what the file was ported from.
        other_parts: the file's names of what lies outside of the network, such as a head of another kind.
    """

    format: str
    variant: str
    preprocessing: Preprocessing
    tensors: Mapping[str, Shaped[np.ndarray, "..."]]
    file_names: Mapping[str, str]
    unknown: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    note: str = ""
    other_parts: tuple[str, ...] = ()


# A file that was read, to be looked at with one network's names; of another network much is then unknown.
Read = Callable[[NameTable], Source]


@dataclass(frozen=True)
class Pretrained:
    """Weights with everything needed to use them correctly.

    Attributes:
        variables: {"params": ..., "batch_stats": ...} of `config.network()`, float32 NumPy arrays.
        config: the network, its variant included.
        preprocessing: how to normalise images for these weights (`Inputs.normalize`); None for random ones.
        provenance: the file that they came from, its checksum and its format.
        ignored: the file's names that were left out on purpose.
    """

    variables: dict[str, Any]
    config: Architecture
    preprocessing: Preprocessing | None
    provenance: Provenance
    ignored: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """The graph, as `Architecture.variant`."""
        return self.config.variant

    def describe(self) -> dict[str, str | None]:
        """What a run's `config.json` records about its weights."""
        origin = self.provenance
        return {
            "file": origin.file,
            "sha256": origin.sha256,
            "format": origin.format,
            "note": origin.note,
            "variant": self.variant,
            "preprocessing": self.preprocessing,
        }


def count_parameters(tree: Any) -> int:
    """The number of values in all arrays of a pytree.

    Keras counts moving statistics as parameters (pass `variables`); torch does not (pass `variables["params"]`).
    """
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(tree))
