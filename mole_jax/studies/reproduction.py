"""The runs that make up the paper, by scale: which, in which order, what is done, and roughly what the rest costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from mole_jax.config import RunConfig
from mole_jax.data.facts import DatasetFacts
from mole_jax.errors import UserError
from mole_jax.files.reading import read_record
from mole_jax.runs.directory import CONFIG, METRICS
from mole_jax.studies.recipes import RecipeName, resolve
from mole_jax.sweeps.directory import SWEEP
from mole_jax.sweeps.space import parse_space, sweep_name

State = Literal["done", "begun", "to do"]


# The protocol whose figures can be believed.
HONEST: Final = "grouped"


@dataclass(frozen=True)
class Variant:
    """One line of the comparison.

    Attributes:
        model: a key of MODELS.
        settings: what differs from the model's recipe.
        words: the same for people, "" where it is the recipe.
        grid: for `experiments.sweep`, in place of one run; "" for a run.
        recipe: of the model. Tuned ones stand beside the paper's on honest data alone: how well a model does where the
            test gives the answer away is not worth their hours.
    """

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""
    grid: str = ""
    recipe: RecipeName = "paper"

    @property
    def label(self) -> str:
        """The model and what differs, for people."""
        return f"{self.model}, {self.words}" if self.words else self.model

    def is_for(self, protocol: str) -> bool:
        """Whether it is run on a protocol's dataset."""
        return self.recipe == "paper" or protocol == HONEST


# The paper's, of its logistic regression (section "Methods").
GRID: Final = "learning_rate=1,0.1,0.01,0.001,0.0001 batch_size=20,100,200,500"
# The small head at ten epochs, short or full: it costs next to nothing once the features are stored.
POOLED: Final = Variant(
    "transfer", {"epochs": 10, "batch_size": 500, "head": "pooled", "bn_momentum": 0.9}, "pooled head"
)
# Cheap ones first; the fine-tuned network takes an hour and more. The MLP's is its row at rate .0001 already.
TUNED: Final = tuple(Variant(model, {}, "tuned", recipe="tuned") for model in ("logistic", "cnn", "transfer"))
# Cheap ones first, each over all protocols, so that an early stop still leaves a table. Where the paper's recipe does
# not learn (RESULTS.md) a variant that does stands beside it; at few epochs it stands alone.
SCALES: Final[dict[str, tuple[Variant, ...]]] = {
    # A test of the way, on a few images.
    "smoke": (
        Variant("logistic", {"epochs": 2, "batch_size": 10}, "smoke"),
        Variant("logistic", {"epochs": 1}, "grid", grid="learning_rate=0.1,0.001 batch_size=20,100"),
        Variant("transfer", {"epochs": 1, "batch_size": 10, "head": "linear", "weights": "random"}, "smoke"),
        Variant("cnn", {"epochs": 1, "batch_size": 10, "bn_momentum": 0.9}, "smoke"),
        Variant("mlp", {"epochs": 1, "batch_size": 10}, "smoke"),
        Variant("cnn_released", {"epochs": 1, "batch_size": 10, "bn_momentum": 0.9}, "smoke"),
        Variant("logistic", {"epochs": 1, "batch_size": 10}, "tuned, smoke", recipe="tuned"),
    ),
    # All images, few epochs. A hundred steps need faster moving statistics of batch norm than Keras' .99.
    "short": (
        Variant("logistic"),
        Variant("logistic", {"learning_rate": 1e-3}, "rate .001"),
        Variant("logistic", {}, "grid", grid=GRID),
        POOLED,
        Variant("cnn", {"epochs": 1, "bn_momentum": 0.9}, "1 epoch"),
        Variant("mlp", {"epochs": 5, "learning_rate": 1e-4}, "rate .0001, 5 epochs"),
        Variant("cnn_released", {"epochs": 1, "bn_momentum": 0.9}, "1 epoch"),
        *TUNED,
    ),
    # The recipes.
    "full": (
        Variant("logistic"),
        Variant("logistic", {"learning_rate": 1e-3}, "rate .001"),
        Variant("logistic", {}, "grid", grid=GRID),
        POOLED,
        Variant("transfer"),
        Variant("cnn"),
        Variant("mlp"),
        Variant("mlp", {"learning_rate": 1e-4}, "rate .0001"),
        Variant("cnn_released"),
        *TUNED,
    ),
}
# Seconds an image on 2 cores of an AMD EPYC: (a training step, a prediction). The frozen network's pass is once an
# image, whatever the protocol.
SECONDS: Final[dict[str, tuple[float, float]]] = {
    "logistic": (0.0003, 0.0003),
    "transfer": (0.0001, 0.0001),
    "mlp": (0.004, 0.002),
    "cnn": (0.03, 0.01),
    "cnn_released": (0.03, 0.005),
}
FROZEN_PASS: Final = 0.026
# The paper's head has 415 million weights: about 15 s a step of 500 images, and checkpoints of 4.9 GB.
PAPER_HEAD: Final = (0.03, 0.005)
# The tuned recipe's network, all of it, on changed images of 160x160; scored at 224x224. On 2 cores of an Intel Xeon.
FINE_TUNED: Final = (0.027, 0.013)
GRID_FACTOR: Final = 2.5  # the grid's configurations share one pass over the images
START: Final = 20.0  # seconds: imports, compilation, evaluation, report


