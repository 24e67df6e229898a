import random

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from mole_jax.data.protocols import (
    PROTOCOLS,
    check_splits,
    choose_protocol,
    find_leak,
    group_examples,
    shuffle_key,
)
from mole_jax.data.records import SPLITS, Example
from mole_jax.errors import UserError


def example(name, label=0, *, lesion=None, sha256=None, split=None):
    return Example(f"{name}.jpg", name, label, lesion or name, split, sha256=sha256 or name)


def lesions(count, *, prevalence, seed=0):
    """Lesions of one to four images, of which a share is melanoma."""
    rng = random.Random(seed)
    return [
        example(f"{lesion}_{image}", label, lesion=str(lesion))
        for lesion in range(count)
        for label in [int(rng.random() < prevalence)]
        for image in range(rng.randint(1, 4))
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_grouped_keeps_lesions_whole_and_proportions(seed):
    examples = lesions(2000, prevalence=0.11)
    splits = PROTOCOLS["grouped"].assign(examples, seed)
    assert find_leak(examples, splits) == ""
    for label in (0, 1):
        total = sum(e.label == label for e in examples)
        for split, fraction in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
            held = sum(e.label == label and s == split for e, s in zip(examples, splits, strict=True))
            assert abs(held - fraction * total) <= 4, "within one lesion of the target"


def test_grouped_is_as_even_as_sklearn_and_depends_on_the_seed():
    examples = lesions(500, prevalence=0.2)
    labels, groups = [e.label for e in examples], [e.lesion_id for e in examples]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(np.zeros(len(labels)), labels, groups)
    theirs = max(abs(np.mean([labels[i] for i in test]) - np.mean(labels)) for _, test in folds)
    splits = [PROTOCOLS["grouped"].assign(examples, seed) for seed in (0, 1)]
    tests = [[e.label for e, s in zip(examples, split, strict=True) if s == "test"] for split in splits]
    assert max(abs(np.mean(test) - np.mean(labels)) for test in tests) <= theirs + 0.005
    assert splits[0] != splits[1]


def test_grouped_does_not_depend_on_the_order_of_the_source():
    examples = lesions(300, prevalence=0.3)
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    splits = PROTOCOLS["grouped"].assign(examples, 0)
    shuffled = PROTOCOLS["grouped"].assign([examples[i] for i in order], 0)
    assert [splits[i] for i in order] == shuffled


def test_groups_are_joined_through_lesions_and_identical_files():
    examples = [
        example("a", lesion="L1", sha256="x"),
        example("b", lesion="L2", sha256="x"),
        example("c", lesion="L2", sha256="y"),
        example("d", lesion="L3", sha256="z"),
    ]
    assert sorted(map(sorted, group_examples(examples))) == [[0, 1, 2], [3]]


def test_given_takes_the_splits_of_the_source():
    examples = [example("a", split="test"), example("b", split="train")]
    assert PROTOCOLS["given"].assign(examples, 0) == ["test", "train"]


def test_the_seeded_order_never_changes():
    assert shuffle_key(0, "order", "ISIC_0024306").hex().startswith("fbd9f6adae0a")


@pytest.mark.parametrize(
    ("pair", "leak"),
    [
        ((example("a", lesion="L"), example("b", lesion="L")), "1 lesion in more than one split"),
        ((example("a", sha256="x"), example("b", sha256="x")), "1 identical file in more than one split"),
        ((example("a"), example("AUG_0_1")), r"1 augmented copies (AUG_*) of unknown originals outside of training"),
        ((example("AUG_0_1"), example("a")), ""),
    ],
)
def test_leaks_are_found_in_the_outcome(pair, leak):
    assert find_leak(pair, ["train", "test"]) == leak


def test_a_split_without_a_class_is_refused():
    examples = [example(str(i), label) for i, label in enumerate((0, 1, 0, 1, 0, 0))]
    with pytest.raises(UserError, match="the test split would hold no melanoma image, of 2 usable ones; add images"):
        check_splits(examples, ["train", "train", "validation", "validation", "test", "test"])


def test_the_layout_has_a_default_protocol():
    assert choose_protocol("auto", "kaggle") == "given"
    assert choose_protocol("auto", "ham10000") == "grouped"
    assert choose_protocol("grouped", "kaggle") == "grouped"


def test_unfit_protocols_are_refused():
    with pytest.raises(UserError, match="protocol 'random' is not one of auto, given, grouped"):
        choose_protocol("random", "kaggle")
    with pytest.raises(UserError, match="given needs split folders, which the layout folder does not have"):
        choose_protocol("given", "folder")
