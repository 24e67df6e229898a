"""Where arrays lie: the one module that puts them on devices.

A run computes on a mesh of devices with two axes. "data": each device has an equal share of every batch. "model": the
devices of one share hold parts of the large parameters; everything else is whole on each of them. XLA adds what they
must tell each other, so that a step computes the same numbers on any mesh, up to the order of its sums. One device is
the same code on a mesh of 1x1. Of several processes each puts its own share of a batch on its own devices, and what
lies everywhere is the same in all of them.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mole_jax.config import RunConfig
from mole_jax.errors import UserError

DATA: Final = "data"
MODEL: Final = "model"
# Numbers in a kernel that is worth parting: 64 MB of float32, 200 MB with Adam's moments. The first layers of the
# paper's head (411 million) and of the MLP (154 million) are; no other has 10 million.
LARGE = 2**24


@dataclass(frozen=True)
class OnMesh:
    """A function compiled for a mesh."""

    function: Any  # what `jax.jit` gives
    mesh: Mesh

    def __call__(self, *args: Any) -> Any:
        """Runs it; while it is traced, `mole_jax.chunks.on_cpu` sees the mesh."""
        with jax.set_mesh(self.mesh):
            return self.function(*args)

    def lower(self, *args: Any) -> Any:
        """Gives `jax.stages.Lowered` for arrays or shapes; nothing is computed."""
        with jax.set_mesh(self.mesh):
            return self.function.lower(*args)


@dataclass(frozen=True)
class Placement:
    """Which devices compute, and where each array lies on them.

    Attributes:
        mesh: of the axes "data" and "model".
        shard_params: whether large kernels are parted over "model"; otherwise they are whole on each device.
    """

    mesh: Mesh
    shard_params: bool = True

    @property
    def shares(self) -> int:
        """In how many shares a batch is divided."""
        return int(self.mesh.shape[DATA])

    @property
    def everywhere_sharding(self) -> NamedSharding:
        """Whole on each device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch_sharding(self) -> NamedSharding:
        """The first axis in shares, one for each place along "data"."""
        return NamedSharding(self.mesh, PartitionSpec(DATA))

    def shardings(self, tree: Any) -> Any:
        """Where each leaf of variables, an optimiser's state or a train state lies.

        A leaf's shape decides, so that a kernel and its moments lie alike.

        Args:
            tree: a pytree of arrays or shapes.
        """
        return jax.tree.map(
            lambda leaf: NamedSharding(self.mesh, self._spec(tuple(leaf.shape))),
            tree,
        )

    def shapes(self, tree: Any) -> Any:
        """The shapes of a state, each with where it lies, as `Checkpoints.restore` wants them."""
        return jax.tree.map(
            lambda leaf, lies: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=lies), tree, self.shardings(tree)
        )

    def state(self, tree: Any) -> Any:
        """Puts variables or a train state on the devices."""
        return _put(tree, self.shardings(tree))

    def everywhere(self, tree: Any) -> Any:
        """Puts a pytree of arrays on each device, whole."""
        return _put(tree, jax.tree.map(lambda _: self.everywhere_sharding, tree))

    def rows(self, size: int) -> slice:
        """Which rows of a batch of `size` this process is to read: all, or of several processes its own."""
        places = self.batch_sharding.addressable_devices_indices_map((size,)).values()
        of_devices = [place[0].indices(size) for place in places if place is not None]
        return slice(min(start for start, _, _ in of_devices), max(stop for _, stop, _ in of_devices))

    def batch(self, tree: Any) -> Any:
        """Puts a pytree of arrays [rows, ...] on the devices, each its share; the number of shares divides the batch.

        Args:
            tree: the rows of a batch that `rows` names.
        """
        if jax.process_count() == 1:
            return jax.device_put(tree, self.batch_sharding)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self.batch_sharding, x), tree)

    def gathered(self, tree: Any) -> Any:
        """Arrays that were computed on the devices, each whole in this process, as NumPy's; a collective work of all
        processes.
        """
        if jax.process_count() == 1:
            return tree
        return jax.tree.map(np.asarray, self.jit(_same, out=self.everywhere_sharding)(tree))

    def shared(self, tree: Any) -> Any:
        """Inside a compiled function: a batch that was taken from arrays that lie everywhere, as if by `batch`."""
        return jax.lax.with_sharding_constraint(tree, self.batch_sharding)

    def jit(self, function: Callable[..., Any], *, out: Any = None, donate: tuple[int, ...] = ()) -> OnMesh:
        """Compiles a function for the mesh; it computes where its arguments lie.

        Args:
            function: pure.
            out: where its results lie, a prefix of their tree; None: where XLA leaves them.
            donate: the arguments whose memory the results may take.
        """
        return OnMesh(jax.jit(function, out_shardings=out, donate_argnums=donate), self.mesh)

    def jit_step(self, step: Callable[..., Any], state: Any) -> OnMesh:
        """Compiles (state, ...) -> (state, figures) for the mesh; the state's memory is taken over.

        Args:
            step: pure.
            state: a state, or its shapes; the new one lies as it does.
        """
        return self.jit(step, out=(self.shardings(state), self.everywhere_sharding), donate=(0,))

    def describe(self, state: Any) -> str:
        """One line for people; "" where there is but one device to choose from.

        Args:
            state: a state, or its shapes.
        """
        there, used, parts = len(jax.devices()), self.mesh.size, int(self.mesh.shape[MODEL])
        if there == 1:
            return ""
        of = f"{used} of {there} devices"
        of += f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
        line = f"{of}: each batch in {self.shares} share{'s' if self.shares > 1 else ''}"
        if parts == 1:
            return line
        parted = sum(lies.spec != PartitionSpec() for lies in jax.tree.leaves(self.shardings(state)))
        if parted:
            return f"{line}, {parted} large arrays in {parts} parts"
        return (
            f"{line}; no array is parted, so that each {parts} devices do the same work: --mesh={used} would use them"
        )

    def _spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        parts = int(self.mesh.shape[MODEL])
        large = len(shape) == 2 and math.prod(shape) >= LARGE and shape[1] % parts == 0
        # By output: each device multiplies all of its images' features with its part of the layer.
        return PartitionSpec(None, MODEL) if self.shard_params and parts > 1 and large else PartitionSpec()


