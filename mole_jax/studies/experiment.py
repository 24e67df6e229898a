"""One way to run one config: train, score every split, freeze the classifier, evaluate, report."""

import dataclasses
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import jax

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.weights import Pretrained
from mole_jax.classifier.classifier import CLASS_NAMES, Classifier, Origin
from mole_jax.classifier.decision import freeze
from mole_jax.classifier.preprocess import Preprocessor, load_preprocessor
from mole_jax.classifier.storage import save
from mole_jax.config import SVM, RunConfig
from mole_jax.data.dataset import Dataset, load_dataset, with_fewer
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Metrics
from mole_jax.placement import placement_of
from mole_jax.processes import is_first, wait_for_all
from mole_jax.runs.directory import METRICS, REPORT, begin, finish, hold, refuse_changed_past
from mole_jax.runs.identity import Identity, refuse_another_run, write_identity
from mole_jax.runs.members import refuse_ensemble
from mole_jax.runs.predictions import to_predictions, write_splits
from mole_jax.runs.tracking import refuse_untrackable
from mole_jax.training.loop import Trained, refuse_fewer_epochs, train
from mole_jax.training.preprocessed import as_seen, refuse_without_masks
from mole_jax.training.svm import train_svm


@dataclass(frozen=True)
class Outcome:
    """What a run gives.

    Attributes:
        config: of the run, `run_dir` filled in.
        run_dir: where everything lies.
        classifier: what was trained.
        predictions: of every split.
        metrics: what was found, as in metrics.json.
        report: the page; None where none was asked for.
        timing: where the time of this start went, as in timing.json.
    """

    config: RunConfig
    run_dir: Path
    classifier: Classifier
    predictions: dict[str, Predictions]
    metrics: Metrics
    report: Path | None
    timing: dict[str, float]


def run_experiment(
    config: RunConfig, *, report: bool = True, on_ready: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Trains a config, or goes on where an earlier start stopped, and writes its run directory.

    Args:
        config: of the run; its dataset is prepared. An empty `run_dir` is filled in: runs/<its name>.
        report: whether to draw the page.
        on_ready: called once, with a line that says what will be trained and where, when all is checked.

    Returns:
        The classifier and its predictions; the run directory has them too, and of several processes the first alone
        writes them there.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came; the state has been saved.
        NonFinite: the loss is not finite.
        UserError: no such dataset or weights, another run in the directory, no room left.
    """
    if not config.run_dir:
        config = dataclasses.replace(config, run_dir=f"runs/{config.name}")
    refuse_untrackable(config.track)
    placement_of(config)  # refuses a mesh that cannot be, before weights are fetched and a directory is made
    run_dir = Path(config.run_dir)
    dataset = with_fewer(load_dataset(Path(config.data_dir), config.dataset), config.examples, seed=config.seed)
    backbone, preprocessor = load_backbone(config), load_preprocessor(config)
    refuse_without_masks(preprocessor, dataset)
    identity = identity_of(config, dataset, backbone, preprocessor)
    with hold(run_dir) if is_first() else nullcontext():
        # All that can be refused is refused before anything of an earlier start is touched.
        refuse_ensemble(run_dir)
        refuse_another_run(run_dir, identity)
        refuse_changed_past(run_dir)
        refuse_fewer_epochs(config, dataset, run_dir)
        if is_first():
            shown = (
                f"\nimages as --preprocess={config.preprocess} --masks={config.masks} shows them"
                if preprocessor
                else ""
            )
            on_ready(f"{config.model} on {dataset.describe()}{shown}\nrun directory {run_dir}")

        def on_start() -> None:
            wait_for_all("start")  # when none can be refused any more
            if not is_first():
                return
            begin(run_dir)
            write_identity(run_dir, identity, devices=[device.device_kind for device in jax.devices()])

        seen = as_seen(dataset, preprocessor, tell=logging.getLogger(__name__).info)
        trainer = train_svm if config.head in SVM else train
        trained = trainer(config, seen, run_dir, pretrained=backbone, on_start=on_start)
        dataset.reading.refuse_change()
        return _finish(config, dataset, backbone, preprocessor, trained, report=report)


def identity_of(
    config: RunConfig, dataset: Dataset, backbone: Pretrained | None, preprocessor: Preprocessor | None
) -> Identity:
    """What must be the same each time a run is started."""
    segmenter = preprocessor.segmenter if preprocessor else None
    return Identity(
        config,
        dataset.facts.fingerprint,
        backbone.describe() if backbone else None,
        segmenter.about.sha256 if segmenter else "",
    )


def load_backbone(config: RunConfig) -> Pretrained | None:
    """The pretrained network of model=transfer; None for the other models.

    Raises:
        UserError: as `load_pretrained`.
    """
    if config.model != "transfer":
        return None
    return load_pretrained(config.weights, architecture=BACKBONES[config.backbone], seed=config.seed)


def _finish(
    config: RunConfig,
    dataset: Dataset,
    backbone: Pretrained | None,
    preprocessor: Preprocessor | None,
    trained: Trained,
    *,
    report: bool,
) -> Outcome:
    """Writes classifier, predictions, metrics and the page of a trained run."""
    # Imported here, so that training need not wait for what judges it.
    from mole_jax.evaluation.summary import evaluate_run, write_metrics
    from mole_jax.explain.weight_picture import save_weight_picture

    run_dir, facts = Path(config.run_dir), dataset.facts
    predictions = {str(split): to_predictions(dataset.rows[split], trained.logits[split]) for split in dataset.rows}
    classifier = Classifier(
        config=config,
        variables=trained.variables,
        stage=trained.stage,
        backbone=backbone,
        inputs=trained.inputs,
        decision=freeze(predictions["validation"], prevalence=float(dataset.labels["train"].mean())),
        origin=Origin(
            run=run_dir.name,
            dataset=facts.name,
            dataset_fingerprint=facts.fingerprint,
            layout=facts.layout,
            protocol=facts.protocol,
            leaky=facts.leaky,
            leak=facts.leak,
            step=trained.step,
        ),
        class_names=CLASS_NAMES,
        preprocessor=preprocessor,
    )
    metrics = evaluate_run(predictions, leaky=facts.leaky, protocol=facts.protocol, leak=facts.leak, seed=config.seed)
    if not is_first():
        return Outcome(config, run_dir, classifier, predictions, metrics, None, trained.timing)
    write_splits(run_dir, predictions)
    save(classifier, run_dir)
    write_metrics(run_dir / METRICS, metrics)
    if config.model == "logistic":
        save_weight_picture(run_dir, trained.variables["params"])
    finish(run_dir)
    page = page_of(run_dir) if report else None
    return Outcome(config, run_dir, classifier, predictions, metrics, page, trained.timing)


def page_of(run_dir: Path) -> Path:
    """Writes the page of a finished run, or study of seeds; gives its path."""
    from mole_jax.report.page import write_report  # what draws figures takes a second to import

    return write_report([run_dir], run_dir / REPORT)