@dataclass(frozen=True)
class PlannedRun:
    """One model on one protocol.

    Attributes:
        variant: the model.
        protocol: a key of PROTOCOLS.
        config: of the run, run_dir included.
    """

    variant: Variant
    protocol: str
    config: RunConfig

    @property
    def run_dir(self) -> Path:
        """Where it writes."""
        return Path(self.config.run_dir)

    @property
    def stores_features(self) -> bool:
        """Whether its images pass once through a frozen network."""
        return self.config.model == "transfer" and self.config.feature_cache == "auto"

    @property
    def program(self) -> str:
        """The command that does it."""
        return "sweep" if self.variant.grid else "run"

    @property
    def flags(self) -> list[str]:
        """What it is called with."""
        tuned = {} if self.variant.recipe == "paper" else {"recipe": self.variant.recipe, "seeds": 1}
        given = {"model": self.variant.model, **tuned, "dataset": self.config.dataset, **self.variant.settings}
        given |= {"weights": self.config.weights} if self.config.model == "transfer" else {}
        given |= {"data_dir": self.config.data_dir, "run_dir": self.config.run_dir}
        given |= {"grid": self.variant.grid} if self.variant.grid else {}
        return [f"--{name}={value}" for name, value in given.items()]


def dataset_name(dataset: str, protocol: str) -> str:
    """Under which name a protocol's dataset is prepared: NAME for grouped, NAME_<protocol> for the others."""
    return dataset if protocol == "grouped" else f"{dataset}_{protocol}"


def plan_runs(
    dataset: str,
    *,
    scale: str,
    protocols: Sequence[str],
    models: Sequence[str],
    weights: str | None,
    data_dir: Path,
    runs_dir: Path,
) -> list[PlannedRun]:
    """The runs in the order in which they are started.

    Args:
        dataset: the name that the protocols' datasets share.
        scale: a key of SCALES.
        protocols: keys of PROTOCOLS.
        models: keys of MODELS.
        weights: of the frozen ResNet50, or "random" for all pretrained networks; None for the scale's own. The tuned
            recipe has another network, so that a file is not for it.
        data_dir: where prepared datasets lie.
        runs_dir: where run directories lie.
    """
    runs = []
    for variant in SCALES[scale]:
        if variant.model not in models:
            continue
        takes = variant.model == "transfer" and (variant.recipe == "paper" or weights == "random")
        own = {"weights": weights} if weights and takes else {}
        for protocol in filter(variant.is_for, protocols):
            values = {"model": variant.model, **variant.settings, **own}
            values |= {"dataset": dataset_name(dataset, protocol), "data_dir": str(data_dir)}
            config = resolve(values, variant.recipe)
            name = sweep_name(config, parse_space(variant.grid)) if variant.grid else config.name
            config = resolve({**values, "run_dir": str(runs_dir / name)}, variant.recipe)
            runs.append(PlannedRun(variant, protocol, config))
    return runs


