"""A trained classifier as one differentiable function of what its network is fed: all that a map is made from.

Where a run's scores are means over several positions of an image, so are its maps, turned back.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from mole_jax.chunks import CHUNK, on_cpu
from mole_jax.classifier.classifier import Classifier
from mole_jax.classifier.network import build_network, with_backbone
from mole_jax.classifier.scoring import padded
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.explain.modules import map_layers
from mole_jax.inputs.augment import position, turned_back
from mole_jax.inputs.normalize import Normalize, normalizer
from mole_jax.models import cnn, cnn_released
from mole_jax.models.base import Model, Variables
from mole_jax.models.transfer import BACKBONE

# The layers of these, one after the other: the fused form has no feature map that one could name.
PLAIN: Final[dict[str, Callable[[RunConfig], Model]]] = {
    "cnn": lambda config: cnn.model(bn_momentum=config.bn_momentum, fused=False),
    "cnn_released": lambda config: cnn.model(blocks=cnn_released.BLOCKS, bn_momentum=config.bn_momentum, fused=False),
}

LINEAR_HEADS: Final = ("linear", "svm")
TOLERANCE: Final = 0.05  # of logits; bfloat16 and features kept in half precision differ by a hundredth

Images = Float[np.ndarray, "n side side 3"]
Maps = Float[np.ndarray, "n side side"]


@dataclass(frozen=True)
class Explained:
    """A classifier as methods see it.

    Attributes:
        model: from normalised images to logits, backbone and head together, in float32; its `init` draws all of it.
        variables: of the model, on the device.
        normalize: what it is fed.
        layer: the feature map that Grad-CAM reads ("backbone/layer4_2"); "" where the network has none.
        linear: whether the logit is linear in the average of that map, after the batch norm of a head.
        views: of how many positions of an image the logit is the mean, 1 to 8.
    """

    model: Model
    variables: Variables
    normalize: Normalize
    layer: str
    linear: bool = False
    views: int = 1

    def fed(self, images: UInt8[np.ndarray, "n side side 3"]) -> Images:
        """What the network is fed of images, of which a run that preprocesses them gives `Classifier.seen`."""
        return np.asarray(self.normalize(jnp.asarray(images), jnp.ones(len(images), bool)))

    def logits(self, fed: Images) -> Float[np.ndarray, " n"]:
        """The log odds of melanoma, of what the network is fed."""
        score = _compiled(_logits, self.model)

        def one(turned: Images) -> Float[np.ndarray, " n"]:
            return some_at_a_time(lambda some: (score(self.variables, some),), turned)[0]

        return np.mean([one(turned) for _, turned in self._positions(fed)], axis=0)

    def gradients(self, fed: Images) -> Images:
        """How each logit rises with each number that the network is fed."""
        differentiate = _compiled(_gradients, self.model)
        return self.over_positions(lambda some: differentiate(self.variables, some), fed)

    def over_positions(
        self, maps: Callable[[Float[Array, "n side side 3"]], Float[Array, "n side side *rest"]], fed: Images
    ) -> Float[np.ndarray, "n side side *rest"]:
        """The mean of the maps of the images in each position that is scored, turned back to the images as they are.

        Args:
            maps: from a few images to what is as large as they are; treats each alone.
            fed: what the network is fed of the images.
        """
        found = [
            turned_back(some_at_a_time(lambda some: (maps(some),), turned)[0], which)
            for which, turned in self._positions(fed)
        ]
        return np.mean(found, axis=0)

    def _positions(self, fed: Images) -> Iterator[tuple[int, Images]]:
        return ((which, np.asarray(position(jnp.asarray(fed), which))) for which in range(self.views))

    def refuse_other_scores(self, fed: Images, logits: Float[np.ndarray, " n"]) -> None:
        """Compares what is explained with what was scored, so that no map is of another network without a word.

        Args:
            fed: what the network is fed of images.
            logits: of these images by the run.

        Raises:
            UserError: they differ by more than rounding to half precision does.
        """
        found = self.logits(fed)
        worst = int(np.abs(found - logits).argmax())
        if not np.allclose(found, logits, rtol=TOLERANCE, atol=TOLERANCE):
            raise UserError(
                f"the run gives an image the logit {logits[worst]:.3f} and the network as it is to be explained gives "
                f"it {found[worst]:.3f}, so that maps would explain something else; this version cannot explain such a "
                "run"
            )

    def replaced(self, variables: Variables) -> "Explained":
        """The same network with other numbers in it; nothing is compiled again."""
        return dataclasses.replace(self, variables=variables)


def explain_classifier(classifier: Classifier, *, layer: str = "") -> Explained:
    """A classifier of any kind, ready to be explained.

    Args:
        classifier: of a run.
        layer: the feature map that Grad-CAM reads; "": the last one, of a backbone where there is one.

    Raises:
        UserError: an image's score depends on those beside it, or there is no such layer.
    """
    if classifier.inputs.normalize == "batch":
        raise UserError(
            f"the run {classifier.origin.run} was trained with normalize='batch': a score depends on the images beside "
            "it, so no map of one image explains it; train with --normalize=image"
        )
    config = dataclasses.replace(classifier.config, compute_dtype="float32")
    backbone, variables = classifier.backbone, classifier.variables
    if backbone is not None and classifier.stage == "head":
        below = with_backbone(backbone)
        variables = {kind: {**below[kind], **variables[kind]} for kind in below}
    if config.model in PLAIN:
        model = PLAIN[config.model](config)
    else:
        # Without its weights, which are among the variables: so `init` draws them too.
        drawn = None if backbone is None else dataclasses.replace(backbone, variables={})
        model = build_network(config, classifier.inputs, drawn, stage="images").model
    maps = map_layers(model, variables, within=BACKBONE if backbone is not None else "")
    if layer and layer not in maps:
        have = f"its maps are {', '.join(maps[-12:])}" if maps else "it has no feature map at all"
        raise UserError(f"--layer={layer}: the network of the run {classifier.origin.run} has no such map; {have}")
    read = layer or (maps[-1] if maps else "")
    averaged = backbone is not None and config.levels == "last" and read == maps[-1]
    linear = averaged and config.head in LINEAR_HEADS and not config.diagnosis_weight
    return Explained(
        model, jax.tree.map(jnp.asarray, variables), normalizer(classifier.inputs), read, linear, config.views
    )


def some_at_a_time(
    function: Callable[..., tuple[Array, ...]], *arrays: Float[np.ndarray, "n ..."]
) -> tuple[np.ndarray, ...]:
    """Gives `function(*arrays)`, computed on a few rows after the other; the last few are filled up with zeros.

    Args:
        function: treats each row alone; from arrays [rows, ...] to a tuple of such.
        arrays: of the same number of rows, at least one.
    """
    size = CHUNK if on_cpu() else 64  # of one chunk a network's layers can be seen
    parts = []
    for start in range(0, len(arrays[0]), size):
        given = [padded(array[start : start + size], size) for array in arrays]
        results = function(*(jnp.asarray(rows) for rows, _ in given))
        parts.append([np.asarray(result)[given[0][1]] for result in results])
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


@functools.lru_cache(maxsize=16)
def _compiled(function: Callable[..., Any], model: Model) -> Any:
    return jax.jit(functools.partial(function, model))


def _logits(model: Model, variables: Variables, fed: Float[Array, "n side side 3"]) -> Float[Array, " n"]:
    return model.apply(variables, fed, train=False)[0]


def _gradients(model: Model, variables: Variables, fed: Float[Array, "n side side 3"]) -> Float[Array, "n side side 3"]:
    return jax.grad(lambda images: _logits(model, variables, images).sum())(fed)
