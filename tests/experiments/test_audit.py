import json

import numpy as np
import pytest
from PIL import Image

from mole_jax.report.audit_page import write_audit_page
from tests.commands import command


def run(*flags):
    return command("audit", *flags)


@pytest.fixture
def leaky(tmp_path):
    """Split folders of noise; one image of train lies in test, too."""
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 256, (224, 224, 3), np.uint8)
        split, label = ("train", "test")[i % 2], ("Melanoma", "NotMelanoma")[i // 2 % 2]
        path = tmp_path / "source" / split / label / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (path.parent / "again.png").write_bytes((tmp_path / "source" / "train" / "Melanoma" / "0.png").read_bytes())
    return tmp_path / "source"


def test_a_leak_is_exit_status_3_and_a_page(leaky, tmp_path):
    before = sorted(path.stat().st_mtime_ns for path in leaky.rglob("*"))
    result = run(f"--source={leaky}", f"--out={tmp_path / 'out'}")
    assert (result.returncode, result.stderr) == (3, "")
    assert "!!! LEAK: 1 file lies, byte for byte, in more than one split (2 images)" in result.stdout
    assert "!!! CONTRADICTION" in result.stdout
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert found["duplicates"]["identical_file"]["straddling_groups"] == 1
    page = (tmp_path / "out" / "audit.html").read_text()
    assert "LEAK: scores on these splits flatter" in page
    assert "data:image/jpeg" in page
    assert "http" not in page, "nothing is fetched"
    assert sorted(path.stat().st_mtime_ns for path in leaky.rglob("*")) == before, "read-only"
    assert run(f"--source={leaky}", f"--out={tmp_path / 'out'}", "--allow_leaky").returncode == 0

    found["worst_pairs"][0]["a"]["path"] = found["worst_pairs"][0]["a"]["image_id"] = "<script>alert(1)</script>"
    again = write_audit_page(found, tmp_path / "nasty" / "audit.html", lambda i: np.zeros((224, 224, 3), np.uint8))
    assert "<script" not in again.read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give either --dataset=NAME, a prepared dataset, or --source=DIR"),
        (["--dataset=a", "--source=b"], "give either --dataset=NAME, a prepared dataset, or --source=DIR"),
        (["--dataset=none"], "no dataset 'none' in"),
        (["--source=nowhere"], "source 'nowhere' is missing"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_status_2(tmp_path, flags, message):
    result = run(*flags, f"--data_dir={tmp_path}")
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_diagnoses_that_are_not_known_are_decided_by_the_flags_that_the_message_names(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    random = np.random.default_rng(0)
    rows = ["image_id,dx"]
    for i in range(12):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(source / f"i{i}.png")
        rows.append(f"i{i},{('mel', 'odd thing')[i % 2]}")
    (source / "HAM10000_metadata.csv").write_text("\n".join(rows) + "\n")
    given = (f"--source={source}", f"--out={tmp_path / 'out'}")
    refused = run(*given)
    assert refused.returncode == 2
    assert "odd thing (6)" in refused.stderr and "--negative" in refused.stderr
    done = run(*given, "--negative=odd thing")
    assert done.returncode == 0, done.stderr
