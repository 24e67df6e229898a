"""The files of a run directory, each name once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mole_jax.data.records import SPLITS
from mole_jax.files.changes import SUMS, is_ours, remove_file
from mole_jax.files.lock import exclusive
from mole_jax.files.sums import claim, is_sealed, refuse_foreign, seal, verify

RUN: Final = "run"  # the kind of its folder

CONFIG: Final = "config.json"
ENVIRONMENT: Final = "environment.json"
METRICS: Final = "metrics.json"  # there only while the run is finished, for as many epochs as the config says
STEPS: Final = "metrics.jsonl"  # a line a step and a line an epoch
TIMING: Final = "timing.json"
TRACKING: Final = "tracking.json"  # what services call the run
LOG: Final = "train.log"  # what the run printed, a line an epoch
CHECKPOINTS: Final = "checkpoints"
CLASSIFIER: Final = "classifier"
EXTERNAL: Final = "external"  # a folder a dataset
FIGURES: Final = "figures"
PROFILE: Final = "profile"
REPORT: Final = "report.html"
SEEDS: Final = "seeds.json"  # of an ensemble: which runs its scores come from
MEMBERS: Final = "seeds"  # these runs, a directory a seed
WEIGHT_PICTURE: Final = "weight_picture.npy"


def predictions_file(run_dir: Path, split: str) -> Path:
    """Where the scores of a split lie."""
    return run_dir / "predictions" / f"{split}.csv"


def files(run_dir: Path) -> list[str]:
    """The files that make up a run, relative to its directory; a finished one has the digest of each that is there."""
    splits = [predictions_file(run_dir, split).relative_to(run_dir).as_posix() for split in SPLITS]
    own = [CONFIG, ENVIRONMENT, STEPS, TIMING, TRACKING, SEEDS]
    return [*own, *splits, METRICS, WEIGHT_PICTURE, f"{CLASSIFIER}/{SUMS}"]


@contextmanager
def hold(run_dir: Path, kind: str = RUN, names: Sequence[str] | None = None) -> Iterator[None]:
    """Holds a directory for this process, and marks a new one as ours.

    Args:
        run_dir: of a run, or of a sweep.
        kind: which of them.
        names: of its files; None: a run's.

    Raises:
        UserError: another process holds it, it holds files that are not ours, or it cannot be written.
    """
    otherwise = "give another --run_dir"
    names = files(run_dir) if names is None else names
    refuse_foreign(run_dir, kind, names, alone=True, otherwise=otherwise)
    busy = f"another process is training in {run_dir}; wait for it or use another --run_dir"
    with exclusive(run_dir, busy=busy, otherwise=otherwise):
        if not is_ours(run_dir):
            claim(run_dir, kind, names, alone=True, otherwise=otherwise)
        yield


def refuse_changed_past(run_dir: Path) -> None:
    """Raises UserError where what a run goes on from has changed since it was finished; the rest is written anew."""
    if is_sealed(run_dir, RUN):
        verify(run_dir, RUN, only=(CONFIG, ENVIRONMENT, STEPS), again="restore it, or train again in another --run_dir")


def begin(run_dir: Path) -> None:
    """Marks a directory as a run's that is under way: it has no metrics.json until it is finished."""
    claim(run_dir, RUN, files(run_dir), alone=True, otherwise="give another --run_dir")
    remove_file(run_dir / METRICS)


def finish(run_dir: Path) -> None:
    """Records the digests of a run's files, now that all of them are written."""
    seal(run_dir, RUN)


def verify_run(run_dir: Path, only: Sequence[str] | None = None) -> None:
    """Raises UserError where a file of a finished run is missing or has changed since it was written.

    Args:
        run_dir: of the run.
        only: the files to look at; None: all of them.
    """
    again = "restore it, or give the command that trained it again, which makes it anew from its checkpoint"
    required = (CONFIG, ENVIRONMENT, METRICS, "predictions/validation.csv", "predictions/test.csv")
    verify(run_dir, RUN, required if only is None else only, only=only, again=again)
