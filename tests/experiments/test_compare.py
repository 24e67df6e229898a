import json

import pytest

from experiments.compare import model_names
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions, write_predictions
from tests.commands import command


def csv(path, step, n=40, ending="", lesions=False):
    path.parent.mkdir(exist_ok=True, parents=True)
    head = "image_id,label,score" + ",lesion_id" * lesions
    lines = [
        f"i{i}{ending},{i % 2},{(i * step % 40) / 50 + 0.2 * (i % 2)}" + f",L{i // 4 * 2 + i % 2}" * lesions
        for i in range(n)
    ]
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


@pytest.fixture
def pair(tmp_path):
    return csv(tmp_path / "a.csv", 37), csv(tmp_path / "b.csv", 11)


def test_prints_the_differences_and_writes_them(tmp_path, pair):
    a, b = pair
    flags = [f"--predictions={a},{b}", f"--validation={a},{b}", "--resamples=50", f"--out={tmp_path / 'out'}"]
    done = command("compare", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert list(found["models"]) == ["a", "b"]
    assert f"{found['pairs'][0]['difference']['auroc']['value']:+.3f}" in done.stdout
    assert "McNemar" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Paired comparison on the test images" in page
    assert "Thresholds were chosen on validation" in page


def test_without_validation_each_threshold_is_cross_fitted(call, tmp_path, pair):
    a, b = pair
    out = tmp_path / "out"
    text = call("compare", f"--predictions={a},{b}", "--resamples=20", f"--out={out}")
    assert "cross-fitted in 5 folds, the same for all" in text
    found = json.loads((out / "comparison.json").read_text())
    for name in "ab":
        alone = json.loads((out / "models" / name / "metrics.json").read_text())
        at = alone["splits"]["test"]["operating_points"][alone["main_operating_point"]]
        assert at["sensitivity"] == found["models"][name]["sensitivity"]


def test_thresholds_aim_at_the_sensitivity_that_is_asked_for(call, tmp_path, pair):
    for name, validation in [("cross-fitted", []), ("validation", [f"--validation={pair[0]},{pair[1]}"])]:
        out = tmp_path / name
        given = [f"--predictions={pair[0]},{pair[1]}", *validation, "--resamples=20", f"--out={out}"]
        call("compare", *given, "--target_sensitivity=0.8")
        found = json.loads((out / "comparison.json").read_text())
        for model in "ab":
            alone = json.loads((out / "models" / model / "metrics.json").read_text())
            assert alone["main_operating_point"] == "sensitivity_0.8"
            at = alone["splits"]["test"]["operating_points"]["sensitivity_0.8"]
            assert at["sensitivity"] == found["models"][model]["sensitivity"]
        if validation:  # which is the test set itself here
            assert found["models"]["a"]["sensitivity"]["value"] == 0.8


def test_a_sensitivity_that_nothing_can_be_chosen_for_is_a_mistake(call, tmp_path):
    few = csv(tmp_path / "a.csv", 37, n=12), csv(tmp_path / "b.csv", 11, n=12)
    with pytest.raises(
        UserError, match=r"--target_sensitivity=0.8: no thresholds.*give --validation=VA.csv,VB.csv, or"
    ):
        call("compare", f"--predictions={few[0]},{few[1]}", "--resamples=20", "--target_sensitivity=0.8")


def test_ids_are_matched_and_groups_are_of_the_file_that_has_them(call, tmp_path, pair):
    other = csv(tmp_path / "c.csv", 11, ending=".jpg", lesions=True)
    text = call("compare", f"--predictions={pair[0]},{other}", "--resamples=20").replace("\n      ", " ")
    assert "images of c matched to those of a: 40 without ending and case" in text
    assert "lesion_id is that of c for all" in text
    assert "40 images of 20 lesions" in text


def test_runs_and_folders_of_judged_files_by_name_or_pattern(call, tmp_path, pair):
    for name, path in zip(("cnn", "mlp"), pair, strict=True):
        for split in ("test", "validation"):
            folder = tmp_path / "runs" / name / "predictions"
            folder.mkdir(parents=True, exist_ok=True)
            write_predictions(folder / f"{split}.csv", read_predictions(path))
    text = call("compare", f"--runs={tmp_path / 'runs' / '*'}", "--resamples=20")
    assert any(line.split() == ["cnn", "mlp", "Difference", "95", "%", "interval"] for line in text.splitlines())
    assert "cross-fitted" not in text  # thresholds are of the runs' own validation
    call("evaluate", f"--predictions={pair[0]}", "--resamples=20", f"--out={tmp_path / 'judged'}")
    text = call("compare", f"--runs={tmp_path / 'runs' / 'mlp'},{tmp_path / 'judged'}", "--resamples=20")
    assert "judged" in text
    assert "cross-fitted" in text  # one of them has no validation
    with pytest.raises(UserError, match=r"--runs=.*/none\* matches nothing"):
        call("compare", f"--runs={tmp_path / 'none*'}")
    with pytest.raises(UserError, match="has no test predictions; give directories of finished runs, or folders"):
        call("compare", f"--runs={tmp_path},{tmp_path / 'judged'}")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--predictions=A,FEW"], "has 2 images that"),
        (["--predictions=A"], "1 model cannot be compared"),
        (["--predictions=A,A"], "names a file twice"),
        (["--predictions=A,B", "--validation=A"], "--validation names 1 files but --predictions 2"),
        (["--predictions=A,B", "--validation=A,B", "--threshold=0.5"], "give one of them"),
        (["--predictions=A,B", "--target_sensitivity=0.8", "--threshold=0.5"], "both choose the threshold"),
        (["--predictions=A,B", "--target_sensitivity=80"], r"target_sensitivity=80.0 is not in \(0, 1\]"),
        ([], "give --predictions=A.csv,B.csv or --runs=runs/A,runs/B, and not both"),
        (["--runs=A,B", "--validation=A,B"], "--validation does not go with --runs"),
        (["--predictions=A,B", "--out=A"], "a.csv' is a file, not a folder; give another --out"),
    ],
)
def test_each_mistake_is_a_sentence(call, tmp_path, pair, flags, expected):
    files = {"FEW": csv(tmp_path / "few.csv", 37, 38), "A": pair[0], "B": pair[1]}
    named = []
    for flag in flags:
        name, _, value = flag.partition("=")
        named.append(f"{name}={','.join(str(files.get(part, part)) for part in value.split(','))}")
    with pytest.raises(UserError, match=expected):
        call("compare", *named)


def test_models_are_named_by_the_shortest_end_that_differs():
    assert model_names(["/x/a.csv", "/y/b.csv"]) == ["a", "b"]
    assert model_names(["runs/cnn/predictions/test.csv", "runs/mlp/predictions/test.csv"]) == ["cnn", "mlp"]
    assert model_names(["runs/cnn.v1", "runs/cnn.v2"], flag="runs") == ["cnn.v1", "cnn.v2"]
    assert model_names(["a/x/p.csv", "a/y/p.csv", "b/x/p.csv"]) == ["a/x", "a/y", "b/x"]
    with pytest.raises(UserError, match="names a file twice"):
        model_names(["a.csv", "a.csv"])
