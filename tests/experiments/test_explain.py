"""Explanations of a small run on drawn lesions, whose places are known; and every refusal."""

import html
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mole_jax.classifier.preprocess import lesion_finder
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.files.sums import find_fault
from mole_jax.runs.explanation import FOLDER, read_components, read_saliency
from mole_jax.runs.members import member_dir, write_members
from mole_jax.studies.experiment import run_experiment
from mole_jax.studies.explain import lesion_masks

CROSS = (213, 94, 0)


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    prepare("synthetic", examples=100, data_dir=folder / "data", workers=1)
    config = RunConfig(
        model="logistic", learning_rate=1e-4, epochs=2, data_dir=str(folder / "data"), run_dir=str(folder / "run")
    )
    run_experiment(config, report=False)
    return folder


@pytest.fixture(scope="module")
def explained(made, tmp_path_factory):
    """The run with maps by two methods, the labels shuffled, and components; each in a start of its own."""
    from mole_jax.report.explanation.explanation_page import write_explanation_page
    from mole_jax.studies.explain import Request, explain_run

    run = tmp_path_factory.mktemp("explained") / "run"
    shutil.copytree(made / "run", run)
    lines = []
    methods = ("input_x_gradient", "occlusion")
    explain_run(Request(run, ("saliency",), 4, methods, shuffle_labels=True), tell=lines.append)
    explain_run(Request(run, ("pca",)))
    write_explanation_page(run)
    return run, lines


@pytest.fixture
def copied(explained, tmp_path):
    shutil.copytree(explained[0], tmp_path / "run")
    return tmp_path / "run"


def test_what_was_found_is_written_whole_and_typed(explained, made):
    run, lines = explained
    found = read_saliency(run)
    assert [result.method for result in found.methods] == ["input_x_gradient", "occlusion"]
    assert len(found.tested) == len(set(found.tested)) == 4 and len(found.pictures) == 4
    assert found.layer == "" and found.steps == ("the only layer, fc1",)
    rows = {row.image_id: row for row in load_dataset(made / "data", "synthetic").rows["test"]}
    assert {rows[name].label for name in found.tested} == {1}
    assert len({rows[name].lesion_id for name in found.tested}) == 4
    assert 0.05 < found.lesion_area < 0.6 and found.centre > 0.5
    assert found.lesions == "The lesions are where they were drawn."
    for result in found.methods:
        assert -1 <= result.shuffled_labels <= 1
        assert result.pointing is not None and 0 <= result.pointing.inside <= 1
        words = "; ".join(result.reasons)
        assert any(words in line if words else line.endswith("passed") for line in lines)
    assert find_fault(run / FOLDER, FOLDER) == ""
    for picture in found.pictures:
        for file in (picture.photograph, *picture.maps.values()):
            assert pixels_of(run / FOLDER / file).shape == (224, 224, 3)


def test_masks_lie_where_lesions_were_drawn(made):
    dataset = load_dataset(made / "data", "synthetic")
    rows = dataset.rows["test"]
    masks, where = lesion_masks(dataset, [row.image_id for row in rows])
    assert where == "The lesions are where they were drawn."
    images = np.stack([dataset.splits["test"][i]["image"] for i in range(len(rows))]).astype(float)
    finder = lesion_finder("kmeans")
    found, where = lesion_masks(dataset, [row.image_id for row in rows], finder)
    np.testing.assert_array_equal(found, finder.find(images.astype(np.uint8)))
    assert where == "A trained segmenter outlines the lesions."
    darker = [image[~mask].mean() - image[mask].mean() for image, mask in zip(images, masks, strict=True)]
    assert np.mean(np.array(darker) > 10) > 0.9, "lesions are darker than the skin around them"


def test_the_page_says_what_failed_and_crosses_it_out(explained):
    run, _ = explained
    page = html.unescape((run / FOLDER / "report.html").read_text())
    found = read_saliency(run)
    assert "never whether it is right: no picture here is evidence for a diagnosis" in page
    assert "The rule was fixed before any run was looked at." in page
    assert "Rank correlation with the maps of the same network trained on shuffled labels: input × gradient" in page
    failed = [result for result in found.methods if result.reasons]
    assert failed, "a random regression's input x gradient is the image"
    for result in failed:
        assert all(reason in page for reason in result.reasons)
        for picture in found.pictures:
            assert tuple(pixels_of(run / FOLDER / picture.maps[result.method])[112, 112]) == CROSS, "its middle"
    for result in found.methods:
        middle = pixels_of(run / FOLDER / found.pictures[0].maps[result.method])[112, 112]
        assert (tuple(middle) == CROSS) == bool(result.reasons)
    assert "Does any component explain much?" in page
    first = read_components(run).spaces[0]
    assert f"the first component explains {first.explained[0]:.0%} of the variance" in page
    assert "Logistic regression has no features: its only layer is given the pixels." in page
    for name in ("cascade-run.svg", "hiding-run-hiding.svg", "scatter-run-1.svg", "maps-run.csv"):
        assert (run / FOLDER / "figures" / name).is_file()


def test_components_are_of_the_pixels_and_of_all_test_images(explained, made):
    found = read_components(explained[0])
    dataset = load_dataset(made / "data", "synthetic")
    assert found.image_id == tuple(row.image_id for row in dataset.rows["test"])
    (pixels,) = found.spaces
    assert (pixels.dimensions, pixels.images) == (150528, len(dataset.rows["train"]))
    images = np.stack([dataset.splits["train"][i]["image"] for i in range(len(dataset.rows["train"]))])
    rows = images.reshape(len(images), -1) / 255
    singular = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(pixels.explained[:5], (singular / singular.sum())[:5], rtol=0.01)


