"""Mole or melanoma in JAX: data, models, training, evaluation and report, each usable on its own.

    prepare       source images -> a dataset on disk
    load_dataset  opens a prepared dataset
    recipe        a model's settings -> RunConfig
    train         trains a RunConfig, evaluates it on every split and writes its run directory
    open_run      a run directory, or a copy of one -> Classifier
    load_image    an image file -> the pixels that a Classifier scores
    evaluate      predictions of any framework -> every figure with its interval
    audit         leaks, duplicates and shortcuts of a collection of images

Importing this module loads none of them; the first use of one does.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from mole_jax.config import RunConfig

if TYPE_CHECKING:
    from mole_jax.audit.audit import audit
    from mole_jax.classifier.classifier import Classifier
    from mole_jax.classifier.storage import open_run
    from mole_jax.data.dataset import load_dataset
    from mole_jax.data.image_file import load_image
    from mole_jax.data.prepare.prepare import prepare
    from mole_jax.evaluation.summary import evaluate
    from mole_jax.studies.experiment import run_experiment as train
    from mole_jax.studies.recipes import recipe

__all__ = [
    "Classifier",
    "RunConfig",
    "audit",
    "evaluate",
    "load_dataset",
    "load_image",
    "open_run",
    "prepare",
    "recipe",
    "train",
]

_WHERE = {
    "Classifier": ("mole_jax.classifier.classifier", "Classifier"),
    "audit": ("mole_jax.audit.audit", "audit"),
    "evaluate": ("mole_jax.evaluation.summary", "evaluate"),
    "load_dataset": ("mole_jax.data.dataset", "load_dataset"),
    "load_image": ("mole_jax.data.image_file", "load_image"),
    "open_run": ("mole_jax.classifier.storage", "open_run"),
    "prepare": ("mole_jax.data.prepare.prepare", "prepare"),
    "recipe": ("mole_jax.studies.recipes", "recipe"),
    "train": ("mole_jax.studies.experiment", "run_experiment"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'mole_jax' has no attribute {name!r}")
    if "jax" not in sys.modules:  # fast convolutions on a CPU must be asked for before JAX is imported
        from mole_jax import xla

        xla.configure()
    module, attribute = _WHERE[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value  # also over the room of that name, which `import mole_jax.audit.audit` would put here
    return value
