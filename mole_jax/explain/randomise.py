"""The same network knowing less: its layers made random one after the other, from the output on."""

import math
from collections.abc import Sequence
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from mole_jax.explain.explained import Explained
from mole_jax.explain.modules import parameter_layers
from mole_jax.models.base import Variables

SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the layers; at least the last one


def cascade(explained: Explained, *, seed: int) -> list[tuple[str, Explained]]:
    """The network with more and more random layers, each step with its name: the last layer, ..., all layers.

    Source: Adebayo et al. 2018, arXiv:1810.03292, section 3.1 (cascading randomisation), in five steps.

    Args:
        explained: the trained network.
        seed: of the draws.
    """
    layers = parameter_layers(explained.model, explained.variables)[::-1]
    drawn = random_variables(explained.variables, seed=seed)
    counts = sorted({max(1, round(share * len(layers))) for share in SHARES})
    return [
        (_words(count, layers), explained.replaced(_mixed(explained.variables, drawn, layers[:count])))
        for count in counts
    ]


def random_variables(variables: Variables, *, seed: int) -> Variables:
    """A network of these shapes that knows nothing: normal kernels with variance 2 / inputs, batch norm doing nothing.

    Whatever a model's own initialiser draws (the logistic regression's are zeros, of which no map can be made).

    Source: He et al. 2015, arXiv:1502.01852, equation 10.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(variables)
    drawn = [_drawn(path[-1].key, leaf, np.random.default_rng([seed, i])) for i, (path, leaf) in enumerate(leaves)]
    random: Variables = jax.tree_util.tree_unflatten(structure, map(jnp.asarray, drawn))
    return random


def _drawn(name: str, leaf: jax.Array, random: np.random.Generator) -> np.ndarray:
    if name == "kernel":
        inputs = math.prod(leaf.shape[:-1])
        return np.float32(math.sqrt(2 / inputs)) * random.standard_normal(leaf.shape, np.float32)
    if name == "phase":
        return random.uniform(0, 2 * math.pi, leaf.shape).astype(np.float32)
    return np.full(leaf.shape, name in ("scale", "var"), np.float32)


def _mixed(trained: Variables, drawn: Variables, layers: Sequence[str]) -> Variables:
    chosen = frozenset(layers)

    def pick(path: tuple[Any, ...], mine: jax.Array, other: jax.Array) -> jax.Array:
        return other if "/".join(key.key for key in path[1:-1]) in chosen else mine

    mixed: Variables = jax.tree_util.tree_map_with_path(pick, trained, drawn)
    return mixed


def _words(count: int, layers: Sequence[str]) -> str:
    if count == len(layers):
        return "all layers" if count > 1 else f"the only layer, {layers[0]}"
    return f"the last layer, {layers[0]}" if count == 1 else f"the last {count} of {len(layers)} layers"
