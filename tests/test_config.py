"""The config checks what it is given and survives JSON."""

import json
import math
import re

import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError


def test_json_round_trip():
    config = RunConfig(model="mlp", learning_rate=0.5, augment="dihedral")
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "vgg"}, "model='vgg' is not one of logistic, mlp, cnn, cnn_released, cnn_nasr, transfer"),
        ({"head": "linear"}, "head='linear' is for model=transfer alone; do not give it for cnn"),
        ({"normalize": "weights"}, "normalize='weights' is for model=transfer; cnn has no pretrained weights"),
        ({"epochs": 0}, "epochs=0 is too small; the smallest is 1"),
        ({"bn_momentum": 1.5}, "bn_momentum=1.5 is too large; the largest is 1"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is too small"),
        ({"batch_size": 2.5}, "batch_size=2.5 is a float; give a int"),
        ({"focal_gamma": 1.0}, "focal_gamma=1.0 is for loss=focal; do not give it for cross_entropy"),
        (
            {"loss": "hinge", "label_smoothing": 0.1},
            "label_smoothing=0.1 is for losses of probabilities, which loss=hinge is not; give --loss=cross_entropy",
        ),
        ({"normalize": "batch", "views": 8}, "views=8: with normalize=batch a score depends on its batch"),
        (
            {"model": "transfer", "head": "linear", "augment": "strong"},
            "augment='strong' changes images, and a head on stored features sees none: give --augment=dihedral, whose "
            "eight positions are stored, --finetune_epochs=N, in which images are changed, or --feature_cache=off",
        ),
        (
            {"model": "transfer", "levels": "all"},
            "levels='all' is for heads on averages, and head='paper' is on a map; give --head=pooled",
        ),
        (
            {"model": "transfer", "warmup_epochs": 3, "finetune_epochs": 2},
            "warmup_epochs=3 is more than the 2 epochs that it is to lead into; give fewer",
        ),
        (
            {"masks": "given"},
            "masks='given' with preprocess='none': nothing reads them; give a --preprocess that does, such as "
            "background_blur or lesion_only",
        ),
        (
            {"masks": "given", "preprocess": "kmeans_blur"},
            "masks='given' with preprocess='kmeans_blur': kmeans_blur has masks of its own",
        ),
        ({"masks": "", "preprocess": "lesion_only"}, "masks='' is empty; give kmeans, given, or the directory of a"),
        ({"epoch": 3}, "unknown config field 'epoch'; the fields are augment, "),
    ],
)
def test_mistakes_name_the_field_the_value_and_the_remedy(values, message):
    with pytest.raises(UserError) as error:
        RunConfig.from_dict(values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "largest"),
    [
        ("seed", 10**30, "2,147,483,647"),
        ("epochs", 2**31, "2,147,483,647"),
        ("batch_size", 10**9, "1,000,000"),
        ("learning_rate", math.inf, "1e+38"),
        ("l2", 10**400, "1e+38"),
    ],
)
def test_absurd_numbers_are_refused(field, value, largest):
    with pytest.raises(UserError, match=rf"{field}=.* is too large; the largest is {re.escape(largest)}"):
        RunConfig.from_dict({field: value})
