"""The command, end to end on the smallest question."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--only=speed", "error: no question 'speed'; there are cnn_step, "),
        ("--source=/dev", "error: --source=/dev has no JPEGs in a folder NotMelanoma; give the folder that holds"),
        ("--images=3", "error: flag --images=3: 3 is not integer >= 16"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(flag, message, tmp_path):
    result = run(flag, f"--out={tmp_path}")
    assert result.returncode == 2
    assert result.stderr.startswith(message), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_one_small_question_from_real_files(tmp_path):
    for name, colour in (("Melanoma", "brown"), ("NotMelanoma", "pink")):
        (tmp_path / "source" / name).mkdir(parents=True)
        Image.new("RGB", (300, 260), colour).save(tmp_path / "source" / name / "one.jpg")
    result = run(
        "--only=loading",
        "--quick",
        "--rounds=1",
        "--images=16",
        f"--source={tmp_path / 'source'}",
        f"--out={tmp_path}",
    )
    assert result.returncode == 0, result.stderr
    (answer,) = json.loads((tmp_path / "benchmarks.json").read_text())["answers"]
    rates = {name: values["rate"] for name, values in answer["values"].items()}
    # Torch may be missing; the other two need nothing that the tests do not have.
    assert {"mole_jax", "one Python loop over pixels"} <= set(rates)
    assert all(rate > 0 for values in rates.values() for rate in values)
    assert "loader, decoded images from disk" in result.stdout
    assert (tmp_path / "benchmarks.md").read_text().startswith("`python -m benchmarks.run --only=loading")
