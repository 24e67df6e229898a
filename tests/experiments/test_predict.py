"""Photographs scored as people do it: with a copied run, in a folder without data; nothing is lost."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, logit

from mole_jax.data.dataset import load_dataset
from mole_jax.data.prepare.prepare import prepare
from tests.commands import command

NOT_A_DEVICE = "Research software, not a medical device: it says nothing about anybody's skin."


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Two finished runs, copied away from their data, and the photographs of their test split."""
    made, work = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("work")
    prepare("synthetic", examples=60, data_dir=made / "data", workers=1)
    for seed in (0, 1):
        ran = command(
            "run",
            *("--model=logistic", "--learning_rate=1e-4", "--epochs=1", "--batch_size=10", f"--seed={seed}"),
            f"--data_dir={made / 'data'}",
            f"--run_dir={made / 'runs' / f'seed{seed}'}",
            cwd=work,
        )
        assert ran.returncode == 0, ran.stderr
        shutil.copytree(made / "runs" / f"seed{seed}", work / "copies" / f"seed{seed}")
    (work / "photos").mkdir()
    dataset = load_dataset(made / "data", "synthetic")
    for i, row in enumerate(dataset.rows["test"]):
        Image.fromarray(dataset.splits["test"][i]["image"]).save(work / "photos" / f"{row.image_id}.png")
    shutil.rmtree(made)
    return work


def predict(work, *flags):
    return command("predict", *flags, cwd=work)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def own(work, seed, split="test"):
    return {row["image_id"]: row for row in table(work / "copies" / f"seed{seed}" / "predictions" / f"{split}.csv")}


def test_a_copied_run_gives_its_test_images_the_scores_of_its_own_predictions(work, tmp_path):
    out = tmp_path / "out.csv"
    done = predict(work, "--run=copies/seed0", "--images=photos", f"--out={out}")
    assert (done.returncode, done.stderr) == (0, "")
    rows, scored = table(out), own(work, 0)
    assert {Path(row["image"]).stem: row["score"] for row in rows} == {k: v["score"] for k, v in scored.items()}
    assert {row["notice"] for row in rows} == {NOT_A_DEVICE}
    assert NOT_A_DEVICE in done.stdout
    assert f"{len(rows)} of {len(rows)} images scored; all of them in {out}" in done.stdout
    about = json.loads((work / "copies/seed0/classifier/classifier.json").read_text())["decision"]
    slope, intercept = about["platt"]
    (threshold,) = (p["threshold"] for p in about["operating_points"] if p["name"] == "sensitivity_0.95")
    for row in rows:
        score = float(row["score"])
        calibrated = expit(intercept + slope * float(scored[Path(row["image"]).stem]["logit"]))
        np.testing.assert_allclose(float(row["calibrated"]), calibrated, rtol=1e-6)
        odds = logit(about["prevalence"]) - logit(about["calibrated_at"])
        np.testing.assert_allclose(float(row["risk"]), expit(logit(calibrated) + odds), rtol=1e-6)
        assert float(row["prevalence"]) == about["prevalence"]
        assert row["call"] == ("melanoma" if score >= threshold else "not melanoma")
        assert float(row["threshold"]) == threshold


def test_the_risk_is_at_the_prevalence_that_is_asked_for(work, tmp_path):
    done = predict(work, "--run=copies/seed0", "--images=photos", f"--out={tmp_path / 'a.csv'}", "--prevalence=0.02")
    assert "risk is at a prevalence of 0.02\n" in done.stdout
    for row in table(tmp_path / "a.csv"):
        odds = logit(0.02) - logit(0.5)  # drawn lesions are half melanomas, in each split
        np.testing.assert_allclose(float(row["risk"]), expit(logit(float(row["calibrated"])) + odds), rtol=1e-6)


