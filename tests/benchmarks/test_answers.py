"""What people read: the tables, and the machine that decides what is in them."""

import json

import pytest

from benchmarks import cnn_step, resnet_features
from benchmarks.harness import Contestant, Outcome
from benchmarks.machine import Machine
from benchmarks.networks import CNN_BLOCKS, CNN_HEAD, cnn_flops
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.table import About, Answer, as_json, as_markdown, as_text
from benchmarks.turn import PEAK_MEMORY

LAPTOP = Machine("Some CPU", 2, 16.0, "cpu", "cpu")
H100 = Machine("Some CPU", 16, 128.0, "gpu", "NVIDIA H100 80GB HBM3")


def setting(tmp_path, machine, **changes):
    return Setting(
        **{"rounds": 0, "quick": False, "source": None, "images": 512, "work": tmp_path} | changes, machine=machine
    )


def answer(**changes):
    rate = Measure("rate", "steps", "images/s", flops=1e9)
    peers = ["torch", "keras", "sick"]
    question = Question(
        "How fast?",
        [Contestant(name, "a:b") for name in [OURS, *peers]],
        [rate],
        [Ratio(rate, peers, "the best peer", 1.2), Ratio(rate, ["keras"], "keras", 5.0)],
        note="Batch 32.",
    )
    values = {OURS: {"rate": [30.0, 32.0], PEAK_MEMORY: [900.0]}, "torch": {"rate": [20.0, 16.0]}}
    outcome = Outcome(values, absent={"keras": "keras is not installed"}, failed={"sick": "ValueError: no"})
    return Answer("speed", question, outcome, [target.judge(outcome) for target in question.targets], 12.3)


def test_the_text_has_figures_missing_rows_and_verdicts():
    text = as_text(answer(), LAPTOP)
    assert "    mole_jax                          31.0 (30.0-32.0)\n" in text
    assert "  keras: not measured, keras is not installed\n" in text
    assert "  sick: FAILED, ValueError: no\n" in text
    assert "-> steps against the best peer: torch: 1.75 (1.50-2.00)x; target >= 1.2x: met\n" in text
    assert "-> steps against keras: not measured; target >= 5x: not judged\n" in text
    assert "peak memory of the process, MB\n    mole_jax                          900.0\n" in text


def test_the_markdown_is_two_tables():
    text = as_markdown([answer()], About("python -m benchmarks.run", LAPTOP, {}))
    assert text.startswith("`python -m benchmarks.run` on Some CPU, 2 cores, 16 GB.")
    assert "| steps | the best peer: torch | 1.75 (1.50-2.00)x | >= 1.2x | met |\n" in text
    assert "| steps | torch | 18.0 (16.0-20.0) images/s |\n" in text
    assert "| How fast? | keras | not measured: keras is not installed |\n" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {4, 6}


def test_the_json_has_every_value():
    written = json.loads(as_json([answer()], About("command", H100, {"jax": "1"})))
    assert written["machine"]["device"] == "NVIDIA H100 80GB HBM3"
    (given,) = written["answers"]
    assert given["values"]["torch"]["rate"] == [20, 16]
    assert given["absent"] == {"keras": "keras is not installed"}
    assert [verdict["met"] for verdict in given["verdicts"]] == [True, None]


def test_the_share_of_the_chips_peak():
    # 31 images/s at a GFLOP each, of 494.7 TFLOP/s.
    assert "31.0 (30.0-32.0) [0.0% of the chip's peak]" in as_text(answer(), H100)
    assert "of the chip's peak" not in as_text(answer(), LAPTOP)


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", None),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("cpu", None),
    ],
)
def test_the_peak_is_looked_up_by_the_devices_name(device, peak):
    assert Machine("", 1, 1.0, "gpu", device).peak_flops("bfloat16") == peak


@pytest.mark.parametrize("module", [cnn_step, resnet_features])
def test_an_accelerator_is_measured_in_both_types_and_larger_batches(module, tmp_path):
    on_cpu, on_gpu = (
        [module.question(setting(tmp_path, machine), dtype=dtype) for dtype in machine.dtypes]
        for machine in (LAPTOP, H100)
    )
    assert [{measure.dtype for measure in question.measures} for question in on_cpu] == [{"float32"}]
    assert [{m.dtype for m in question.measures} for question in on_gpu] == [{"float32"}, {"bfloat16"}]
    for questions, batch, platform in ((on_cpu, 32, "cpu"), (on_gpu, 256, "gpu")):
        for question in questions:
            assert all(contestant.arguments["batch"] == batch for contestant in question.contestants)
            peers = [c for c in question.contestants if not c.name.startswith(OURS)]
            assert len(peers) == 4
            assert all(peer.arguments["platform"] == platform for peer in peers)
    # The measured ratios are the CPU's; elsewhere the goal is to be ahead.
    assert {target.at_least for question in on_gpu for target in question.targets} == {1.0}
    assert len(on_cpu[0].targets) > len(on_gpu[0].targets)


def test_the_peers_network_is_this_projects():
    from mole_jax.models import cnn

    assert cnn.BLOCKS == CNN_BLOCKS
    assert CNN_HEAD == (512, 32, 1)
    # 7x7x3x32 at 224x224, 5x5x32x64 at 112x112, 3x3x64x128 at 56x56, 3x3x128x128 at 9x9 (pooled to 3x3), the head.
    forward = 2 * (224**2 * 4704 + 112**2 * 51200 + 56**2 * 73728 + 81 * 147456 + 1152 * 512 + 512 * 32 + 32)
    assert cnn_flops(train=False) == forward
    assert cnn_flops(train=True) == 3 * forward - 2 * 224**2 * 4704
