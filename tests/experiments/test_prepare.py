import numpy as np
import pytest
from PIL import Image

from tests.commands import command


def run(*flags):
    return command("prepare", *flags)


@pytest.fixture
def source(tmp_path):
    """24 images in two class folders, and one file that is none."""
    for i in range(24):
        path = tmp_path / "source" / ("Melanoma", "NotMelanoma")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 20, 3), np.uint8)).save(path)
    (tmp_path / "source" / "Melanoma" / "notes.jpg").write_text("not an image")
    return tmp_path / "source"


def test_synthetic_needs_no_source(tmp_path):
    result = run("--dataset=synthetic", "--examples=20", f"--data_dir={tmp_path}")
    assert (result.returncode, result.stderr) == (0, "")
    assert "drawn, not photographed" in result.stdout
    assert (tmp_path / "synthetic" / "1.0.0" / "dataset_info.json").is_file()


def test_the_output_says_what_was_seen_and_where_it_lies(source, tmp_path):
    flags = ("--dataset=mine", f"--source={source}", f"--data_dir={tmp_path / 'data'}")
    result = run(*flags)
    assert (result.returncode, result.stderr) == (0, ""), "no progress bar where there is no terminal"
    assert "mine: layout folder; protocol grouped" in result.stdout
    assert "25 files = 24 prepared + 1 quarantined + 0 not selected" in result.stdout
    assert "mine/1.0.0/quarantine.csv" in result.stdout
    assert "images/s" in result.stdout
    again = run(*flags)
    assert again.returncode == 0
    assert "was already prepared like this; nothing to do" in again.stdout


def test_the_output_tells_copies_and_leaks(source, tmp_path):
    result = run("--dataset=mine", f"--source={source}", "--protocol=paper", f"--data_dir={tmp_path / 'data'}")
    assert (result.returncode, result.stderr) == (0, "")
    assert "25 files = 12 prepared + 1 quarantined + 0 not selected + 12 left out by the protocol" in result.stdout
    assert "13 augmented copies were made beside the 12" in result.stdout
    assert "LEAKY: " in result.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --dataset=NAME"),
        (["--dataset=ham"], "dataset 'ham' needs a source; give --source=DIR"),
        (["--dataset=ham", "--source={tmp}/nowhere"], "is missing; give --source=DIR"),
        (["--dataset=ham", "--source={tmp}"], "holds no files"),
        (
            ["--dataset=ham", "--source={tmp}", "--layout=tree"],
            "value should be one of <auto|kaggle|ham10000|folder|table|npz|synthetic>",
        ),
        (
            ["--dataset=ham", "--source={tmp}", "--protocol=random"],
            "value should be one of <auto|given|grouped|paper|paper_by_lesion|paper_clean|external>",
        ),
        (["--dataset=synthetic", "--examples=7"], "examples=7 is not an even number"),
        (["--dataset=synthetic", "--examples=many"], "flag --examples=many"),
        (["--dataset=synthetic", "--seed=-1"], "seed=-1 is negative"),
        (["--dataset=synthetic", "--colour=red"], "unknown flag --colour; --help lists them"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_status_2(tmp_path, flags, message):
    (tmp_path / "empty").mkdir()
    result = run(*(flag.format(tmp=tmp_path / "empty") for flag in flags), f"--data_dir={tmp_path / 'data'}")
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_a_table_and_columns_of_ones_own(source, tmp_path):
    for i in range(24):
        path = source / ("Melanoma", "NotMelanoma")[i % 2] / f"{i}.png"
        path.rename(source / path.name)
    rows = [f"{i},{('x', 'y')[i % 2]},P{i // 4}" for i in range(24)]
    (source / "t.csv").write_text("\n".join(["pic,class,who", *rows, ""]))
    flags = ("--dataset=mine", f"--source={source}", f"--data_dir={tmp_path / 'data'}", "--table=t.csv", "--id=pic")
    result = run(*flags, "--label=class")
    assert (result.returncode, result.stdout) == (2, "")
    assert "column 'class' of t.csv has 2 values that may mean melanoma or not: x (12), y (12)" in result.stderr
    result = run(*flags, "--label=class", "--positive=x", "--group=who")
    assert (result.returncode, result.stderr) == (0, "")
    assert "grouped by who of t.csv" in result.stdout
    assert "'y' in column 'class' of t.csv counts as not melanoma" in result.stdout


def test_classes_of_ones_own(source, tmp_path):
    (source / "Melanoma").rename(source / "1")
    (source / "NotMelanoma").rename(source / "0")
    flags = ("--dataset=mine", f"--source={source}", f"--data_dir={tmp_path / 'data'}")
    result = run(*flags)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert '--classes="' in result.stderr
    assert run(*flags, "--classes=1=1,0=0").returncode == 0


def test_masks_are_a_part_of_the_dataset_and_said(source, tmp_path):
    (tmp_path / "masks").mkdir()
    for i in range(24):
        pixels = np.zeros((20, 20), np.uint8)
        pixels[5:15, 5 : 8 + i % 5] = 255 if i else 0
        Image.fromarray(pixels).save(tmp_path / "masks" / f"{i}_segmentation.png")
    flags = ("--dataset=mine", f"--source={source}", f"--data_dir={tmp_path / 'data'}")
    result = run(*flags, f"--masks={tmp_path / 'masks'}")
    assert (result.returncode, result.stderr) == (0, "")
    assert "25 files = 23 prepared + 2 quarantined" in result.stdout
    assert "each image has its lesion mask" in result.stdout
    assert "its mask is empty" in (tmp_path / "data" / "mine" / "1.0.0" / "quarantine.csv").read_text()


@pytest.mark.parametrize("flags", [[], ["--source=isic2018"]])
def test_published_masks_are_those_of_dataverse(source, tmp_path, flags):
    result = run("--dataset=mine", f"--source={source}", "--masks=published", f"--data_dir={tmp_path / 'data'}", *flags)
    assert result.returncode == 2
    assert "--masks=published are HAM10000's, which come with --source=dataverse" in result.stderr