def test_nothing_is_lost_and_the_status_says_so(work, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(work / "photos", folder)
    good = sorted(folder.iterdir())[0]
    (folder / "notes.txt").write_text("not a picture")
    (folder / "empty.jpg").touch()
    (folder / "cut.png").write_bytes(good.read_bytes()[:500])
    (folder / ".hidden.png").write_bytes(good.read_bytes())
    shutil.copy(good, folder / "=cmd.png")
    out = tmp_path / "out.csv"
    done = predict(work, "--run=copies/seed0", f"--images={folder}", f"--out={out}")
    assert done.returncode == 4
    rows = {Path(row["image"]).name: row for row in table(out)}
    assert set(rows) == {path.name for path in folder.iterdir()} - {".hidden.png"}
    assert {name: row["reason"] for name, row in rows.items() if row["reason"]} == {
        "notes.txt": "not an image",
        "empty.jpg": "empty file",
        "cut.png": rows["cut.png"]["reason"],
    }
    assert rows["cut.png"]["reason"].startswith("cannot be decoded: ")
    assert rows["cut.png"]["score"] == rows["cut.png"]["risk"] == rows["cut.png"]["call"] == ""
    assert rows["=cmd.png"]["score"] == rows[good.name]["score"]
    assert "3 could not be scored, the first: " in done.stderr
    assert "notes.txt" in done.stdout and "not scored: not an image" in done.stdout


def test_a_name_that_a_spreadsheet_would_compute_is_text(work, tmp_path):
    shutil.copy(next((work / "photos").iterdir()), tmp_path / "=cmd.png")
    done = command("predict", f"--run={work / 'copies/seed0'}", "--images==cmd.png", "--out=a.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "a.csv")[0]["image"] == "'=cmd.png"


def test_several_runs_give_the_mean_of_their_logits_and_each_ones_score(work, tmp_path):
    out = tmp_path / "out.csv"
    done = predict(work, "--run=copies/*", "--images=photos", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert "the mean of 2 runs: seed0, seed1" in done.stdout
    members = [own(work, seed) for seed in (0, 1)]
    validation = [own(work, seed, "validation") for seed in (0, 1)]

    def together(of, key):
        return expit(np.mean([float(each[key]["logit"]) for each in of]))

    melanomas = sorted(
        (together(validation, k) for k, row in validation[0].items() if row["label"] == "1"), reverse=True
    )
    threshold = melanomas[int(np.ceil(0.95 * len(melanomas))) - 1]
    for row in table(out):
        key = Path(row["image"]).stem
        np.testing.assert_allclose(float(row["score"]), together(members, key), rtol=1e-12)
        for seed in (0, 1):
            assert row[f"score_seed{seed}"] == members[seed][key]["score"]
        np.testing.assert_allclose(float(row["threshold"]), threshold, rtol=1e-12)
        assert row["call"] == ("melanoma" if float(row["score"]) >= float(row["threshold"]) else "not melanoma")


def test_an_ensemble_without_validation_scores_has_no_threshold_and_says_why(work, tmp_path):
    shutil.copytree(work / "copies", tmp_path / "copies")
    shutil.rmtree(tmp_path / "copies" / "seed1" / "predictions")
    photo = next((work / "photos").iterdir())
    done = command("predict", "--run=copies/*", f"--images={photo}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: no threshold and no risk: copies/seed1/predictions/validation.csv is not at hand" in done.stdout
    assert "–" in done.stdout


def test_a_table_of_somebody_elses_is_not_replaced(work, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_text("image_id,label\na,1\n")
    done = predict(work, "--run=copies/seed0", "--images=photos", f"--out={mine}")
    assert done.returncode == 2
    assert f"--out={mine} is there and was not written by this command; give another name" in done.stderr
    assert mine.read_text() == "image_id,label\na,1\n"
    for _ in range(2):  # its own is
        assert predict(work, "--run=copies/seed0", "--images=photos", f"--out={tmp_path / 'a.csv'}").returncode == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --run=runs/NAME, the directory of a finished run"),
        (["--run=copies/seed0"], "give --images=PATH: photographs, a folder of them, or a pattern"),
        (["--run=nowhere", "--images=photos"], "there is no run directory 'nowhere'; give --run=runs/NAME"),
        (["--run=no*where", "--images=photos"], "--run=no*where matches no directory"),
        (["--run=copies/seed0", "--images=missing.jpg"], "--images=missing.jpg: there is no such file or folder"),
        (["--run=copies/seed0", "--images=missing*.jpg"], "--images=missing*.jpg matches no file"),
        (["--run=copies/seed0", "--images=copies/seed0/external"], "there is no such file or folder"),
        (["--run=copies/seed0", "--images=photos", "--prevalence=2"], "--prevalence=2.0 is not between 0 and 1"),
        (["--run=copies/seed0", "--images=photos", "--out=photos"], "--out=photos is a folder; give a file, such as"),
        (["--run=copies/seed0", "--images=photos", "--out=x/y.csv"], "--out=x/y.csv: there is no folder x; make it"),
    ],
)
def test_mistakes_are_one_sentence(work, flags, message):
    done = predict(work, *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_many_images_need_a_file(work, tmp_path):
    photo = next((work / "photos").iterdir())
    for i in range(51):
        (tmp_path / f"{i}.png").symlink_to(photo)
    done = predict(work, "--run=copies/seed0", f"--images={tmp_path}")
    assert done.returncode == 2
    assert "51 images do not fit on the screen; give --out=predictions.csv" in done.stderr
