"""Principal components of a run's images, and of what its network makes of them (the paper's second try)."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Array, Float, UInt8

from mole_jax.classifier.classifier import Classifier
from mole_jax.classifier.network import Network
from mole_jax.data.dataset import Dataset
from mole_jax.data.image_file import IMAGE_SHAPE
from mole_jax.data.records import Split
from mole_jax.data.shards import Source
from mole_jax.evaluation.predictions import Predictions
from mole_jax.explain.components import first_components, in_batches, principal_components
from mole_jax.explain.explained import PLAIN
from mole_jax.explain.modules import given_to, parameter_layers
from mole_jax.explain.picture import png
from mole_jax.models.base import DeviceBatch, Variables
from mole_jax.placement import one_device
from mole_jax.runs.explanation import SCHEMA, Components, Space
from mole_jax.runs.predictions import to_predictions
from mole_jax.training.predict import predict
from mole_jax.training.views import sources_of

SHOWN: Final = 6  # components, as pictures

Tell = Callable[[str], None]
Rows = Callable[[Split], Iterator[Float[np.ndarray, " d"]]]


class Found(NamedTuple):
    """The record, and the contents of the pictures that it names."""

    found: Components
    pictures: dict[str, bytes]


def find_components(
    classifier: Classifier, dataset: Dataset, digest: str | None, *, tell: Tell = lambda _: None
) -> Found:
    """Components of the training images' pixels and features, and how the test images lie on them.

    Args:
        classifier: of a run.
        dataset: that it was trained on.
        digest: of the classifier.
        tell: called with a line for people.
    """
    test = to_predictions(dataset.rows["test"], np.zeros(len(dataset.rows["test"]), np.float32))
    tell(f"principal components of the pixels of {len(dataset.rows['train']):,} training images")
    found, pixels = _space("pixels", lambda split: _pixels(dataset.splits[split]), test)
    pictures = {
        f"component-{place}.png": png(as_picture(component.reshape(IMAGE_SHAPE)))
        for place, component in enumerate(found.components_[:SHOWN], 1)
    }
    spaces = [dataclasses.replace(pixels, pictures=tuple(pictures))]
    features, why_not = features_of(classifier, dataset)
    if features:
        tell(f"principal components of {features['train'].shape[1]:,} features")
        spaces.append(_space("features", lambda split: iter(features[split]), test)[1])
    components = Components(
        schema=SCHEMA,
        classifier=digest,
        dataset=dataset.facts.name,
        image_id=tuple(str(name) for name in test.image_id),
        label=tuple(int(label) for label in test.label),
        group=tuple(str(group) for group in test.group),
        site=tuple(row.localization for row in dataset.rows["test"]),
        spaces=tuple(spaces),
        no_features=why_not,
    )
    return Found(components, pictures)


def _space(name: str, rows: Rows, test: Predictions) -> tuple[Any, Space]:
    found = principal_components(in_batches(rows("train")))
    scores = np.concatenate([found.transform(batch) for batch in in_batches(rows("test"))])
    space = Space(
        name=name,
        explained=tuple(float(share) for share in found.explained_variance_ratio_),
        dimensions=int(found.n_features_in_),
        images=int(found.n_samples_seen_),
        first=first_components(scores, test.label, test.groups),
        scores=tuple((float(first), float(second)) for first, second in np.pad(scores, [(0, 0), (0, 1)])[:, :2]),
        pictures=(),
    )
    return found, space


def features_of(classifier: Classifier, dataset: Dataset) -> tuple[dict[Split, Float[np.ndarray, "n d"]], str]:
    """What the network's last layer is given of training and test images; nothing, and why, where that is the pixels.

    A frozen backbone's features are read from where they are stored, and stored there if they are not yet.
    """
    network: Network = classifier.network
    model = network.model
    if classifier.config.model in PLAIN:
        model = PLAIN[classifier.config.model](classifier.config)
    layers = parameter_layers(model, classifier.variables, shape=network.shape)
    if classifier.config.model == "logistic":
        return {}, "Logistic regression has no features: its only layer is given the pixels."
    placement = one_device()

    def step(variables: Variables, batch: DeviceBatch) -> Float[Array, "n d"]:
        given = network.normalize(batch["image"], batch["mask"])
        features = given_to(model, variables, given, layers[-1])
        return features.reshape(features.shape[0], -1).astype("float32")

    wanted: tuple[Split, ...] = ("train", "test")
    of_splits = dataclasses.replace(dataset, splits={split: dataset.splits[split] for split in wanted})
    sources = sources_of(network, of_splits, placement)
    variables, compiled = placement.everywhere(classifier.variables), placement.jit(step)
    found = {
        split: predict(compiled, variables, sources[split], what=f"features of {split}", placement=placement)
        for split in wanted
    }
    return found, ""


def as_picture(component: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A component in the colours in which it changes an image, grey where it changes nothing."""
    return np.clip(np.rint(127.5 + 127.5 * component / np.abs(component).max()), 0, 255).astype(np.uint8)


def _pixels(source: Source) -> Iterator[Float[np.ndarray, " d"]]:
    """Images as rows of 150,528 numbers in 0..1, one after the other."""
    for index in range(len(source)):
        yield source[index]["image"].reshape(-1).astype(np.float32) / np.float32(255)
