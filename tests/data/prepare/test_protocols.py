import dataclasses
import random
from collections import Counter

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from mole_jax.data.prepare.leaks import find_leak
from mole_jax.data.prepare.protocols import (
    PROTOCOLS,
    check_source,
    check_splits,
    choose_protocol,
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
    placed = PROTOCOLS["grouped"].assign(examples, seed)
    assert [example for example, _ in placed] == examples
    assert find_leak(placed) == ""
    for label in (0, 1):
        total = sum(e.label == label for e in examples)
        for split, fraction in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
            held = sum(e.label == label and s == split for e, s in placed)
            assert abs(held - fraction * total) <= 4, "within one lesion of the target"


def test_grouped_is_as_even_as_sklearn_and_depends_on_the_seed():
    examples = lesions(500, prevalence=0.2)
    labels, groups = [e.label for e in examples], [e.lesion_id for e in examples]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(np.zeros(len(labels)), labels, groups)
    theirs = max(abs(np.mean([labels[i] for i in test]) - np.mean(labels)) for _, test in folds)
    placed = [PROTOCOLS["grouped"].assign(examples, seed) for seed in (0, 1)]
    tests = [[e.label for e, s in of_seed if s == "test"] for of_seed in placed]
    assert max(abs(np.mean(test) - np.mean(labels)) for test in tests) <= theirs + 0.005
    assert placed[0] != placed[1]


def test_grouped_does_not_depend_on_the_order_of_the_source():
    examples = lesions(300, prevalence=0.3)
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    placed = PROTOCOLS["grouped"].assign(examples, 0)
    shuffled = PROTOCOLS["grouped"].assign([examples[i] for i in order], 0)
    assert [placed[i] for i in order] == shuffled


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_group_is_placed_first_and_the_rest_fills_what_is_emptiest(seed):
    # Of ten images, six of them one lesion, 6 + 2 + 2 is exact, and only to be had where the six come first.
    examples = [example(f"{i}", lesion="large" if i < 6 else str(i)) for i in range(10)]
    examples += [example(f"m{i}", 1) for i in range(5)]
    placed = PROTOCOLS["grouped"].assign(examples, seed)
    assert Counter(split for e, split in placed if not e.label) == {"train": 6, "validation": 2, "test": 2}
    assert {split for e, split in placed if e.lesion_id == "large"} == {"train"}
    assert Counter(split for e, split in placed if e.label) == {"train": 3, "validation": 1, "test": 1}


def test_a_quarter_of_training_becomes_validation_where_there_is_none():
    examples = [example(f"{name}{i}", i % 2, split=name) for name in ("train", "test") for i in range(40)]
    placed = PROTOCOLS["given"].assign(examples, 0)
    counts = Counter((e.given_split, split, e.label) for e, split in placed)
    assert counts == {
        **{("train", "train", label): 15 for label in (0, 1)},
        **{("train", "validation", label): 5 for label in (0, 1)},
        **{("test", "test", label): 20 for label in (0, 1)},
    }


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
    assert PROTOCOLS["given"].assign(examples, 0) == [(examples[0], "test"), (examples[1], "train")]


def test_the_seeded_order_never_changes():
    assert shuffle_key(0, "order", "ISIC_0024306").hex().startswith("fbd9f6adae0a")


@pytest.mark.parametrize(
    ("pair", "leak"),
    [
        ((example("a", lesion="L"), example("b", lesion="L")), "1 lesion in more than one split"),
        ((example("a", sha256="x"), example("b", sha256="x")), "1 identical file in more than one split"),
        ((example("a"), example("AUG_0_1")), r"1 augmented copies (AUG_*) of unknown originals outside of training"),
        ((example("AUG_0_1"), example("a")), ""),
        ((example("a", 1).as_copy(1, "AUG_0_1"), example("b")), ""),
        (
            (example("a", lesion="L"), example("b", 1, lesion="M").as_copy(1, "AUG_0_1")),
            "only melanomas are augmented copies, outside of training too, "
            "and the traces of augmentation give them away",
        ),
        (
            (example("b", lesion="L"), example("b", lesion="L").as_copy(1, "AUG_0_1")),
            "1 of 1 augmented copies in test come from an original that training has seen; "
            "1 lesion and 1 identical file in more than one split; only moles are augmented copies, outside of "
            "training too, and the traces of augmentation give them away",
        ),
    ],
)
def test_leaks_are_found_in_the_outcome(pair, leak):
    assert find_leak(list(zip(pair, ["train", "test"], strict=True))) == leak


def test_a_split_without_a_class_is_refused():
    examples = [example(str(i), label) for i, label in enumerate((0, 1, 0, 1, 0, 0))]
    with pytest.raises(UserError, match="the test split would hold no melanoma image, of 2 usable ones; add images"):
        check_splits(list(zip(examples, [split for split in SPLITS for _ in range(2)], strict=True)))


def test_the_layout_has_a_default_protocol():
    assert choose_protocol("auto", "kaggle", has_splits=True) == "given"
    assert choose_protocol("auto", "ham10000", has_splits=False) == "grouped"
    assert choose_protocol("grouped", "kaggle", has_splits=True) == "grouped"
    assert choose_protocol("grouped", "ham10000", has_splits=False) == "grouped"
    assert choose_protocol("given", "kaggle", has_splits=True) == "given"


def test_unfit_protocols_are_refused():
    with pytest.raises(UserError, match="protocol 'random' is not one of auto, given, grouped, paper"):
        choose_protocol("random", "kaggle", has_splits=True)
    with pytest.raises(UserError, match="given needs split folders, which the layout folder does not have"):
        choose_protocol("given", "folder", has_splits=False)
    for protocol in ("paper", "paper_by_lesion", "paper_clean"):
        with pytest.raises(UserError, match=f"{protocol} augments .* --protocol=given to keep .* --layout=folder to"):
            choose_protocol(protocol, "kaggle", has_splits=True)


def test_sources_that_cannot_be_augmented_are_refused():
    few = [example(str(i), int(i < 4), lesion=str(i // 2)) for i in range(12)]
    check_source(few, "grouped")
    message = "protocol paper needs 3 melanoma lesions, one a split, and the source has 2; add images"
    with pytest.raises(UserError, match=message):
        check_source(few, "paper")
    copies = [*few, example("AUG_0_7", 1)]
    check_source(copies, "grouped")
    with pytest.raises(UserError, match=r"holds 1 already, such as 'AUG_0_7'; give --protocol=grouped, or a source of"):
        check_source(copies, "paper_clean")


def counts(placed):
    return {split: [sum(e.label == label and s == split for e, s in placed) for label in (0, 1)] for split in SPLITS}


def ham10000_sized():
    """8,902 moles and 1,113 melanomas, two images a lesion."""
    return [example(f"{i:05d}", int(i < 1113), lesion=f"L{(i + (i >= 1113)) // 2}") for i in range(10015)]


def test_paper_has_the_papers_counts_and_its_leaks():
    examples = ham10000_sized()
    placed = PROTOCOLS["paper"].assign(examples, 0)
    assert counts(placed) == {"train": [5341, 5341], "validation": [1781, 1781], "test": [1780, 1781]}
    copies = [e for e, _ in placed if e.label]
    assert {e.image_id for e in copies} == {f"AUG_0_{n}" for n in range(8903)}
    assert sorted(Counter(e.augmented_from for e in copies).values()) == [7] + 1112 * [8]
    lesion_of = {e.image_id: e.lesion_id for e in examples}
    assert all(e.lesion_id == lesion_of[e.augmented_from] for e in copies)
    assert sorted(e.image_id for e, _ in placed if not e.label) == [e.image_id for e in examples if not e.label]
    trained = {e.augmented_from for e, s in placed if s == "train"}
    siblings = sum(e.augmented_from in trained for e, s in placed if s == "test" and e.label)
    assert siblings >= 0.98 * 1781
    assert find_leak(placed).startswith(f"{siblings:,} of 1,781 augmented copies in test and 1,7")


def test_paper_by_lesion_has_the_same_images_and_whole_lesions():
    examples = ham10000_sized()
    by_image, by_lesion = (PROTOCOLS[name].assign(examples, 0) for name in ("paper", "paper_by_lesion"))
    by_id = {e.image_id: e for e, _ in by_image}
    assert {e.image_id: e for e, _ in by_lesion} == by_id
    assert len({(e.lesion_id, s) for e, s in by_lesion}) == len({e.lesion_id for e in examples})
    for split, fraction in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        np.testing.assert_allclose(counts(by_lesion)[split], [fraction * 8902, fraction * 8903], atol=16)
    assert find_leak(by_lesion).startswith("only melanomas are augmented copies"), "and no siblings"


def test_paper_clean_judges_by_originals_of_other_lesions_in_balance():
    examples = ham10000_sized()
    grouped = {e.image_id: s for e, s in PROTOCOLS["grouped"].assign(examples, 0)}
    placed = PROTOCOLS["paper_clean"].assign(examples, 0)
    assert find_leak(placed) == ""
    for moles, melanomas in counts(placed).values():
        assert moles == melanomas
    assert counts(placed)["train"][0] == sum(s == "train" and int(i) >= 1113 for i, s in grouped.items())
    assert all(s == grouped[e.augmented_from or e.image_id] for e, s in placed)
    held_out = {e.image_id for e, s in placed if s != "train"}
    assert held_out >= {e.image_id for e in examples if e.label and grouped[e.image_id] != "train"}
    assert held_out <= {e.image_id for e in examples}
    kept = {e.image_id for e, s in placed if s == "train" and not e.augmented_from}
    assert kept == {image_id for image_id, s in grouped.items() if s == "train"}


def test_a_copy_has_the_same_name_and_number_in_every_protocol():
    examples = ham10000_sized()
    paper, clean = (
        {e.image_id: (e.augmented_from, e.copy) for e, _ in PROTOCOLS[name].assign(examples, 0) if e.augmented_from}
        for name in ("paper", "paper_clean")
    )
    assert 4000 < len(clean) < len(paper)
    assert all(paper[image_id] == of for image_id, of in clean.items() if image_id in paper)
    assert sum(image_id in paper for image_id in clean) > 4000


def test_the_smaller_class_is_augmented_and_melanoma_where_they_are_even():
    for moles, melanomas, augmented in ((4, 9, 0), (6, 6, 1)):
        examples = [example(f"{label}{i}", label) for label, n in enumerate((moles, melanomas)) for i in range(n)]
        placed = PROTOCOLS["paper"].assign(examples, 0)
        assert {e.label for e, _ in placed if e.augmented_from} == {augmented}
        more = max(moles, melanomas)
        assert Counter(e.label for e, _ in placed) == {augmented: more + 1, 1 - augmented: more}


def test_copies_of_identical_files_stay_together():
    examples = [example(f"m{i}", 1, sha256=f"file{i // 2}") for i in range(8)] + [example(f"n{i}") for i in range(30)]
    splits = {}
    for e, split in PROTOCOLS["paper_by_lesion"].assign(examples, 0):
        splits.setdefault(e.sha256, set()).add(split)
    assert all(len(of_file) == 1 for of_file in splits.values())


def of_patient(name, patient, **more):
    return dataclasses.replace(example(name, **more), patient_id=patient)


def test_patients_hold_lesions_together_and_unknown_patients_do_not():
    examples = [
        of_patient("a", "P1", lesion="L1"),
        of_patient("b", "P1", lesion="L2"),
        of_patient("c", "", lesion="L2"),
        of_patient("d", "", lesion="L4"),
        of_patient("e", "", lesion="L5"),
    ]
    assert sorted(map(sorted, group_examples(examples))) == [[0, 1, 2], [3], [4]]


def test_no_patient_lies_in_two_splits():
    examples = [of_patient(str(i), f"P{i // 5}", label=int(i // 5 % 4 == 0)) for i in range(200)]
    placed = PROTOCOLS["grouped"].assign(examples, 0)
    assert len({(e.patient_id, split) for e, split in placed}) == 40
    assert find_leak(placed) == ""


def test_patients_in_two_splits_are_a_leak():
    pair = [of_patient("a", "P1"), of_patient("b", "P1"), of_patient("c", ""), of_patient("d", "")]
    placed = list(zip(pair, ["train", "test", "train", "test"], strict=True))
    assert find_leak(placed) == "1 patient in more than one split"
