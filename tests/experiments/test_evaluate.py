"""The command, run as people run it."""

import json
import subprocess
import sys

import pytest

IDS = range(40)


def csv(path, prefix, rows=IDS):
    lines = [f"{prefix}{i},{i % 2},{(i * 37 % 40) / 50 + 0.2 * (i % 2)},{prefix}L{i // 4 * 2 + i % 2}" for i in rows]
    path.write_text("\n".join(["image_id,label,score,lesion_id", *lines]) + "\n")
    return path


def run(*flags, command="evaluate"):
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{command}", *flags], capture_output=True, text=True, check=False
    )


@pytest.fixture
def test_csv(tmp_path):
    return csv(tmp_path / "test.csv", "t")


def test_prints_the_table_and_writes_metrics(tmp_path, test_csv):
    validation, out = csv(tmp_path / "validation.csv", "v"), tmp_path / "new" / "out"
    done = run(f"--predictions={test_csv}", f"--validation={validation}", "--resamples=50", f"--out={out}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sensitivity" in done.stdout
    assert "20 images of 10 lesions are melanoma" in done.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["main_operating_point"] == "sensitivity_0.95"
    assert f"{metrics['splits']['test']['auroc']['value']:.3f}" in done.stdout
    assert (out / "calibrated_scores.csv").read_text().startswith("image_id,label,score,calibrated,risk_at_0.018,")
    assert str(out / "metrics.json") in done.stdout


def test_without_validation_no_calibrated_scores_are_written_and_the_reason_is_said(tmp_path, test_csv):
    done = run(f"--predictions={test_csv}", "--threshold=0.5", "--resamples=20", f"--out={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No calibrated scores: there are no validation predictions to calibrate on." in done.stdout
    assert not (tmp_path / "calibrated_scores.csv").exists()


def test_a_confident_threshold_can_be_asked_for(tmp_path, test_csv):
    validation = csv(tmp_path / "validation.csv", "v")
    done = run(
        f"--predictions={test_csv}", f"--validation={validation}", "--threshold_confidence=0.5", "--resamples=20"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "confident >= 0.9" in done.stdout


def test_leakage_between_the_files_is_loud(tmp_path, test_csv):
    validation = csv(tmp_path / "validation.csv", "t", range(4))
    done = run(f"--predictions={test_csv}", f"--validation={validation}", "--resamples=20")
    assert done.returncode == 0
    assert done.stdout.startswith("!!! LEAKAGE: 2 lesions lie in both validation and test (4 images of test)")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--target_sensitivity=0.95"], "needs validation predictions"),
        (["--target_sensitivity=high", "--validation=SAME"], "--target_sensitivity=high is not a list of numbers"),
        (["--target_sensitivity=95", "--validation=SAME"], "target_sensitivity=95.0 is not in (0, 1]"),
        (["--threshold_confidence=0.9"], "threshold_confidence=0.9 needs validation predictions"),
        (["--threshold_confidence=2", "--validation=SAME"], "threshold_confidence=2.0 is not in (0, 1)"),
        (["--threshold=50"], "threshold=50.0 is not in [0, 1]"),
        (["--validation=nowhere.csv"], "no predictions file at nowhere.csv"),
        (["--resamples=1"], "resamples"),
    ],
)
def test_mistakes_are_one_sentence_and_status_two(test_csv, flags, expected):
    done = run(f"--predictions={test_csv}", *(flag.replace("SAME", str(test_csv)) for flag in flags))
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_predictions_are_required():
    done = run()
    assert done.returncode == 2
    assert "predictions" in done.stderr
