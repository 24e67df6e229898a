"""The command, run as people run it."""

import json

import pytest

from mole_jax.errors import UserError
from tests.commands import command

IDS = range(40)


def csv(path, prefix, rows=IDS):
    lines = [f"{prefix}{i},{i % 2},{(i * 37 % 40) / 50 + 0.2 * (i % 2)},{prefix}L{i // 4 * 2 + i % 2}" for i in rows]
    path.write_text("\n".join(["image_id,label,score,lesion_id", *lines]) + "\n")
    return path


def run(*flags):
    return command("evaluate", *flags)


@pytest.fixture
def test_csv(tmp_path):
    return csv(tmp_path / "test.csv", "t")


def test_prints_the_table_and_writes_metrics_scores_and_the_page(tmp_path, test_csv):
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
    assert f"report in {out / 'report.html'}" in done.stdout
    assert "Thresholds were chosen on validation and frozen." in (out / "report.html").read_text()


def test_a_mistake_is_one_sentence_and_status_two(test_csv):
    done = run(f"--predictions={test_csv}", "--threshold=50")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: threshold=50.0 is not in [0, 1]; give for example 0.5\n"


def test_one_file_suffices_and_its_numbers_are_marked(call, tmp_path, test_csv):
    out = tmp_path / "out"
    text = call("evaluate", f"--predictions={test_csv}", "--resamples=20", f"--out={out}")
    assert "CROSS-FITTED" in text
    assert "Calibrated and prevalence-shifted scores, cross-fitted:" in text
    point = json.loads((out / "metrics.json").read_text())["operating_points"]["sensitivity_0.95"]
    assert (point["chosen_on"], len(point["folds"])) == ("cross-fitted", 5)
    page = (out / "report.html").read_text()
    assert "Cross-fitted: no validation predictions were given" in page
    assert "(threshold: target sensitivity 95%, cross-fitted)" in page


def test_too_few_melanomas_to_cross_fit_and_no_calibrated_scores_are_said(call, tmp_path):
    few = csv(tmp_path / "few.csv", "t", range(0, 16))
    text = call("evaluate", f"--predictions={few}", "--threshold=0.5", "--resamples=20", f"--out={tmp_path / 'out'}")
    assert "No calibrated scores: there are no validation predictions to calibrate on, and 4 lesions with" in text
    assert not (tmp_path / "out" / "calibrated_scores.csv").exists()
    assert "Melanoma is called where score >= 0.500: as given." in text
    text = call("evaluate", f"--predictions={few}", "--resamples=20", f"--out={tmp_path / 'out'}")
    assert "No threshold, hence ranking alone" in text
    assert "There is no threshold to judge" in (tmp_path / "out" / "report.html").read_text()


def test_a_confident_threshold_can_be_asked_for(call, tmp_path, test_csv):
    validation = csv(tmp_path / "validation.csv", "v")
    text = call(
        *("evaluate", f"--predictions={test_csv}", f"--validation={validation}"),
        *("--threshold_confidence=0.5", "--resamples=20"),
    )
    assert "confident >= 0.9" in text


def test_leakage_between_the_files_is_loud(call, tmp_path, test_csv):
    validation = csv(tmp_path / "validation.csv", "t", range(4))
    text = call("evaluate", f"--predictions={test_csv}", f"--validation={validation}", "--resamples=20")
    assert text.startswith("!!! LEAKAGE: 2 lesions lie in both validation and test (4 images of test)")


