"""From a config and, for transfer, a backbone to a network: how uint8 images become logits.

A network has one or two stages. Where a backbone is frozen and each image is fed to it the same way every time, the
model is the head alone and `frozen` says what stands before it: its features may then be stored. Else the model takes
images.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from mole_jax.augmentation import Augmentation
from mole_jax.backbones.weights import Pretrained
from mole_jax.chunks import on_cpu
from mole_jax.config import RunConfig
from mole_jax.data.image_file import IMAGE_SHAPE
from mole_jax.inputs.augment import position
from mole_jax.inputs.normalize import Inputs, Normalize, normalizer
from mole_jax.models import MODELS
from mole_jax.models.base import Model, Variables
from mole_jax.models.transfer import BACKBONE, Level, extract, features_of, on_features, on_images
from mole_jax.vocabulary.diagnoses import GROUPS

# Half precision keeps three digits at half the space: 10,000 maps of 7x7x2048 are 2 GB, their averages 82 MB.
FEATURE_DTYPES: Final[dict[Level, str]] = {"maps": "float16", "pooled": "float32", "levels": "float32"}
# Images to a step of inference. Found by trial on a CPU: with 64 rows no product depends on a row's place, so that a
# score does not depend on what stands beside it; with 37 or 100 rows some do.
BATCH_SIZE: Final = 64
FEW: Final = 8
POSITIONS: Final = 8  # of a square that is turned and mirrored
# A network whose backbone is fine-tuned takes images, whatever it began as.
Stage = Literal["head", "images"]


class Frozen(NamedTuple):
    """What stands before a head: a backbone that never changes.

    Attributes:
        backbone: the network and its weights.
        inputs: how it is fed.
        level: which of its features the head takes.
        dtype: its compute type.
        position: in which of the square's eight positions it sees an image; 0 is as it is.
    """

    backbone: Pretrained
    inputs: Inputs
    level: Level
    dtype: str
    position: int = 0

    def features(self, variables: Variables, batch: Mapping[str, Array]) -> dict[Level, Shaped[Array, "batch ..."]]:
        """The features in the precision in which they are stored, maps and pooled or "levels"; pure, to be jitted."""
        images = normalizer(self.inputs)(position(batch["image"], self.position), batch["mask"])
        found = extract(self.backbone.config, variables, images, self.level, dtype=jnp.dtype(self.dtype))
        return {level: found[level].astype(dtype) for level, dtype in FEATURE_DTYPES.items() if level in found}


class Network(NamedTuple):
    """How uint8 images become logits.

    Attributes:
        model: of images, or of the features that `frozen` gives.
        normalize: what `model` is fed: normalised images; features as float32.
        frozen: what stands before the model; None where it takes images.
        shape: of what the model is fed, one image's.
        batch_size: of inference.
    """

    model: Model
    normalize: Normalize
    frozen: Frozen | None
    shape: tuple[int, ...]
    batch_size: int

    @property
    def stage(self) -> Stage:
        """What the model takes."""
        return "images" if self.frozen is None else "head"


def inputs_of(config: RunConfig, *, channel_mean: Sequence[float], backbone: Pretrained | None) -> Inputs:
    """How a run feeds its network, with every number.

    Args:
        config: `normalize` is read.
        channel_mean: of the training split; used by "dataset" alone.
        backbone: of model=transfer, whose own preprocessing is `normalize="weights"`.
    """
    log = logging.getLogger(__name__)
    own = None if backbone is None else backbone.preprocessing
    if backbone is not None and (side := backbone.config.image_size) != IMAGE_SHAPE[0]:
        log.info(
            "the backbone's weights were trained on images of %dx%d; it is fed %dx%d", side, side, *IMAGE_SHAPE[:2]
        )
    if config.normalize == "weights":
        assert backbone is not None, "RunConfig refuses it for models without weights"
        if own is None:
            log.warning("random weights have no preprocessing of their own; torchvision's is used")
        return Inputs(own or "torchvision")
    if own is not None:
        log.warning(
            "normalize=%s: the weights were trained on %s preprocessing and are fed something else, the handicap that "
            "the paper's code had; --normalize=weights feeds them as they were trained",
            config.normalize,
            own,
        )
    if config.normalize == "dataset":
        return Inputs("dataset", tuple(float(mean) for mean in channel_mean))
    return Inputs("torchvision" if config.normalize == "imagenet" else config.normalize)


def build_network(
    config: RunConfig, inputs: Inputs, backbone: Pretrained | None, *, stage: Stage, unfreeze: float = 0.0
) -> Network:
    """The network of a run, or of one phase of it.

    Args:
        config: the model and its options.
        inputs: how it is fed.
        backbone: needed by model=transfer, and by it alone.
        stage: "head" for the head of a frozen backbone, "images" for everything else.
        unfreeze: share of the backbone's layers that is trained, counted from its output; at stage "images" alone.
    """
    if backbone is None:
        assert stage == "images", stage
        model = MODELS[config.model](config)
        return Network(model, normalizer(inputs), None, IMAGE_SHAPE, _batch_size(config, inputs, model))
    settings: dict[str, Any] = {
        "dropout": config.dropout,
        "bn_momentum": config.bn_momentum,
        "dtype": config.compute_dtype,
        "classes": 1 + len(GROUPS) if config.diagnosis_weight else 1,
    }
    if stage == "head":
        frozen = Frozen(backbone, inputs, features_of(config.head, config.levels), config.compute_dtype)
        shape = _feature_shape(frozen)
        return Network(on_features(config.head, **settings), _as_float32, frozen, shape, BATCH_SIZE)
    settings["levels"] = config.levels
    settings["train_bn"] = config.backbone_bn == "trained" and unfreeze > 0
    model = on_images(backbone.config, config.head, unfreeze=unfreeze, backbone=backbone.variables or None, **settings)
    return Network(model, normalizer(inputs), None, IMAGE_SHAPE, _batch_size(config, inputs, model))


def image_batch_size() -> int:
    """Images to a step of inference by a network that goes through a few at a time on a CPU (`chunks.py`), on one
    device. There few, since a split's last batch, and a single photograph's, is filled up with nothing.
    """
    return FEW if on_cpu() else BATCH_SIZE


def _batch_size(config: RunConfig, inputs: Inputs, model: Model) -> int:
    if inputs.normalize == "batch":  # a score depends on its batch: it is to be like training's
        return config.batch_size
    return image_batch_size() if model.chunked else BATCH_SIZE


def first_stage(config: RunConfig) -> Stage:
    """What a run's first phase trains on: stored features, where those of all that the head is to see can be stored.

    Maps of the eight positions cannot: HAM10000's would be 16 GB.
    """
    cached = config.feature_cache == "auto" and config.normalize != "batch"
    stored = features_of(config.head) != "maps" or config.augmentation == Augmentation()
    return "head" if config.model == "transfer" and cached and stored else "images"


def stored_positions(config: RunConfig) -> int:
    """In how many positions a head that learns from stored features sees an image."""
    return POSITIONS if config.augmentation.dihedral else 1


def with_backbone(backbone: Pretrained) -> Variables:
    """The backbone's variables where a model of images has them."""
    return {kind: {BACKBONE: leaves} for kind, leaves in backbone.variables.items()}


def variable_shapes(network: Network) -> Any:
    """The shapes of the model's variables; nothing is computed."""
    return jax.eval_shape(lambda: network.model.init(jax.random.key(0), input_shape=(1, *network.shape)))


def _feature_shape(frozen: Frozen) -> tuple[int, ...]:
    image = jax.ShapeDtypeStruct((1, *IMAGE_SHAPE), jnp.uint8)
    batch = {"image": image, "mask": jax.ShapeDtypeStruct((1,), jnp.bool_)}
    shapes = jax.eval_shape(frozen.features, frozen.backbone.variables, batch)
    return tuple(shapes[frozen.level].shape[1:])


def _as_float32(features: Shaped[Array, "batch ..."], mask: Bool[Array, " batch"]) -> Float[Array, "batch ..."]:
    del mask
    return features.astype("float32")
