"""The mesh that a run asks for, or one sentence why it cannot have it."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax import placement
from mole_jax.chunks import on_cpu
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.placement import one_device, placement_of
from mole_jax.studies.experiment import run_experiment


@pytest.fixture
def eight(monkeypatch):
    """A machine of eight devices, for questions that are answered before any of them is used."""
    devices = [SimpleNamespace(device_kind="H100", platform="gpu")] * 8
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


@pytest.mark.parametrize("mesh", ["", "all", "0", "-1", "8x", "x8", "8x0", "4x2x1", "4*2", "1.5", " 8", "٣", "9999999"])
def test_what_is_no_mesh(mesh):
    with pytest.raises(UserError) as error:
        placement_of(RunConfig(mesh=mesh))
    assert str(error.value) == (
        f"mesh={mesh!r} is no mesh: give --mesh=auto, a number of devices such as --mesh=8, or two such as --mesh=4x2, "
        "shares of a batch times parts of the large layers"
    )


def test_more_devices_than_there_are_on_a_cpu():
    with pytest.raises(UserError) as error:
        placement_of(RunConfig(mesh="4x2", batch_size=8))
    assert str(error.value) == (
        "mesh='4x2' needs 8 devices and this machine has 1 (cpu): give --mesh=auto, or try it out on this CPU with "
        "XLA_FLAGS=--xla_force_host_platform_device_count=8"
    )


def test_more_devices_than_there_are(eight):
    with pytest.raises(UserError) as error:
        placement_of(RunConfig(mesh="16", batch_size=16))
    assert str(error.value) == "mesh='16' needs 16 devices and this machine has 8 (H100): give --mesh=auto"


def test_a_batch_that_the_devices_cannot_share(eight):
    with pytest.raises(UserError) as error:
        placement_of(RunConfig(mesh="8", batch_size=100))
    assert str(error.value) == (
        "mesh='8' divides each batch in 8 shares, and batch_size=100 cannot be divided so: give --batch_size=104 or "
        "--mesh=auto"
    )


@pytest.mark.parametrize(("batch", "shape"), [(100, (5, 1)), (64, (8, 1)), (7, (7, 1)), (1, (1, 1)), (11, (1, 1))])
def test_auto_takes_as_many_devices_as_share_the_batch(eight, monkeypatch, batch, shape):
    asked = []
    monkeypatch.setattr(placement, "_mesh", lambda *shape: asked.append(shape))
    placement_of(RunConfig(batch_size=batch))
    assert asked == [shape]


def test_devices_decide_no_name():
    assert RunConfig(mesh="4x2", shard_params="off", batch_size=8).hash == RunConfig(batch_size=8).hash
    assert RunConfig().hash == RunConfig(mesh="1").hash


@pytest.mark.parametrize(
    ("shape", "shard", "parted"),
    [
        ((7 * 7 * 2048, 4096), True, True),  # the paper's head
        ((224 * 224 * 3, 1024), True, True),  # the MLP
        ((224 * 224 * 3, 1), True, False),
        ((4096, 1024), True, False),
        ((7 * 7 * 2048, 4095), True, False),  # cannot be parted equally
        ((4096,), True, False),
        ((7 * 7 * 2048, 4096), False, False),
    ],
)
def test_which_arrays_are_parted(shape, shard, parted):
    mesh = jax.sharding.AbstractMesh((4, 2), ("data", "model"))
    there = placement.Placement(mesh, shard)
    leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
    spec = there.shardings({"kernel": leaf})["kernel"].spec
    assert (spec == jax.sharding.PartitionSpec(None, "model")) is parted
    assert there.shapes(leaf).sharding.spec == spec


def test_a_mesh_that_parts_nothing_says_so(eight):
    there = placement.Placement(jax.sharding.AbstractMesh((4, 2), ("data", "model")))
    assert there.describe({"kernel": jax.ShapeDtypeStruct((3, 4), jnp.float32)}) == (
        "8 of 8 devices: each batch in 4 shares; no array is parted, so that each 2 devices do the same work: --mesh=8 "
        "would use them"
    )


def test_one_device_has_nothing_to_say():
    assert one_device().describe({"a": jnp.zeros(3)}) == ""


def test_what_is_put_on_one_device_is_not_copied():
    """The largest head's state is 4.9 GB, twice of which fits into few memories."""
    before = jnp.arange(1000.0)
    assert one_device().state(before).unsafe_buffer_pointer() == before.unsafe_buffer_pointer()
    assert one_device().everywhere(before).unsafe_buffer_pointer() == before.unsafe_buffer_pointer()


def test_a_compiled_function_sees_its_mesh():
    assert on_cpu()
    there, seen = one_device(), []
    double = there.jit(lambda x: seen.append(jax.sharding.get_abstract_mesh().shape) or 2 * x)
    np.testing.assert_array_equal(double(there.batch(np.ones(4, np.float32))), np.full(4, 2, np.float32))
    assert dict(seen[0]) == {"data": 1, "model": 1}
    assert jax.sharding.get_abstract_mesh().empty


def test_a_run_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UserError, match="'nine' is no mesh"):
        run_experiment(RunConfig(mesh="nine", run_dir=str(tmp_path / "run"), data_dir=str(tmp_path / "data")))
    assert list(tmp_path.iterdir()) == []