def test_a_split_column_sends_each_row_where_it_belongs(call, tmp_path):
    lines = csv(tmp_path / "all.csv", "t", range(120)).read_text().splitlines()
    splits = ["split", *(("train", "validation", "test")[i // 40] for i in range(120))]
    path = tmp_path / "all.csv"
    path.write_text("".join(f"{line},{split}\n" for line, split in zip(lines, splits, strict=True)))
    text = call("evaluate", f"--predictions={path}", "--resamples=20")
    assert "40 train, 40 validation, 40 test rows, and each goes where it belongs" in text.replace("\n      ", " ")
    assert "Train*" in text
    assert "chosen on validation" in text
    training = tmp_path / "train.csv"
    training.write_text("".join(f"{line},train\n" if i else f"{line},split\n" for i, line in enumerate(lines)))
    with pytest.raises(UserError, match="has no test rows: its column split says 120 train"):
        call("evaluate", f"--predictions={training}")


def test_columns_labels_and_truth_as_the_user_says(call, tmp_path):
    scores, truth = tmp_path / "scores.csv", tmp_path / "truth.csv"
    scores.write_text("file,net\n" + "".join(f"{i:03}.jpg,{i / 50}\n" for i in range(40)))
    truth.write_text("nr,kind,case\n" + "".join(f"{i},{'bad' if i % 3 else 'good'},c{i // 2}\n" for i in range(40)))
    text = call(
        *("evaluate", f"--predictions={scores}", f"--truth={truth}", "--positive=bad", "--resamples=20"),
        "--columns=id=nr,label=kind,score=net,group=case",
    )
    assert "40 images of 20 groups; 26 images" in text
    assert "40 without leading zeros" in text.replace("\n      ", " ")


def test_costs_budgets_and_intersections(call, tmp_path, test_csv):
    out = tmp_path / "out"
    flags = ("--costs=20,1", "--budgets=10,20", "--resamples=20", f"--out={out}")
    text = call("evaluate", f"--predictions={test_csv}", *flags)
    assert "Cost of an image, a miss 20, a false alarm 1" in text
    assert [of["images"] for of in json.loads((out / "metrics.json").read_text())["splits"]["test"]["budgets"]] == [
        10,
        20,
    ]
    assert "Costs and budgets" in (out / "report.html").read_text()


def test_the_home_folder_is_meant_by_a_tilde(call, tmp_path, test_csv, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "Test" in call("evaluate", "--predictions=~/test.csv", "--resamples=20", "--out=~/o")
    assert (tmp_path / "o" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--target_sensitivity=high", "--validation=SAME"], "--target_sensitivity=high is not a list of numbers"),
        (["--target_sensitivity=95", "--validation=SAME"], r"target_sensitivity=95.0 is not in \(0, 1\]"),
        (["--threshold_confidence=2", "--validation=SAME"], r"threshold_confidence=2.0 is not in \(0, 1\)"),
        (["--threshold=50"], r"threshold=50.0 is not in \[0, 1\]"),
        (["--validation=nowhere.csv"], "no predictions file at nowhere.csv"),
        (["--out=SAME"], "test.csv' is a file, not a folder; give another --out"),
        (["--out=SAME/more"], "test.csv' is a file, not a folder; give another --out"),
        (["--costs=20"], "--costs=20 is not the costs of a miss and of a false alarm; give for example 20,1"),
        (["--costs=a,b"], "--costs=a,b is not a list of numbers; give for example 20,1"),
        (["--intersections=sex"], r"--intersections: 'sex' is not two of sex, age, .* give for example sex\+age"),
        (["--run=runs/x"], "give --predictions=FILE, or --run=DIR with --dataset=NAME, and not both"),
        (["--dataset=x"], "--dataset does not go with --predictions"),
    ],
)
def test_each_mistake_is_a_sentence(call, test_csv, flags, expected):
    with pytest.raises(UserError, match=expected):
        call("evaluate", f"--predictions={test_csv}", *(flag.replace("SAME", str(test_csv)) for flag in flags))


def test_predictions_or_a_run_are_required(call):
    with pytest.raises(UserError, match="give --predictions=FILE, or --run=DIR"):
        call("evaluate")
    with pytest.raises(UserError, match="--truth does not go with --run"):
        call("evaluate", "--run=runs/x", "--dataset=y", "--truth=t.csv")