def test_the_runs_report_gets_a_section(call, copied):
    call("report", f"--runs={copied}", f"--out={copied.parent / 'report.html'}")
    page = html.unescape((copied.parent / "report.html").read_text())
    assert "What do its scores rest on?" in page and "Can the maps be believed? run" in page


def test_results_of_another_classifier_are_not_shown(copied, caplog):
    sums = copied / "classifier" / "SHA256SUMS"
    sums.write_text(sums.read_text() + "\n")
    assert read_saliency(copied) is None and read_components(copied) is None
    assert (
        "saliency.json is of an earlier classifier of this run, or of another release, and is left out" in caplog.text
    )


def test_damage_is_noticed(copied):
    (copied / FOLDER / "saliency.json").write_text("{}")
    with pytest.raises(UserError, match=r"saliency.json has changed since it was written .* makes it again"):
        read_saliency(copied)


def test_the_command_writes_both_pages_and_says_where(call, copied):
    text = call("explain", f"--run={copied}", "--what=saliency", "--methods=gradient", "--images=4")
    assert "gradient (" in text and f"their page in {copied / FOLDER / 'report.html'}" in text
    assert [result.method for result in read_saliency(copied).methods] == ["gradient"]
    assert not list((copied / FOLDER).glob("*occlusion.png")), "pictures of before are gone"
    assert read_components(copied) is not None
    page = html.unescape((copied / "report.html").read_text())
    assert f"python -m experiments.explain --run={copied} --shuffle_labels does it" in page


def test_sheets_of_new_photographs_carry_the_verdicts(call, copied, made, tmp_path):
    source = load_dataset(made / "data", "synthetic").splits["test"]
    (tmp_path / "photos").mkdir()
    Image.fromarray(source[0]["image"]).save(tmp_path / "photos" / "0.png")
    out = tmp_path / "sheets"
    call("predict", f"--run={copied}", f"--images={tmp_path / 'photos' / '0.png'}", f"--explain={out}")
    assert sorted(path.name for path in out.glob("*.png")) == ["0.png"]
    assert pixels_of(out / "0.png").shape[1] > 900
    shutil.rmtree(copied / FOLDER)
    text = call("predict", f"--run={copied}", f"--images={tmp_path / 'photos' / '0.png'}", f"--explain={out}")
    assert (
        f"note: no map of run was tested yet, so none can be believed; python -m experiments.explain --run={copied}"
        in text
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").touch()
    photo = f"--images={tmp_path / 'photos' / '0.png'}"
    with pytest.raises(UserError, match=r"mine' holds files and no mark of mole_jax .* give another --explain"):
        call("predict", f"--run={copied}", photo, f"--explain={tmp_path / 'mine'}")
    with pytest.raises(UserError, match=r"--explain is for one run of one seed, and --run names 2"):
        call("predict", f"--run={copied},{made / 'run'}", photo, f"--explain={out}")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --run=runs/NAME, the directory of a finished run"),
        (["--run={run}", "--what=lime"], "--what=lime is neither saliency nor pca; give --what=saliency,pca"),
        (["--run={run}", "--what="], "--what is empty; give --what=saliency,pca, or one of them"),
        (["--run={run}", "--images=3"], "--images=3 is too few for an interval; give 4 or more"),
        (["--run={run}", "--what=pca", "--layer=conv1"], "--layer is for maps, and --what=pca makes none"),
        (["--run={run}", "--methods=lime"], "--methods=lime: there is no such method; give some of gradient, "),
        (["--run={run}", "--layer=conv1"], "--layer=conv1: the network of the run run has no such map"),
        (["--run={run}", "--data_dir=nowhere"], "are needed and not at hand .* give --data_dir, or prepare"),
        (["--run=nowhere"], "there is no directory nowhere"),
        (["--run={run}", "--masks=nowhere"], "there is no segmenter in 'nowhere'"),
        (["--run={run}", "--masks=nowhere", "--what=pca"], "--masks is for maps"),
    ],
)
def test_a_mistake_is_a_sentence(call, made, flags, message):
    with pytest.raises(UserError, match=message):
        call("explain", *(flag.format(run=made / "run") for flag in flags))
    assert not (made / "run" / FOLDER).exists()


def test_an_ensemble_is_explained_run_by_run(call, copied):
    write_members(copied, [0])
    shutil.copytree(copied / "classifier", member_dir(copied, 0) / "classifier")
    with pytest.raises(UserError, match=r"is the ensemble of several runs; explain one of them, .*seeds/0"):
        call("explain", f"--run={copied}")


def test_too_few_melanomas_are_said(call, made, monkeypatch):
    monkeypatch.setattr("mole_jax.studies.explain.FEWEST", 1000)
    with pytest.raises(UserError, match=r"has melanomas of only \d+ lesions, and the tests of maps need 1000"):
        call("explain", f"--run={made / 'run'}", "--what=saliency")


def test_a_folder_of_somebody_elses_is_not_touched(call, copied):
    shutil.rmtree(copied / FOLDER)
    (copied / FOLDER).mkdir()
    (copied / FOLDER / "mine.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match=r"holds files and no mark of mole_jax .* move it elsewhere"):
        call("explain", f"--run={copied}")
