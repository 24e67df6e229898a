"""The files of a run directory, each name once."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from mole_jax.files.lock import exclusive

CONFIG: Final = "config.json"
ENVIRONMENT: Final = "environment.json"
METRICS: Final = "metrics.json"  # there only while the run is finished, for as many epochs as the config says
STEPS: Final = "metrics.jsonl"  # a line a step and a line an epoch
TIMING: Final = "timing.json"
LOG: Final = "train.log"  # what the run printed, a line an epoch
CHECKPOINTS: Final = "checkpoints"
CLASSIFIER: Final = "classifier"
EXTERNAL: Final = "external"  # a folder a dataset
FIGURES: Final = "figures"
PROFILE: Final = "profile"
REPORT: Final = "report.html"
WEIGHT_PICTURE: Final = "weight_picture.npy"


def predictions_file(run_dir: Path, split: str) -> Path:
    """Where the scores of a split lie."""
    return run_dir / "predictions" / f"{split}.csv"


def hold(run_dir: Path) -> AbstractContextManager[None]:
    """Holds a run directory for this process.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    return exclusive(
        run_dir,
        busy=f"another process is training in {run_dir}; wait for it or use another --run_dir",
        otherwise="give another --run_dir",
    )
