"""What is written has the types of schema.py, key by key, and schema.md names every key."""

import json
import re
from importlib import resources
from types import NoneType, UnionType
from typing import Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import pytest

from mole_jax.evaluation import schema
from mole_jax.evaluation.comparison import compare
from mole_jax.evaluation.operating_points import choose_operating_points, given_threshold, main_point
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.summary import evaluate, evaluate_run


def check(value, kind, path=""):
    """Fails, naming the path, where a JSON value is not of a type."""
    origin = get_origin(kind)
    if is_typeddict(kind):
        hints = get_type_hints(kind, include_extras=True)
        assert isinstance(value, dict), path
        assert set(value) <= set(hints), f"{path}: keys that the type lacks: {set(value) - set(hints)}"
        needed = {key for key, of in hints.items() if get_origin(of) is not NotRequired}
        assert needed <= set(value), f"{path}: keys that are missing: {needed - set(value)}"
        for key, child in value.items():
            of = hints[key]
            check(child, get_args(of)[0] if get_origin(of) is NotRequired else of, f"{path}/{key}")
    elif origin is dict:
        for key, child in value.items():
            check(child, get_args(kind)[1], f"{path}/{key}")
    elif origin is list:
        assert isinstance(value, list), path
        for i, child in enumerate(value):
            check(child, get_args(kind)[0], f"{path}/{i}")
    elif origin in (Union, UnionType):
        kinds = get_args(kind)
        if value is None:
            assert NoneType in kinds, f"{path} is null"
        else:
            (rest,) = [of for of in kinds if of is not NoneType]
            check(value, rest, path)
    elif origin is Literal:
        assert value in get_args(kind), f"{path}: {value}"
    elif kind is float:
        assert isinstance(value, int | float), f"{path}: {value!r}"
        assert not isinstance(value, bool), path
    else:
        assert type(value) is kind or kind is object, f"{path}: {value!r} is not {kind}"


def written(found):
    return json.loads(json.dumps(found, allow_nan=False))


@pytest.fixture
def splits(make):
    columns = {"sex": np.array(["male", "female"] * 150), "age": np.array(["40", "70", "", "35", "61"] * 60)}
    return {
        "train": make(300, 1, images_per_lesion=2, prefix="TRAIN"),
        "validation": make(300, 2, images_per_lesion=2, prefix="VALIDATION"),
        "test": make(300, 3, images_per_lesion=2, prefix="TEST", metadata=columns),
    }


def test_a_check_that_can_fail():
    good = {"value": 0.5, "low": None, "high": None, "method": None, "reason": "why"}
    check(good, schema.Estimate)
    for bad in ({**good, "value": "half"}, {**good, "other": 1}, {"value": 0.5}, {**good, "reason": None}):
        with pytest.raises(AssertionError):
            check(bad, schema.Estimate)


def test_metrics_of_a_run(splits):
    found = evaluate_run(splits, leaky=False, protocol="grouped", threshold_confidence=0.9, resamples=20)
    check(written(found), schema.Metrics)
    assert "calibration" in found["splits"]["test"]


def test_metrics_of_files_with_little_in_them(splits):
    ids = np.arange(6).astype(str)
    few = Predictions(ids, np.array([0, 1] * 3), np.linspace(0, 1, 6))
    one = Predictions(ids, np.zeros(6, int), np.linspace(0, 1, 6))
    for found in (
        evaluate(few, threshold=0.5, resamples=20),
        evaluate(one, validation=few, resamples=20),
        evaluate(few, validation=one, threshold_confidence=0.9, resamples=20),
        evaluate(splits["test"], resamples=20),
        evaluate(splits["test"], validation=splits["test"], resamples=20),  # leaks
    ):
        check(written(found), schema.Metrics)


def test_comparisons(splits):
    test = splits["test"]
    models = dict.fromkeys("ab", test)
    models["c"] = splits["test"].aligned_to(test.image_id[::-1])
    points = dict.fromkeys(models, given_threshold(0.3))
    check(written(compare(models, points, resamples=20)), schema.Comparison)
    few = {name: model.select(np.isin(model.image_id, test.image_id[:8])) for name, model in models.items()}
    check(written(compare(few, resamples=20)), schema.Comparison)
    assert main_point(choose_operating_points(splits["validation"])).name == "sensitivity_0.95"


def kinds():
    return [kind for kind in vars(schema).values() if is_typeddict(kind)]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_the_description_names_every_key(kind):
    text = resources.files("mole_jax.evaluation").joinpath("schema.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`\.?([\w.]+)`", text))
    assert set(get_type_hints(kind)) <= named | {"train", "validation", "test"}


def test_the_description_names_every_method(splits):
    text = resources.files("mole_jax.evaluation").joinpath("schema.md").read_text(encoding="utf-8")
    found = evaluate_run(splits, leaky=False, protocol="grouped", resamples=20)
    pair = compare({"a": splits["test"], "b": splits["test"].aligned_to(splits["test"].image_id)}, resamples=20)
    methods = set(re.findall(r'"method": "(\w+)"', json.dumps([found, pair]))) - {"exact"}
    assert len(methods) >= 9
    for method in methods:
        assert f"| `{method}` |" in text


def test_the_number_of_the_schema_is_that_of_its_description(splits):
    text = resources.files("mole_jax.evaluation").joinpath("schema.md").read_text(encoding="utf-8")
    assert f"`schema` is {schema.SCHEMA}." in text