def state_of(run: PlannedRun, facts: DatasetFacts | None) -> State:
    """Whether the run is finished, as long as planned or longer, on the dataset that is there now.

    Args:
        run: the run.
        facts: of its dataset; None where it is not prepared yet.

    Raises:
        UserError: its directory holds a run on another dataset of that name.
    """
    identity = run.run_dir / (SWEEP if run.variant.grid else "environment.json")
    if not identity.is_file():
        return "to do"
    remedy = "move it away, or give another --runs_dir"
    there = read_record(identity, dict[str, Any], remedy=remedy)
    trained_on = str(there.get("dataset_fingerprint"))
    if facts is not None and trained_on != facts.fingerprint:
        raise UserError(
            f"{run.run_dir} holds a run on another dataset {facts.name!r} (fingerprint {trained_on[:12]} there, "
            f"{facts.fingerprint[:12]} now); move it away, or give another --runs_dir"
        )
    if run.variant.grid:
        if there.get("varied") != list(parse_space(run.variant.grid)):
            raise UserError(f"{run.run_dir} holds another sweep (over {', '.join(there.get('varied', []))}); {remedy}")
        return "done"
    config = read_record(run.run_dir / CONFIG, dict[str, Any], remedy=remedy)
    long_enough = all(int(config.get(name) or 0) >= getattr(run.config, name) for name in ("epochs", "finetune_epochs"))
    return "done" if (run.run_dir / METRICS).is_file() and long_enough else "begun"


def estimate(run: PlannedRun, facts: DatasetFacts, *, unseen: int) -> float:
    """Seconds that the run takes from its beginning, roughly.

    Args:
        run: the run.
        facts: of its dataset.
        unseen: its images that no earlier run of the plan has passed through the frozen network.
    """
    train, predict = SECONDS[run.variant.model]
    if run.config.model == "transfer" and run.config.head == "paper":
        train, predict = PAPER_HEAD
    if run.config.model == "transfer" and not run.stores_features:
        train, predict = FINE_TUNED
    epochs = run.config.epochs + run.config.finetune_epochs
    images = {split: sum(counts) for split, counts in facts.counts.items()}
    steps = images["train"] * train + images["validation"] * predict
    frozen = unseen * FROZEN_PASS if run.stores_features else 0.0
    if run.variant.grid:
        return GRID_FACTOR * (epochs * steps + facts.images * predict)
    return START + epochs * steps + facts.images * predict * run.config.views + frozen


def describe_plan(
    runs: Sequence[PlannedRun], states: Sequence[State], seconds: Sequence[float | None]
) -> Iterator[str]:
    """The plan for people, line by line; seconds None: not known before the dataset is prepared."""
    width = max((len(run.variant.label) for run in runs), default=0)
    for run, state, cost in zip(runs, states, seconds, strict=True):
        count = run.config.epochs + run.config.finetune_epochs
        epochs = f"{count} epoch{'s' * (count > 1)}"
        time = "" if state == "done" else "time not known yet" if cost is None else f"about {cost / 60:.0f} min"
        yield f"  {state:<6} {run.variant.label:<{width}}  {run.protocol:<16} {epochs:<10} {time}".rstrip()
    todo = [cost for state, cost in zip(states, seconds, strict=True) if state != "done"]
    known = sum(cost for cost in todo if cost is not None) / 3600
    unknown = f", and {todo.count(None)} on datasets that are not prepared yet" if None in todo else ""
    yield (
        f"{len(runs)} runs, {states.count('done')} done, {len(todo)} to go: roughly {known:.1f} h on 2 cores{unknown}; "
        "less where a run is begun or features are stored"
    )
