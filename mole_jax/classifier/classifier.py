"""A trained classifier: one immutable value that scores photographs, with no dataset and no network connection."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from mole_jax.backbones.weights import Pretrained
from mole_jax.classifier.decision import Decision
from mole_jax.classifier.network import Network, Stage, build_network
from mole_jax.classifier.preprocess import Preprocessor, warn_of_unfound
from mole_jax.classifier.scoring import scorer
from mole_jax.config import RunConfig
from mole_jax.inputs.normalize import Inputs
from mole_jax.models.base import Variables

# Of label 0 and label 1. What is not melanoma need not be a mole: HAM10000 has carcinomas and keratoses among it.
CLASS_NAMES = ("not melanoma", "melanoma")


@dataclass(frozen=True)
class Origin:
    """Where a classifier comes from.

    Attributes:
        run: the name of its run directory.
        dataset: the name of the dataset that it was trained on.
        dataset_fingerprint: of that dataset.
        layout: of its source; "synthetic" for drawn lesions.
        protocol: how it was split.
        leaky: whether figures on its own splits flatter.
        leak: why, in one phrase.
        step: of the checkpoint that was chosen on validation.
    """

    run: str
    dataset: str
    dataset_fingerprint: str
    layout: str
    protocol: str
    leaky: bool
    leak: str
    step: int


@dataclass(frozen=True)
class Classifier:
    """Model, weights and everything else that stands between a photograph and a risk.

    Attributes:
        config: of the run that trained it.
        variables: {"params", "batch_stats"} of the model; of the head alone at stage "head".
        stage: whether the model is a head on `backbone`'s stored features or takes images.
        backbone: of model=transfer, its weights among `variables` at stage "images"; None for the other models.
        inputs: how images are fed, with the numbers.
        decision: what its scores mean, as frozen on validation.
        origin: the run and the data behind it.
        class_names: of label 0 and label 1.
        preprocessor: what is done to images before the network sees them; None: nothing.
    """

    config: RunConfig
    variables: Variables
    stage: Stage
    backbone: Pretrained | None
    inputs: Inputs
    decision: Decision
    origin: Origin
    class_names: tuple[str, str]
    preprocessor: Preprocessor | None = None

    @functools.cached_property
    def network(self) -> Network:
        """How uint8 images become logits, once they are what the network is to see (`seen`)."""
        return build_network(self.config, self.inputs, self.backbone, stage=self.stage)

    def logits(self, images: UInt8[np.ndarray, "n 224 224 3"]) -> Float[np.ndarray, " n"]:
        """Scores images: float32 log odds of melanoma, as the model was trained to see them (not yet calibrated), the
        mean over `config.views` positions of each.

        The same image gets the same logit, bit for bit, whatever stands beside it, on the same device; but for
        `normalize="batch"`, where a score depends on the images beside it.

        Args:
            images: RGB, cropped and sized by `mole_jax.data.image_file.load_image`.

        Raises:
            UserError: the run was trained on images with given masks.
        """
        return self._score(self.seen(images))

    def seen(self, images: UInt8[np.ndarray, "n 224 224 3"]) -> UInt8[np.ndarray, "n 224 224 3"]:
        """The images as the network sees them; whoever feeds `network` himself goes through this first.

        Where no lesion is found in some of them, it is logged.
        """
        if self.preprocessor is None:
            return images
        shown, found = self.preprocessor(images)
        if line := warn_of_unfound(found):
            logging.getLogger(__name__).warning("%s", line)
        return shown

    @functools.cached_property
    def _score(self) -> Callable[[UInt8[np.ndarray, "n h w 3"]], Float[np.ndarray, " n"]]:
        return scorer(self.network, self.variables, views=self.config.views)
