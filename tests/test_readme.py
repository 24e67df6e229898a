"""The README's Python runs as it stands, in an empty folder, and its promises about files and commands hold."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mole_jax

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_python_trains_a_run_and_scores_a_photograph(tmp_path):
    score, train = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    pixels = np.random.default_rng(0).integers(0, 256, (450, 600, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    for code in (train, score):
        path = tmp_path / "example.py"
        path.write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}")
        # As a script of one's own, whose workers import it again.
        ran = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(
        r"risk at a prevalence of 2 %: [\d.]+%\ncalled melanoma at 95 % sensitivity: (True|False)\n", ran.stdout
    )


def test_every_folder_and_command_that_it_names_is_there():
    tree = README[README.index("## The code") :]
    for name in re.findall(r"^      (\S+?)/? {2,}", tree, flags=re.MULTILINE):
        assert (ROOT / "mole_jax" / name).exists(), name
    rooms = {path.name for path in (ROOT / "mole_jax").iterdir() if (path / "__init__.py").is_file()}
    assert rooms == set(re.findall(r"^      (\w+)/ ", tree, flags=re.MULTILINE))
    commands = {p.stem for p in (ROOT / "experiments").glob("*.py") if "cli.main(" in p.read_text(encoding="utf-8")}
    named = set(re.findall(r"^\| `(\w+) --", README, flags=re.MULTILINE))
    assert named == commands


def test_the_front_door_hands_on_what_it_names():
    for name in mole_jax.__all__:
        assert getattr(mole_jax, name) is not None
        assert name in (mole_jax.__doc__ or "") or name in ("Classifier", "RunConfig")
    code = "import sys, mole_jax; print(sorted({'jax', 'numpy', 'flax'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_its_lines_fit_a_screen():
    long = [line for line in README.splitlines() if len(line) > 125 and not line.startswith("|")]
    assert not long
