"""The paper's settings, model by model: what differs from RunConfig's defaults, and why."""

from typing import Any

# "Where the paper is silent" (initial weights, moments) the defaults are Keras', which its authors used.
RECIPES: dict[str, dict[str, Any]] = {
    # The paper's second logistic regression: Keras SGD, batch 500, ten epochs. Its own first one summed the loss over
    # the batch and had no bias: --loss_reduction=sum --normalize=image.
    "logistic": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 500, "epochs": 10},
    "mlp": {"l2": 1e-4},
    "cnn": {},
    "cnn_released": {"normalize": "batch"},
    # Its 0.99 of Keras' moving statistics is kept; a run of a hundred steps wants --bn_momentum=0.9.
    "transfer": {"epochs": 5, "normalize": "weights"},
}
# On a CPU these step faster with memory that is kept from step to step (`mole_jax.xla.configure`).
KEEPS_MEMORY = ("logistic", "mlp")
