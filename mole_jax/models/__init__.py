"""The models, one a file. MODELS maps a name to what builds it from a run's config.

model=transfer is not among them: it is a head on a backbone, and `mole_jax.classifier.network` puts the two together.
"""

from collections.abc import Callable

from mole_jax.config import RunConfig
from mole_jax.models import cnn, cnn_nasr, cnn_released, logistic, mlp
from mole_jax.models.base import Model

MODELS: dict[str, Callable[[RunConfig], Model]] = {
    "logistic": lambda config: logistic.model(),
    "mlp": lambda config: mlp.model(dtype=config.compute_dtype),
    "cnn": lambda config: cnn.model(bn_momentum=config.bn_momentum, dtype=config.compute_dtype),
    "cnn_released": lambda config: cnn_released.model(bn_momentum=config.bn_momentum, dtype=config.compute_dtype),
    "cnn_nasr": lambda config: cnn_nasr.model(dtype=config.compute_dtype),
}