def one_device() -> Placement:
    """Everything on the first device of this process."""
    return Placement(_mesh(1, 1, jax.local_devices()))


def placement_of(config: RunConfig) -> Placement:
    """The placement that a run asks for.

    With `mesh="auto"`, as many devices as share its batch equally, and no parted arrays.

    Args:
        config: `mesh`, `shard_params` and `batch_size` are read.

    Raises:
        UserError: `mesh` is malformed, or larger than the devices that there are, or cannot share the batch.
    """
    data, model = _shape(config.mesh, config.batch_size)
    needed, there = data * model, len(jax.devices())
    if needed > there:
        try_out = (
            f", or try it out on this CPU with XLA_FLAGS=--xla_force_host_platform_device_count={needed}"
            if jax.default_backend() == "cpu"
            else ""
        )
        raise UserError(
            f"mesh={config.mesh!r} needs {needed} devices and this machine has {there} "
            f"({jax.devices()[0].device_kind}): give --mesh=auto{try_out}"
        )
    if config.batch_size % data:
        up = -(-config.batch_size // data) * data
        raise UserError(
            f"mesh={config.mesh!r} divides each batch in {data} shares, and batch_size={config.batch_size} cannot be "
            f"divided so: give --batch_size={up} or --mesh=auto"
        )
    if jax.process_count() > 1 and needed < there:
        raise UserError(
            f"mesh={config.mesh!r} and batch_size={config.batch_size} leave {there - needed} of the {there} devices of "
            f"{jax.process_count()} processes idle, and all have to take part: give --mesh={there} with a --batch_size "
            f"that {there} divides"
        )
    return Placement(_mesh(data, model), config.shard_params == "auto")


def _shape(mesh: str, batch_size: int) -> tuple[int, int]:
    if mesh == "auto":
        return max(n for n in range(1, len(jax.devices()) + 1) if batch_size % n == 0), 1
    if not (found := re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", mesh, re.ASCII)):
        raise UserError(
            f"mesh={mesh!r} is no mesh: give --mesh=auto, a number of devices such as --mesh=8, or two such as "
            "--mesh=4x2, shares of a batch times parts of the large layers"
        )
    return int(found[1]), int(found[2] or 1)


def _mesh(data: int, model: int, devices: list[Any] | None = None) -> Mesh:
    devices = jax.devices() if devices is None else devices
    if jax.process_count() > 1:  # in their order, so that the shares of a process lie side by side
        grid = np.array(devices[: data * model]).reshape(data, model)
        return Mesh(grid, (DATA, MODEL), axis_types=(AxisType.Auto, AxisType.Auto))
    devices = devices[: data * model]
    return jax.make_mesh((data, model), (DATA, MODEL), axis_types=(AxisType.Auto, AxisType.Auto), devices=devices)


def _same(tree: Any) -> Any:
    return tree


def _put(tree: Any, shardings: Any) -> Any:
    """Puts arrays on the devices; of several processes each its own part of the same arrays."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def put(leaf: Any, lies: NamedSharding) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, lies)
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, lies, lambda part: whole[part])

    return jax.tree.map(put, tree, shardings)
