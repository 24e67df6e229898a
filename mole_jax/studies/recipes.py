"""Recipes as data: what differs from RunConfig's defaults, the command, and what to expect of it.

Scores are test AUROC with a 95 % interval on HAM10000 grouped by lesion, and times, are of one seed each where nothing
else is said; on 2 cores of an AMD EPYC without a GPU. RESULTS.md has the tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from mole_jax.config import RunConfig
from mole_jax.errors import UserError

RecipeName = Literal["paper", "tuned"]
RECIPE_NAMES: Final[tuple[RecipeName, ...]] = get_args(RecipeName)


@dataclass(frozen=True)
class Recipe:
    """One model's settings.

    Attributes:
        settings: field of RunConfig -> value, those that differ from the defaults.
        why: where they come from.
        score: what came of them; "" where they have not been measured as they stand.
        time: how long they took; likewise.
        seeds: runs of which the ensemble is made, where nobody says otherwise.
    """

    settings: Mapping[str, Any]
    why: str
    score: str = ""
    time: str = ""
    seeds: int = 1

    def command(self, model: str, recipe: RecipeName, dataset: str) -> str:
        """The command that trains it."""
        named = "" if recipe == "paper" else f" --recipe={recipe}"
        return f"python -m experiments.run --model={model}{named} --dataset={dataset}"


# Where the paper is silent (initial weights, moments) the defaults are Keras', which its authors used.
RECIPES: Final[dict[RecipeName, dict[str, Recipe]]] = {
    "paper": {
        "logistic": Recipe(
            {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 500, "epochs": 10},
            "The paper's second logistic regression: Keras SGD, batch 500, ten epochs. Its own first one summed the "
            "loss over the batch and had no bias: --loss_reduction=sum --normalize=image.",
            ".655 (.609-.700): the rate is too high, it diverges",
            "76 s",
        ),
        "mlp": Recipe({"l2": 1e-4}, "The paper's: Adam, batch 100, 20 epochs.", ".494: it dies in its first epoch"),
        "cnn": Recipe({}, "The paper's: Adam, batch 100, 20 epochs."),
        "cnn_nasr": Recipe(
            {"preprocess": "kmeans_blur"},
            "Nasr-Esfahani et al. 2016, whose network the paper cites: on images whose skin is blurred by k-means' "
            "masks. What training they chose is not known; this is the paper's CNN's.",
        ),
        "cnn_released": Recipe({"normalize": "batch"}, "What the paper's released code trained, fed as it fed it."),
        "transfer": Recipe(
            {"epochs": 5, "normalize": "weights"},
            "The paper's, but for the preprocessing, which is the weights' own. Its .99 of Keras' moving statistics is "
            "kept; a run of a hundred steps wants --bn_momentum=0.9, with which the score was measured.",
            ".836 (.805-.867)",
            "37 min, 10 GB of memory",
        ),
    },
    "tuned": {
        "logistic": Recipe(
            {"optimizer": "sgd", "learning_rate": 1e-2, "batch_size": 200, "epochs": 20},
            "The best on validation of the paper's rates and batch sizes.",
            ".726 (.684-.766)",
            "2 min beside other work",
            seeds=3,
        ),
        "mlp": Recipe(
            {"l2": 1e-4, "learning_rate": 1e-4, "epochs": 3},
            "A rate at which it learns.",
            ".655 (.613-.694)",
            "398 s, 8 GB of memory",
            seeds=3,
        ),
        "cnn": Recipe(
            {
                **{"batch_size": 32, "bn_momentum": 0.9, "epochs": 8},
                **{"schedule": "cosine", "warmup_epochs": 0.5, "ema": 0.995, "weight_decay": 0.01, "clip_norm": 1.0},
                **{"augment": "dihedral rotate=180 crop=.7 color=.15"},
            },
            "A falling rate, a moving average, and images that are turned by any angle, cropped and recoloured.",
            ".838 (.803-.869)",
            "85 min on one core",
            seeds=3,
        ),
        "transfer": Recipe(
            {
                **{"backbone": "efficientnet_lite0", "normalize": "weights", "head": "linear", "dropout": 0.2},
                **{"batch_size": 128, "bn_momentum": 0.9, "epochs": 1, "feature_cache": "off"},
                **{"finetune_epochs": 24, "finetune_learning_rate": 8e-4, "unfreeze": 1.0, "layer_decay": 0.3},
                **{"schedule": "cosine", "warmup_epochs": 0.5, "ema": 0.995, "weight_decay": 0.01, "clip_norm": 1.0},
                **{"augment": "strong crop=.4 size=160"},
            },
            "A small network, all of it fine-tuned on strongly changed images of half the pixels.",
            ".915 (.889-.936) of the ensemble, .910 of one on average",
            "about 150 min a seed on one core, under 3 min on an H100",
            seeds=3,
        ),
    },
}
# On a CPU these step faster with memory that is kept from step to step (`mole_jax.xla.configure`).
KEEPS_MEMORY: Final = ("logistic", "mlp")


def recipe_settings(model: str, recipe: RecipeName = "paper") -> dict[str, Any]:
    """What a recipe sets for a model.

    Raises:
        UserError: there is no such recipe.
    """
    of_model = RECIPES[recipe].get(model)
    if of_model is None:
        have = [name for name in RECIPE_NAMES if model in RECIPES[name]]
        raise UserError(
            f"there is no recipe {recipe!r} for model={model}; "
            + (f"give --recipe={have[0]}" if have else "give its options one by one to RunConfig")
        )
    return dict(of_model.settings)


def resolve(given: Mapping[str, Any], recipe: RecipeName = "paper") -> RunConfig:
    """The config of a run: what was given, over the model's recipe, over the defaults.

    Args:
        given: field of RunConfig -> value, `model` among them or its default.
        recipe: whose settings fill the rest.

    Raises:
        UserError: an unknown field or value, or no such recipe.
    """
    model = given.get("model", RunConfig.model)
    return RunConfig.from_dict({"model": model, **recipe_settings(model, recipe), **given})


def recipe(model: str, name: RecipeName = "paper", **options: Any) -> RunConfig:
    """A model's recipe, with options of your own over it.

    Args:
        model: logistic, mlp, cnn, cnn_released, cnn_nasr or transfer.
        name: "paper": as the paper has it; "tuned": what scored best here.
        options: fields of RunConfig.

    Raises:
        UserError: an unknown field or value, or no such recipe.
    """
    return resolve({"model": model, **options}, name)
