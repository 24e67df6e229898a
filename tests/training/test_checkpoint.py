"""Checkpoints come back bit for bit, refuse another model, and do not hold a second copy of a large state."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.files.changes import is_ours
from mole_jax.training import checkpoint
from mole_jax.training.checkpoint import Checkpoint, Checkpoints, remove_damaged
from mole_jax.training.state import TrainState, no_sums


def state(step=3, rows=5):
    random = np.random.default_rng(step)
    leaf = [jnp.asarray(random.normal(size=(rows, 7)), jnp.float32) for _ in range(3)]
    return TrainState(jnp.int32(step), {"a": leaf[0]}, {"mean": leaf[1][0]}, {"mu": leaf[2]}, no_sums())


def figures(step, auroc):
    return {"step": step, "validation_auroc": auroc}


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("chunk", "in_flight"), [(checkpoint.CHUNK_BYTES, checkpoint.IN_FLIGHT_GB), (32, 2e-7)])
def test_state_figures_and_variables_come_back(tmp_path, monkeypatch, chunk, in_flight, beside):
    monkeypatch.setattr(checkpoint, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(checkpoint, "IN_FLIGHT_GB", in_flight)
    before = state()
    with Checkpoints(tmp_path, beside=beside) as checkpoints:
        checkpoints.save(Checkpoint(before, figures(3, 0.75)), RunConfig())
        after = checkpoints.restore(3, jax.eval_shape(state))
        variables = checkpoints.restore_variables(3, jax.eval_shape(state))
    jax.tree.map(np.testing.assert_array_equal, after.state, before)
    assert after.metrics == figures(3, 0.75)
    jax.tree.map(np.testing.assert_array_equal, variables, {"params": before.params, "batch_stats": before.batch_stats})


def test_the_step_goes_on_while_a_copy_is_written(tmp_path, monkeypatch):
    went_on, write = threading.Event(), Checkpoints._write

    def late(self, *args):
        assert went_on.wait(60)
        write(self, *args)

    monkeypatch.setattr(Checkpoints, "_write", late)
    given, expected = state(), jax.tree.map(np.array, state())
    half = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf // 2, tree), donate_argnums=0)
    with Checkpoints(tmp_path, beside=True) as checkpoints:
        checkpoints.save(Checkpoint(given, figures(3, 0.75)), RunConfig())
        assert not folders(tmp_path)
        jax.block_until_ready(half(given))  # its buffers are the next step's now
        went_on.set()
        assert checkpoints.latest_step == 3
        assert is_ours(tmp_path / "3"), "it has its digests"
        after = checkpoints.restore(3, jax.eval_shape(state)).state
    jax.tree.map(np.testing.assert_array_equal, after, expected)


def test_a_disk_that_is_full_meanwhile_is_told_of_at_the_next_save(tmp_path, monkeypatch):
    with Checkpoints(tmp_path, beside=True) as checkpoints:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        checkpoints.save(Checkpoint(state(3), figures(3, 0.75)), RunConfig())
        with pytest.raises(UserError, match=r"a checkpoint needs .* free: make room"):
            checkpoints.save(Checkpoint(state(4), figures(4, 0.75)), RunConfig())


def test_a_disk_that_is_full_at_the_last_is_told_of_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(UserError, match="make room"), Checkpoints(tmp_path, beside=True) as checkpoints:
        checkpoints.save(Checkpoint(state(3), figures(3, 0.75)), RunConfig())


def test_a_cpu_waits_for_its_checkpoints():
    assert not checkpoint.writes_beside()


@pytest.mark.parametrize("beside", [False, True])
def test_the_newest_and_the_best_are_kept(tmp_path, beside):
    with Checkpoints(tmp_path, beside=beside) as checkpoints:
        for step, auroc in ((1, 0.5), (2, 0.9), (3, 0.6), (4, 0.7)):
            checkpoints.save(Checkpoint(state(step), figures(step, auroc)), RunConfig())
        checkpoints.save(Checkpoint(state(5), figures(4, 0.99)), RunConfig())  # within an epoch: not validated
        assert (checkpoints.latest_step, checkpoints.best_step) == (5, 2)
    assert folders(tmp_path) == {"2", "5"}


def folders(directory):
    return {path.name for path in directory.iterdir() if path.is_dir()}


def killed_while_removing(tmp_path, whole):
    """Steps 2 and 3 are best and newest; step 1 should be gone, and is there whole or in part."""
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(Checkpoint(state(1), figures(1, 0.5)), RunConfig())
        shutil.copytree(tmp_path / "run" / "1", tmp_path / "1")
        for step, auroc in ((2, 0.9), (3, 0.6)):
            checkpoints.save(Checkpoint(state(step), figures(step, auroc)), RunConfig())
    shutil.copytree(tmp_path / "1", tmp_path / "run" / "1")
    if not whole:
        shutil.rmtree(tmp_path / "run" / "1" / "metrics")
    return tmp_path / "run"


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_kill_left_of_a_superseded_checkpoint_is_removed(tmp_path, whole):
    directory = killed_while_removing(tmp_path, whole)
    with Checkpoints(directory) as checkpoints:
        assert folders(directory) == {"1", "2", "3"}  # opening it to read changes nothing
        checkpoints.remove_unfinished()
        assert (checkpoints.latest_step, checkpoints.best_step) == (3, 2)
    assert folders(directory) == {"2", "3"}


@pytest.mark.parametrize("whole", [True, False])
def test_the_next_save_removes_it_too(tmp_path, whole):
    directory = killed_while_removing(tmp_path, whole)
    with Checkpoints(directory) as checkpoints:
        checkpoints.save(Checkpoint(state(4), figures(4, 0.95)), RunConfig())
    assert folders(directory) == {"4"}


def test_a_kill_in_the_middle_of_a_removal_costs_nothing(tmp_path, monkeypatch):
    def killed(folder):
        raise KeyboardInterrupt

    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Checkpoint(state(1), figures(1, 0.5)), RunConfig())
        monkeypatch.setattr("mole_jax.training.checkpoint.remove_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(Checkpoint(state(2), figures(2, 0.9)), RunConfig())
    monkeypatch.undo()
    (tmp_path / "removed" / "1" / "_CHECKPOINT_METADATA").unlink()
    assert remove_damaged(tmp_path) == []
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.remove_unfinished()
        assert checkpoints.latest_step == 2
    assert folders(tmp_path) == {"2"}


@pytest.mark.parametrize("read", ["restore", "restore_variables"])
def test_another_shape_is_refused(tmp_path, read):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Checkpoint(state(), figures(3, 0.5)), RunConfig())
        with pytest.raises(
            UserError, match=r"of another shape: .*params/a \(file float32\[5, 7\], model float32\[6, 7\]\)"
        ):
            getattr(checkpoints, read)(3, jax.eval_shape(lambda: state(rows=6)))


PEAKS = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp
from mole_jax.config import RunConfig
from mole_jax.training import checkpoint
from mole_jax.training.checkpoint import Checkpoint, Checkpoints
from mole_jax.training.state import TrainState, no_sums

def memory(which):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))

def peak_of(action):
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = memory("VmRSS")
    return action(), memory("VmHWM") - before

def state():
    normal = jax.jit(lambda seed: jax.random.normal(jax.random.key(seed), (10_000, 1024)))
    return TrainState(jnp.int32(1), {f"layer{i}": normal(i) for i in range(8)}, {}, {}, no_sums())

like, size = jax.eval_shape(state), 8 * 4 * 10_000 * 1024
checkpoint.IN_FLIGHT_GB = 0.05
with Checkpoints(Path(sys.argv[1])) as checkpoints:
    first = jax.block_until_ready(state())
    _, saving = peak_of(lambda: checkpoints.save(Checkpoint(first, {"validation_auroc": 0.5, "step": 1}), RunConfig()))
    del first
    again, restoring = peak_of(lambda: jax.block_until_ready(checkpoints.restore(1, like).state))
half = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf // 2, state), donate_argnums=0)
_, stepping = peak_of(lambda: jax.block_until_ready(half(again)))
print(saving / size, restoring / size, stepping / size)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux's /proc")
def test_neither_saving_nor_restoring_nor_the_next_step_holds_a_second_copy(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", PEAKS, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    saving, restoring, stepping = map(float, run.stdout.split())
    assert saving < 0.5
    assert restoring < 1.8
    assert stepping < 0.1, "the restored state is donated to the next step"
