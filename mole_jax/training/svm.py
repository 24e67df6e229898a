"""Support vector machines on stored features: not trained step by step, but solved."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from mole_jax.backbones.weights import Pretrained
from mole_jax.classifier.network import build_network, inputs_of, stored_positions
from mole_jax.classifier.scoring import evaluation_step
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.shards import Source
from mole_jax.files.writing import write_json
from mole_jax.models.base import Variables
from mole_jax.models.transfer import BN_EPSILON, fourier
from mole_jax.placement import placement_of
from mole_jax.processes import is_first
from mole_jax.runs.directory import TIMING
from mole_jax.runs.log import Log, Unwritten
from mole_jax.training.clock import Clock
from mole_jax.training.epoch_metrics import epoch_metrics
from mole_jax.training.loop import Trained
from mole_jax.training.losses import squared_hinge
from mole_jax.training.predict import predict
from mole_jax.training.randomness import derive_key
from mole_jax.training.state import Sums
from mole_jax.training.steps import class_weights
from mole_jax.training.views import sources_of

MOST = 2000  # iterations
# Of the gradient's norm, over that at the start: what float32 can still tell from nothing.
ENOUGH = 1e-5


class Solution(NamedTuple):
    """Attributes: the plane's normal and its offset; iterations; the gradient's norm over that at the start."""

    kernel: Float[Array, " d"]
    bias: Float[Array, ""]
    iterations: Int[Array, ""]
    left: Float[Array, ""]


def solve(features: Float[Array, "n d"], signs: Float[Array, " n"], weights: Float[Array, " n"], l2: float) -> Solution:
    """The plane with the smallest mean of weighted squared hinge losses plus `l2` times the sum of squares of kernel
    and bias: scikit-learn's LinearSVC with C = 1 / (2 l2 n) and these sample weights.

    By L-BFGS, from zero.

    Args:
        features: standardised.
        signs: 1 for a melanoma, -1 for anything else.
        weights: of each row.
        l2: above 0.
    """

    def objective(plane: tuple[Array, Array]) -> Float[Array, ""]:
        kernel, bias = plane
        losses = squared_hinge(signs * (features @ kernel + bias))
        return (weights * losses).mean() + l2 * ((kernel**2).sum() + bias**2)

    optimizer = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(objective)
    start = (jnp.zeros(features.shape[1]), jnp.zeros(()))
    first = optax.tree.norm(jax.grad(objective)(start))

    def goes_on(carry: tuple[Any, Any, Array]) -> Array:
        _, state, left = carry
        done = optax.tree.get(state, "count")
        return (done < MOST) & (left > ENOUGH)

    def step(carry: tuple[Any, Any, Array]) -> tuple[Any, Any, Array]:
        plane, state, _ = carry
        value, gradient = value_and_grad(plane, state=state)
        update, state = optimizer.update(gradient, state, plane, value=value, grad=gradient, value_fn=objective)
        plane = optax.apply_updates(plane, update)
        return plane, state, optax.tree.norm(optax.tree.get(state, "grad")) / first

    (kernel, bias), state, left = jax.lax.while_loop(goes_on, step, (start, optimizer.init(start), jnp.float32(1)))
    return Solution(kernel, bias, optax.tree.get(state, "count"), left)


def train_svm(
    config: RunConfig,
    dataset: Dataset,
    run_dir: Path,
    *,
    pretrained: Pretrained | None,
    on_start: Callable[[], None] = lambda: None,
) -> Trained:
    """Solves head=svm or svm_rbf on stored features; the counterpart of `loop.train`. It takes seconds once features
    are stored, and so has no checkpoints; the same command gives the same bits again.

    Args:
        config: of the run; `l2`, `balance`, `augment`, `views` and `seed` are read.
        dataset: the prepared dataset to train on.
        run_dir: where metrics.jsonl (one line), train.log and timing.json go.
        pretrained: the frozen backbone.
        on_start: called once features are there.
    """
    placement, clock = placement_of(config), Clock()
    run_dir.mkdir(parents=True, exist_ok=True)
    inputs = inputs_of(config, channel_mean=dataset.facts.channel_mean, backbone=pretrained)
    network = build_network(config, inputs, pretrained, stage="head")
    with Log(run_dir, config, resume_step=0) if is_first() else Unwritten(run_dir) as log:
        with clock("data"):
            train = sources_of(network, dataset, placement, views=stored_positions(config), tell=log.tell)["train"]
            features, labels = _rows(train, dataset.labels["train"])
        on_start()
        began = time.perf_counter()
        variables = network.model.init(derive_key(config.seed, "init"), input_shape=(1, *network.shape))
        with clock("step"):
            variables, solution = _solved(variables, features, labels, config)
        log.tell(
            f"solved in {int(solution.iterations)} iterations, gradient {float(solution.left):.1e} of the first "
            "(learning rate, schedule, epochs and dropout are not used)"
        )
        if float(solution.left) > 100 * ENOUGH:
            log.tell("that is not the optimum; a larger --l2 makes it easier to find")

        def logits(split: Any, views: int) -> Float[np.ndarray, " n"]:
            step = placement.jit(evaluation_step(network.model, network.normalize, views=views, stored=True))
            source = sources_of(network, dataset, placement, views=views, tell=log.tell)[split]
            size = network.batch_size * placement.shares
            return predict(
                step, placement.everywhere(variables), source, what=split, placement=placement, batch_size=size
            )

        with clock("evaluation"):
            found = {split: logits(split, config.views) for split in dataset.splits}
            log.write(1, {"epoch": 1, **_metrics(dataset, found), "seconds": round(time.perf_counter() - began, 3)})
    timing = clock.summary()
    if is_first():
        write_json(run_dir / TIMING, timing)
    return Trained(variables, "head", inputs, 1, found, timing)


def _solved(
    variables: Variables, features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], config: RunConfig
) -> tuple[Variables, Solution]:
    """The head's variables at the optimum; its batch norm has the statistics of the features."""
    mean, variance = (of(features, axis=0, dtype=np.float64).astype(np.float32) for of in (np.mean, np.var))
    head = variables["params"]["head"]
    rows = jnp.asarray((features - mean) / np.sqrt(variance + np.float32(BN_EPSILON)))
    if "fourier" in head:
        rows = fourier(rows, head["fourier"]["kernel"], head["fourier"]["phase"])
    # All images are seen at once: what the sampler does by drawing, weights do here.
    balance = "weights" if config.balance == "sampler" else config.balance
    of_class = jnp.asarray(class_weights(balance, labels), jnp.float32)
    signs = jnp.asarray(2 * labels - 1, jnp.float32)
    solution = jax.jit(solve, static_argnames="l2")(rows, signs, of_class[labels], l2=config.l2)
    plane = {"kernel": solution.kernel[:, None], "bias": solution.bias[None]}
    params = {"head": {**head, "fc1": plane}}
    stats = {"head": {"bn": {"mean": jnp.asarray(mean), "var": jnp.asarray(variance)}}}
    return {"params": params, "batch_stats": stats}, solution


def _rows(source: Source, labels: Int[np.ndarray, " n"]) -> tuple[Float[np.ndarray, "m d"], Int[np.ndarray, " m"]]:
    """All features, each position of an image a row of its own, and the labels of the rows."""
    features = np.stack([np.asarray(source[i]["image"], np.float32) for i in range(len(source))])
    rows = features.reshape(-1, features.shape[-1])
    return rows, np.repeat(labels, len(rows) // len(labels))


def _metrics(dataset: Dataset, logits: dict[Any, Float[np.ndarray, " n"]]) -> dict[str, Any]:
    """As at the end of an epoch."""
    labels, trained = dataset.labels["train"], logits["train"]
    losses = np.logaddexp(0, trained) - labels * trained
    correct = ((trained >= 0) == (labels == 1)).sum()
    sums = Sums(*(jnp.float32(value) for value in (losses.sum(), correct, len(labels))))
    return epoch_metrics(1, sums, labels=dataset.labels["validation"], logits=logits["validation"])
