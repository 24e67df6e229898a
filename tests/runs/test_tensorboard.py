"""Torch stays out of a run, and as it was for everybody else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("before", "imported"), [("", False), ("import torch; ", True)])
def test_torch_is_not_imported_for_event_files(tmp_path, before, imported):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("class Tensor: pass\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {before}"
        "from mole_jax.runs.tracking import SummaryWriter; "
        f"print('torch' in sys.modules); writer = SummaryWriter({str(tmp_path / 'run')!r}); "
        "writer.add_scalar('loss', 0.5, 1); writer.close(); import torch; print(torch.Tensor.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == [str(imported), "Tensor"]
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))
