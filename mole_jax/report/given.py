"""What a page is about: runs, and judged files of predictions, which are runs of which nothing else is known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from mole_jax.errors import UserError
from mole_jax.evaluation.folder import Evaluation, is_evaluation, read_evaluation
from mole_jax.runs.read import Images, Run, keys_of, read_runs

FILES = "files"  # of config: what was judged, split by split


def read_given(paths: Sequence[Path], data_dir: Path | None) -> list[Run]:
    """Reads directories of runs and folders of judged files, in the order given.

    Raises:
        UserError: see `read_runs` and `read_evaluation`; one is given twice.
    """
    of_files = [path for path in paths if is_evaluation(path)]
    if not of_files:
        return read_runs(paths, data_dir)
    resolved = [path.resolve() for path in paths]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise UserError(f"{paths[i]} is given twice; give each folder once")
    runs = [path for path in paths if path not in of_files]
    found = dict(zip(runs, read_runs(runs, data_dir) if runs else [], strict=True))
    found |= {path: _as_run(path, read_evaluation(path)) for path in of_files}
    return _told_apart([found[path] for path in paths])


def from_files(run: Run) -> bool:
    """Whether a run is a judged file: no training, no dataset, no images are known."""
    return FILES in run.config


def _as_run(path: Path, evaluation: Evaluation) -> Run:
    files = evaluation.about["files"]
    config: dict[str, Any] = {"model": "", "dataset": PurePath(files["test"]).name, FILES: files}
    environment = {"command": evaluation.about["command"]}
    images = Images(None, {}, None, "The file has no images.")
    name = path.resolve().name
    return Run(name, name, path, config, environment, evaluation.metrics, [], evaluation.test, None, images)


def _told_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs under names and keys that occur once each."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in runs]
    return [replace(run, name=name, key=key) for run, name, key in zip(runs, names, keys_of(names), strict=True)]
