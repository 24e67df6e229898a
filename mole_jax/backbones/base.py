"""The contract of a pretrained network: what it is apart from its weights, and what others call those weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.inputs.normalize import Preprocessing

# The name, in a file or in ours, of a module ("layer1.0.conv1", "layer1_0/conv1"); None where it has no place.
Module = Callable[[str], str | None]


@dataclass(frozen=True)
class Origin:
    """What the files of one library hold.

    Attributes:
        module: the library's name of a module -> ours.
        variant: the graph that its weights were trained in.
        preprocessing: how the images were normalised that they were trained on.
        stems: the first kernel's name (in Keras, its layer's), in each way to write it, whatever larger model it is
            part of.
        forms: what a state dict is called, by a part that some of its names have; the first that fits.
        doubts: what people are told of a form that could also be another network's.
    """

    module: Module
    variant: str
    preprocessing: Preprocessing
    stems: tuple[str, ...]
    forms: Mapping[str, str]
    doubts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NameTable:
    """What other libraries call a network's weights: state dicts as torch has them, and Keras' layers."""

    torch: Origin
    keras: Origin


@runtime_checkable
class Architecture(Protocol):
    """A network apart from its weights: a frozen dataclass of JSON values, which decide the graph and the variables.

    Batch norms have names that end in "bn" or "bn1", and the classifier, where there is one, is called "fc".
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def variant(self) -> str:
        """Which of several graphs with kernels of the same shapes it is, as libraries differ in."""
        ...

    @property
    def classes(self) -> int | None:
        """Outputs of the classifier; None: the output is the last feature map."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the images, in pixels, that its published weights were trained on; others work too."""
        ...

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the feature maps that `network` gives by name, from the input on; the last is "features"."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of convolutions and batch norms from the input on ("layer4_2/conv3"): the order of unfreezing."""
        ...

    @property
    def trains_by_chunks(self) -> bool:
        """Whether all its gradients are fast in a loop on a CPU (`chunks.py: in_training_chunks`)."""
        ...

    @property
    def names(self) -> NameTable:
        """What its weights are called elsewhere."""
        ...

    def network(
        self, *, dtype: DTypeLike = jnp.float32, bn_momentum: float = 0.9, name: str | None = None
    ) -> nn.Module:
        """The Linen module: (images [b, h, w, 3] float, *, train) -> (output, named).

        `output` is the logits [b, classes] in float32, or without a classifier the last feature map. `named` has every
        level [b, h2, w2, c] and "pooled" [b, c], the average of "features", in float32.

        Args:
            dtype: of convolutions and activations, float32 or bfloat16.
            bn_momentum: share of the old moving statistics that an update keeps, 0..1.
            name: of the module among its parent's.
        """
        ...

    def fitted(self, variant: str, classes: int | None) -> "Architecture":
        """The same network as a file has it: in its variant, with its classifier."""
        ...


def outputs(
    x: Float[Array, "b h w c"], named: Mapping[str, Array], classes: int | None
) -> tuple[Array, dict[str, Array]]:
    """What every network ends with, as `Architecture.network` says; inside its module, of which the classifier is part.

    Args:
        x: the last feature map.
        named: the levels before it.
        classes: outputs of the classifier; None: no classifier.
    """
    pooled = x.mean(axis=(1, 2), dtype=jnp.float32)
    named = {**named, "features": x, "pooled": pooled}
    return (x if classes is None else nn.Dense(classes, name="fc")(pooled)), named
