"""A run on 1, 2 and 8 devices: the same losses, images counted once, checkpoints of one mesh read on another.

One process does everything (`on_mesh.py`); the tests look at what it found.
"""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks.footprint import messages

ROOT = Path(__file__).parents[2]
# What the order of sums may change. Of losses, relative: 6e-6 at most was seen. Where a gradient is nearly zero,
# Adam goes a whole learning rate in the direction of its rounding, so that a few weights differ by that much.
LOSSES, TOLERANCE = 1e-4, 2e-3
# Compiled in less time: most of the process's is the compiler's.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
PAPER_HEAD = 415_515_969  # parameters
FIRST_LAYER = 7 * 7 * 2048 * 4096
MODELS = ("logistic", "mlp", "cnn", "cnn_released", "transfer", "fine_tuned", "changed")


@pytest.fixture(scope="module")
def found(data_dir, tmp_path_factory):
    work = tmp_path_factory.mktemp("mesh")
    shutil.copytree(data_dir, work / "data", ignore=shutil.ignore_patterns("_features"))
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
    command = [sys.executable, "-m", "tests.training.on_mesh", str(work / "data"), str(work)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return pickle.loads((work / "found.pickle").read_bytes())


def close(a, b, tolerance=TOLERANCE):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_twenty_steps_have_the_same_losses_on_every_mesh(found, name):
    """On one device the chunks of a CPU, on several what an accelerator computes; batch statistics of the whole."""
    by_mesh = found["steps"][name]
    one = by_mesh["1"]
    assert len(one["losses"]) == 20 and len(set(one["losses"])) == 20
    for mesh, other in by_mesh.items():
        np.testing.assert_allclose(other["losses"], one["losses"], rtol=LOSSES, err_msg=mesh)
        close(other["variables"]["batch_stats"], one["variables"]["batch_stats"])


def test_only_large_layers_are_parted_and_a_device_then_holds_its_part(found):
    shares = {(name, mesh): each["share"] for name, meshes in found["steps"].items() for mesh, each in meshes.items()}
    assert {share for (_, mesh), share in shares.items() if mesh != "4x2"} == {1.0}
    assert 0.5 < shares["mlp", "4x2"] < 0.51  # 1728x32 of 56,401 numbers
    assert 0.5 < shares["transfer", "4x2"] < 0.51


@pytest.mark.parametrize("run", [("logistic", "2"), ("logistic", "8"), ("head", "8"), ("head", "4x2"), ("fine", "2")])
def test_a_run_is_the_same_on_every_mesh_up_to_rounding(found, run):
    one, other = found["runs"][run[0], "1"], found["runs"][run]
    close(one["variables"], other["variables"])
    for split, logits in one["logits"].items():
        assert other["logits"][split].shape == logits.shape  # the last, uneven batch is counted once
        np.testing.assert_allclose(other["logits"][split], logits, rtol=TOLERANCE, atol=TOLERANCE)
    for ours, theirs in zip(other["rows"], one["rows"], strict=True):
        assert ours == pytest.approx(theirs, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize(("name", "mesh"), [("logistic", "8"), ("head", "4x2")])
def test_it_resumes_bit_for_bit_on_the_same_mesh(found, name, mesh):
    whole, halves = found["runs"][name, mesh], found["runs"][name, mesh, mesh]
    for part in ("variables", "logits", "rows"):
        same(whole[part], halves[part])


@pytest.mark.parametrize(
    "moved",
    [
        *(("logistic", "8", "1"), ("logistic", "1", "8"), ("logistic", "8", "2")),
        *(("head", "4x2", "1"), ("head", "1", "4x2"), ("head", "4x2", "8")),
    ],
)
def test_a_checkpoint_of_one_mesh_goes_on_on_another(found, moved):
    whole, parts = found["runs"][moved[0], "1"], found["runs"][moved]
    close(whole["variables"], parts["variables"])
    assert "goes on at step" in parts["told"]
    for ours, theirs in zip(parts["rows"], whole["rows"], strict=True):
        assert ours == pytest.approx(theirs, rel=TOLERANCE, abs=TOLERANCE)


def test_images_that_stay_on_the_devices(found):
    close(found["runs"]["resident", "8"]["variables"], found["runs"]["logistic", "8"]["variables"])


def test_a_photograph_s_score_is_that_of_training(found):
    scores = found["runs"]["scores of one device"]
    np.testing.assert_allclose(scores, found["runs"]["head", "8"]["logits"]["test"], rtol=1e-4, atol=1e-4)


def test_features_are_stored_alike(found):
    one, eight = found["stored"]["1"], found["stored"]["8"]
    for split, features in one.items():
        assert features.dtype == eight[split].dtype == np.float16
        np.testing.assert_allclose(eight[split], features, rtol=2e-3, atol=1e-4)  # half precision keeps 1e-3


def test_stacked_regressions(found):
    for ours, theirs in zip(found["stacked"]["8"], found["stacked"]["1"], strict=True):
        assert len(ours[0]) == 2
        for one, other in zip(ours[0], theirs[0], strict=True):
            assert one == pytest.approx(other, rel=TOLERANCE, abs=TOLERANCE)
        close(ours[1], theirs[1])


def test_the_run_says_what_it_uses(found):
    runs = found["runs"]
    assert "8 of 8 devices: each batch in 8 shares\n" in runs["logistic", "8"]["told"]
    assert "8 of 8 devices: each batch in 4 shares, 6 large arrays in 2 parts\n" in runs["head", "4x2"]["told"]
    assert "1 of 8 devices: each batch in 1 share\n" in runs["logistic", "1"]["told"]


def test_a_step_is_traced_once_a_start(found):
    assert set(found["traces"]) <= {0, 1}
    assert sum(found["traces"]) > 10


def test_the_paper_s_head_takes_a_share_of_the_memory_on_each_device(found):
    """Parameters and two moments; the first layer in two parts on 4x2, everything whole on 8."""
    one, eight, parted = (found["footprints"][mesh] for mesh in ("1", "8", "4x2"))
    assert one["state"] == 4 * (3 * PAPER_HEAD + 2 * 2048 + 5)  # moving statistics; two counters, three sums
    assert eight["state"] == one["state"]
    assert one["state"] - parted["state"] == 12 * FIRST_LAYER // 2
    assert [one["batch"] / each["batch"] for each in (eight, parted)] == [8, 4]
    assert parted["temporary"] < 0.6 * eight["temporary"]


def test_its_gradients_are_summed_in_one_message(found):
    sent = {mesh: each["messages"] for mesh, each in found["footprints"].items()}
    assert sent["1"] == []
    large = {mesh: [m for m in sent[mesh] if m[1] > PAPER_HEAD] for mesh in ("8", "4x2")}
    [(kind, size)] = large["8"]
    assert kind == "all-reduce" and size == pytest.approx(4 * PAPER_HEAD, rel=1e-4)
    assert 0 < sum(size for _, size in sent["8"]) - 4 * PAPER_HEAD < 1e5  # batch norm's sums, the loss
    [(kind, size)] = large["4x2"]  # half of the first layer's, and of the second's, whose update XLA divides by itself
    assert kind == "all-reduce" and size == pytest.approx(4 * (PAPER_HEAD - (FIRST_LAYER + 4096 * 1024) / 2), rel=1e-4)


def test_messages_are_read_from_a_program():
    program = """
  %a = f32[2048]{0} all-reduce(%x), channel_id=1, to_apply=%add
  %b = (f32[2]{0}, /*index=1*/bf16[3,4]{1,0}) all-reduce-start(%y, %z), channel_id=2
  %c = f32[] add(%all-reduce.1, %d)
  %e = u32[8]{0} all-gather(%all-reduce.1), dimensions={0}
"""
    assert messages(program) == [("all-reduce", 8192), ("all-reduce", 32), ("all-gather", 32)]
