import json
import subprocess
import sys

import pytest

from experiments.compare import model_names
from mole_jax.errors import UserError


def csv(path, step, n=40):
    path.parent.mkdir(exist_ok=True)
    lines = [f"i{i},{i % 2},{(i * step % 40) / 50 + 0.2 * (i % 2)}" for i in range(n)]
    path.write_text("\n".join(["image_id,label,score", *lines]) + "\n")
    return path


def run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "experiments.compare", *flags], capture_output=True, text=True, check=False
    )


def test_prints_the_differences_and_writes_them(tmp_path):
    a, b = csv(tmp_path / "a.csv", 37), csv(tmp_path / "b.csv", 11)
    done = run(f"--predictions={a},{b}", f"--validation={a},{b}", "--resamples=50", f"--out={tmp_path / 'out'}")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert list(found["models"]) == ["a", "b"]
    assert f"{found['pairs'][0]['difference']['auroc']['value']:+.3f}" in done.stdout
    assert "McNemar" in done.stdout


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--predictions=A,FEW"], "has 2 images that"),
        (["--predictions=A"], "1 model cannot be compared"),
        (["--predictions=A,A"], "names a file twice"),
        (["--predictions=A,B", "--validation=A"], "--validation names 1 files but --predictions 2"),
        (["--predictions=A,B", "--validation=A,B", "--threshold=0.5"], "give one of them"),
    ],
)
def test_mistakes_are_one_sentence_and_status_two(tmp_path, flags, expected):
    files = {
        "FEW": csv(tmp_path / "few.csv", 37, 38),
        "A": csv(tmp_path / "a.csv", 37),
        "B": csv(tmp_path / "b.csv", 11),
    }
    named = []
    for flag in flags:
        name, _, value = flag.partition("=")
        named.append(f"{name}={','.join(str(files.get(part, part)) for part in value.split(','))}")
    done = run(*named)
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_models_are_named_by_the_shortest_end_that_differs():
    assert model_names(["/x/a.csv", "/y/b.csv"]) == ["a", "b"]
    assert model_names(["runs/cnn/predictions/test.csv", "runs/mlp/predictions/test.csv"]) == [
        "cnn/predictions/test",
        "mlp/predictions/test",
    ]
    with pytest.raises(UserError, match="names a file twice"):
        model_names(["a.csv", "a.csv"])
