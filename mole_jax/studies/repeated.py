"""One config under several seeds: each a run of its own, and a run that is their ensemble, with mean and spread."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import jax

from mole_jax.classifier.preprocess import load_preprocessor
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset, load_dataset
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions, read_predictions
from mole_jax.evaluation.repeats import ensemble, repeats
from mole_jax.evaluation.schema import Metrics
from mole_jax.evaluation.summary import evaluate_run, write_metrics
from mole_jax.processes import is_first, wait_for_all
from mole_jax.runs.directory import METRICS, begin, finish, hold, predictions_file, verify_run
from mole_jax.runs.identity import Identity, is_finished_as, refuse_another_run, write_identity
from mole_jax.runs.members import member_dir, refuse_single, write_members
from mole_jax.runs.predictions import write_splits
from mole_jax.studies.experiment import identity_of, load_backbone, page_of, run_experiment


@dataclass(frozen=True)
class Repeated:
    """What several seeds give.

    Attributes:
        run_dir: where everything lies; itself a run's directory, of the ensemble.
        metrics: of the ensemble, with `repeats`.
        report: the page; None where none was asked for.
    """

    run_dir: Path
    metrics: Metrics
    report: Path | None


def run_repeated(
    config: RunConfig, seeds: int, *, report: bool = True, on_ready: Callable[[str], None] = lambda _: None
) -> Repeated:
    """Trains a config under several seeds, from its own on, and judges their averaged logits as one run.

    What is finished is kept, what was stopped goes on, and a larger number of seeds adds to what is there.

    Args:
        config: of the run with the first seed. An empty `run_dir` is filled in: runs/<its name>-seeds.
        seeds: how many, at least 2.
        report: whether to draw the page of the ensemble.
        on_ready: called with a line for people when a seed begins, and when one is there already.

    Raises:
        Interrupted, NonFinite, UserError: as `run_experiment`; or a seed's finished run has changed.
    """
    if config.normalize == "batch":
        raise UserError(f"seeds={seeds}: with normalize=batch a score depends on its batch, and has no mean over seeds")
    run_dir = Path(config.run_dir or f"runs/{config.name}-seeds")
    config = dataclasses.replace(config, run_dir=str(run_dir))
    of_seeds = {
        seed: dataclasses.replace(config, seed=seed, run_dir=str(member_dir(run_dir, seed)))
        for seed in range(config.seed, config.seed + seeds)
    }
    dataset = load_dataset(Path(config.data_dir), config.dataset)
    identity = _identity(config, dataset)
    with hold(run_dir) if is_first() else nullcontext():
        refuse_single(run_dir)
        refuse_another_run(run_dir, identity)
        wait_for_all("begin the seeds")
        if is_first():
            begin(run_dir)
            write_identity(run_dir, identity, devices=[device.device_kind for device in jax.devices()])
            write_members(run_dir, list(of_seeds))
        for place, (seed, of_seed) in enumerate(of_seeds.items(), 1):
            _train(of_seed, dataset, f"seed {seed} ({place} of {seeds})", on_ready)
        predictions = {seed: _predictions(member_dir(run_dir, seed)) for seed in of_seeds}
        together = _together(list(predictions.values()))
        facts = dataset.facts
        metrics = evaluate_run(
            together,
            leaky=facts.leaky,
            protocol=facts.protocol,
            leak=facts.leak,
            seed=config.seed,
        )
        metrics["repeats"] = repeats(predictions)
        dataset.reading.refuse_change()
        return _written(run_dir, together, metrics, report=report)


def _train(config: RunConfig, dataset: Dataset, words: str, on_ready: Callable[[str], None]) -> None:
    run_dir = Path(config.run_dir)
    if is_finished_as(run_dir, _identity(config, dataset)):
        verify_run(run_dir)
        on_ready(f"{words} is finished: {run_dir}")
    else:
        run_experiment(config, report=False, on_ready=lambda line: on_ready(f"{words}: {line}"))
    wait_for_all(f"{words} is done")


def _identity(config: RunConfig, dataset: Dataset) -> Identity:
    return identity_of(config, dataset, load_backbone(config), load_preprocessor(config))


def _predictions(run_dir: Path) -> dict[str, Predictions]:
    files = {split: predictions_file(run_dir, split) for split in ("train", "validation", "test")}
    return {split: read_predictions(file) for split, file in files.items()}


def _together(members: Sequence[Mapping[str, Predictions]]) -> dict[str, Predictions]:
    """Their ensemble; without the training split where each has learnt from images of its own (`examples`)."""
    same = [split for split in members[0] if len({frozenset(of[split].image_id) for of in members}) == 1]
    return {split: ensemble([of[split] for of in members]) for split in same}


def _written(run_dir: Path, predictions: dict[str, Predictions], metrics: Metrics, *, report: bool) -> Repeated:
    if not is_first():
        return Repeated(run_dir, metrics, None)
    write_splits(run_dir, predictions)
    write_metrics(run_dir / METRICS, metrics)
    finish(run_dir)
    return Repeated(run_dir, metrics, page_of(run_dir) if report else None)
