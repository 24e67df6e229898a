"""What a training step of the largest model holds on each device, and what the devices tell each other.

    XLA_FLAGS=--xla_force_host_platform_device_count=64 python -m benchmarks.footprint 1 8 64 8x8

The step of the transfer model with the paper's head (411 million parameters in its first layer, Adam) is compiled for
devices that a CPU pretends to have, from shapes alone: nothing is allocated, and nothing is timed. The partitioner is
the one that GPUs and TPUs have; their compilers may merge or split messages once more.
"""

import re
import sys
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mole_jax.config import RunConfig
from mole_jax.models.transfer import on_features
from mole_jax.placement import placement_of
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.state import initial_state
from mole_jax.training.steps import train_step

BATCH: Final = 512  # the paper's 500, divisible
FEATURES: Final = (7, 7, 2048)
BYTES: Final = {"pred": 1, "u8": 1, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4}
COLLECTIVE: Final = re.compile(
    r" = (?P<type>\(.*?\)|\S+) (?P<kind>all-reduce|reduce-scatter|all-gather|all-to-all|collective-permute)(-start)?\("
)


class Footprint(NamedTuple):
    """Bytes of one device.

    Attributes:
        state: parameters, the optimiser's moments and sums; the step writes the new ones in their place.
        batch: its share of the features and labels.
        temporary: what the step needs besides, gradients and activations.
        messages: (kind of collective, bytes of its result), in the order of the program.
    """

    state: int
    batch: int
    temporary: int
    messages: list[tuple[str, int]]


def footprint(mesh: str, *, batch: int = BATCH) -> Footprint:
    """Compiles the step for a mesh and reads what it takes.

    Args:
        mesh: as `--mesh`; the process must have as many devices.
        batch: images a step, of all devices.
    """
    config = RunConfig(model="transfer", mesh=mesh, batch_size=batch)
    model, placement = on_features("paper"), placement_of(config)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=(1, *FEATURES)))
    optimizer = build_optimizer(config, model.trainable(shapes["params"]))
    state = placement.shapes(
        jax.eval_shape(lambda: initial_state(model, optimizer, seed=0, input_shape=(1, *FEATURES)))
    )
    given = {
        name: jax.ShapeDtypeStruct((batch, *shape), dtype, sharding=placement.batch_sharding)
        for name, shape, dtype in (("image", FEATURES, jnp.float16), ("label", (), jnp.int32), ("mask", (), jnp.bool_))
    }
    step = train_step(model, optimizer, lambda features, _: features.astype("float32"), config)
    compiled = placement.jit_step(step, state).lower(state, given).compile()
    memory = compiled.memory_analysis()
    of_batch = _bytes_of_device({name: given[name] for name in ("image", "label")})  # nothing reads the mask here
    return Footprint(
        state=memory.argument_size_in_bytes - of_batch,
        batch=of_batch,
        temporary=memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes,
        messages=messages(compiled.as_text()),
    )


def messages(program: str) -> list[tuple[str, int]]:
    """The collectives of a compiled program: kind and bytes of what each device has after it.

    Args:
        program: HLO text.
    """
    return [(found["kind"], _bytes(found["type"])) for found in COLLECTIVE.finditer(program)]


def _bytes(of_type: str) -> int:
    return sum(
        BYTES[dtype] * int(np.prod([int(side) for side in sides.split(",") if side]))
        for dtype, sides in re.findall(r"(\w+)\[([\d,]*)\]", of_type)
    )


def _bytes_of_device(shapes: Any) -> int:
    return sum(
        int(np.prod(leaf.sharding.shard_shape(leaf.shape))) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes)
    )


def main(meshes: list[str]) -> None:
    """Prints a line a mesh."""
    print(f"the paper's head on stored features, Adam, batch {BATCH}; of each device")
    for mesh in meshes:
        found = footprint(mesh)
        kinds = {kind for kind, _ in found.messages}
        told = ", ".join(
            f"{sum(k == kind for k, _ in found.messages)} {kind} of "
            f"{sum(size for k, size in found.messages if k == kind) / 1e6:,.1f} MB"
            for kind in sorted(kinds)
        )
        print(
            f"mesh {mesh}: state {found.state / 1e9:.3f} GB, batch {found.batch / 1e6:.1f} MB, "
            f"temporary {found.temporary / 1e9:.3f} GB; {told or 'no messages'}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:] or ["1"])
