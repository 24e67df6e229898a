"""The tests of maps, each where its answer is known beforehand; and the rule."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from scipy.stats import spearmanr, t

from mole_jax.explain import hiding, sanity
from mole_jax.explain.compare import is_blank, rank_correlation
from mole_jax.explain.explained import explain_classifier
from mole_jax.explain.gradients import flat
from mole_jax.explain.hiding import curves, gain, order_of, random_curves
from mole_jax.explain.methods import METHODS, Method
from mole_jax.explain.modules import parameter_layers
from mole_jax.explain.pointing import centre_hits, pointing
from mole_jax.explain.randomise import cascade, random_variables
from mole_jax.runs.explanation import Gain, MethodResult


def maps_of(seed, n=3, side=64):
    return np.random.default_rng(seed).normal(0, 1, (n, side, side)).astype(np.float32)


def test_rank_correlation_is_spearmans_over_blocks():
    first, second = maps_of(0), maps_of(1)
    second[0] = 2 * first[0]
    second[1] += first[1]
    means = [np.abs(maps).reshape(3, 4, 16, 4, 16).mean(axis=(2, 4)).reshape(3, -1) for maps in (first, second)]
    expected = [spearmanr(a, b).statistic for a, b in zip(*means, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected, rtol=1e-6)
    assert expected[0] == pytest.approx(1)
    blank = np.zeros_like(first)
    np.testing.assert_array_equal(rank_correlation(first, blank), 0)
    assert is_blank(blank).all() and not is_blank(first).any()


def test_the_cascade_makes_the_last_layers_random_first(make_classifier):
    explained = explain_classifier(make_classifier(model="transfer", head="linear", stage="head"))
    steps = cascade(explained, seed=0)
    names, layers = [name for name, _ in steps], len(parameter_layers(explained.model, explained.variables))
    quarters = [f"the last {round(share * layers)} of {layers} layers" for share in (0.25, 0.5, 0.75)]
    assert names == ["the last layer, head/fc1", *quarters, "all layers"]

    def changed(less):
        same = jax.tree_util.tree_map_with_path(
            lambda path, a, b: None if np.array_equal(a, b) else "/".join(key.key for key in path[1:-1]),
            explained.variables,
            less.variables,
        )
        return set(jax.tree.leaves(same))

    assert changed(steps[0][1]) == {"head/fc1"}
    of_each = [changed(less) for _, less in steps]
    assert all(a < b for a, b in itertools.pairwise(of_each))
    assert "backbone/conv1" in of_each[-1] and "backbone/conv1" not in of_each[-2]
    random = random_variables(explained.variables, seed=0)
    kernel = np.asarray(random["params"]["head"]["fc1"]["kernel"])
    assert kernel.std() == pytest.approx((2 / len(kernel)) ** 0.5, rel=0.5)
    jax.tree.map(np.testing.assert_array_equal, steps[-1][1].variables, random)


def test_curves_begin_and_end_where_they_must_and_follow_the_order(small):
    explained, by_hand, images = small
    orders = order_of(maps_of(2, n=len(images)))
    deletion, insertion = curves(explained, images, orders)
    whole, hidden = explained.logits(images), explained.logits(flat(images))
    np.testing.assert_allclose(deletion[:, [0, -1]].T, [whole, hidden], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(insertion[:, [0, -1]].T, [hidden, whole], rtol=1e-4, atol=1e-5)
    count = round(5 * 16 / hiding.STEPS)
    part, mean = images[0].copy(), images[0].mean(axis=(0, 1))
    for block in orders[0][:count]:
        row, column = divmod(int(block), 4)
        part[16 * row : 16 * (row + 1), 16 * column : 16 * (column + 1)] = mean
    assert deletion[0, 5] == pytest.approx(by_hand.logit(part), rel=1e-4)


def test_the_true_order_beats_random_ones_and_its_reverse_does_not(make_classifier, drawn):
    explained = explain_classifier(make_classifier(model="logistic"))
    fed = explained.fed(np.stack(drawn[:6]))
    chance = random_curves(explained, fed, seed=0)
    true = ((fed - flat(fed)) * explained.gradients(fed)).sum(axis=-1)  # exact for a linear model
    for maps, better in ((true, True), (-true, False)):
        deletion, insertion = curves(explained, fed, order_of(maps))
        for found in (gain(chance[0], deletion, deletion), gain(insertion, chance[1], insertion)):
            assert (found.low > 0) == better and found.low < found.value < found.high


def test_the_interval_of_a_gain_is_students():
    higher, lower = np.array([[1.0, 3.0], [2.0, 2.0], [5.0, 7.0]]), np.zeros((3, 2))
    found = gain(higher, lower, higher)
    low, high = t.interval(0.95, 2, loc=10 / 3, scale=np.std([2, 2, 6], ddof=1) / 3**0.5)
    assert (found.value, found.low, found.high) == pytest.approx((10 / 3, low, high))
    assert found.curve == pytest.approx((8 / 3, 4))


def test_pointing_where_the_truth_is_known():
    masks = np.zeros((2, 64, 64), bool)
    masks[0, :32, :32] = True
    masks[1, 16:48, 16:48] = True
    maps = np.full((2, 64, 64), 0.1, np.float32)
    maps[0, 16:32, 16:32] = 1  # inside
    maps[1, :16, :16] = 1  # outside
    found = pointing(maps, masks)
    assert found.hits == 0.5
    inside = [(256 + 0.1 * 768) / (256 + 0.1 * 3840), 0.1 * 1024 / (256 + 0.1 * 3840)]
    assert found.inside == pytest.approx(np.mean(inside))
    assert pointing(-maps, masks).inside == 0
    assert centre_hits(masks) == 0.5


GOOD = MethodResult(
    "gradient", (), 1.0, 0.0, (0.9, 0.1), 0.3, None, 0.8, Gain(1, 0.5, 1.5, ()), Gain(1, 0.5, 1.5, ()), None, None
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"blank": 0.75}, "75% of its maps are blank"),
        ({"cascade": (0.9, 0.5)}, "a random network gives much the same map: rank correlation 0.50"),
        ({"shuffled_labels": 0.6}, "a network trained on shuffled labels does: rank correlation 0.60"),
        ({"positions": 0.49}, "it changes when the image is turned: rank correlation 0.49"),
        ({"deletion": Gain(1, 0, 2, ())}, "hiding its strongest places lowers the score no more than hiding any"),
        ({"insertion": Gain(1, -1, 2, ())}, "showing its strongest places raises the score no more than showing any"),
        ({"completeness": 0.2}, "its sum misses the change of the logit by 20%, with 32 steps"),
    ],
)
def test_the_rule(change, reason):
    assert sanity.with_verdict(GOOD).reasons == ()
    assert sanity.with_verdict(dataclasses.replace(GOOD, **change)).reasons == (reason,)


def test_a_signed_map_is_a_random_network_s_in_either_direction():
    opposite = dataclasses.replace(GOOD, cascade=(0.1, -0.6), shuffled_labels=-0.5)
    assert sanity.with_verdict(opposite).reasons == ()  # strengths have no sign
    assert sanity.with_verdict(dataclasses.replace(opposite, method="cam")).reasons == (
        "a random network gives much the same map, but for its sign: rank correlation -0.60",
        "a network trained on shuffled labels does, but for its sign: rank correlation -0.50",
    )


def darkness(explained, fed):
    """A map of the image alone."""
    del explained
    return -fed.mean(axis=-1)


def test_a_map_that_knows_nothing_of_the_network_fails_and_the_truth_passes(make_classifier, drawn, monkeypatch):
    logistic = make_classifier(model="logistic")
    kernel = np.zeros((224, 224, 3), np.float32)
    kernel[64:160, 64:160] = -1e-3  # dark in the middle is melanoma, however the image is turned
    params = {"fc1": {"kernel": kernel.reshape(-1, 1), "bias": np.zeros(1, np.float32)}}
    known = dataclasses.replace(logistic, variables={"params": params, "batch_stats": {}})
    explained = explain_classifier(known)
    masks = np.broadcast_to(kernel[..., 0] != 0, (6, 224, 224))
    bench = sanity.set_up(
        explained,
        np.stack(drawn[:6]),
        twin=explained.replaced(random_variables(explained.variables, seed=9)),
        masks=masks,
    )
    monkeypatch.setitem(METHODS, "darkness", Method(darkness))
    image_alone, truth = sanity.judge(bench, "darkness"), sanity.judge(bench, "occlusion")
    assert image_alone.cascade == pytest.approx((1.0,)) and image_alone.two_random == pytest.approx(1)
    assert image_alone.shuffled_labels == pytest.approx(1) and image_alone.positions == pytest.approx(1)
    assert image_alone.reasons[0].startswith("a random network gives much the same map: rank correlation 1.00")
    assert truth.reasons == ()
    assert truth.pointing.inside == pytest.approx(1, abs=1e-3) and truth.pointing.hits == 1
    assert truth.positions == pytest.approx(1, abs=1e-3)
    assert truth.deletion.low > 0 and truth.insertion.low > 0
