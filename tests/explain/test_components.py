"""Principal components against scikit-learn's whole decomposition, and what the first of them tell."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.explain.components import COMPONENTS, first_components, in_batches, principal_components


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    scales = np.concatenate([[20, 10, 5], np.full(37, 0.5)])
    return (random.normal(0, 1, (260, 40)) * scales + 3).astype(np.float32)


def test_batches_give_what_all_rows_at_once_give(rows):
    found, whole = principal_components(in_batches(iter(rows))), PCA(COMPONENTS).fit(rows)
    assert found.n_samples_seen_ == len(rows) and found.n_components_ == COMPONENTS
    np.testing.assert_allclose(found.explained_variance_ratio_[:3], whole.explained_variance_ratio_[:3], rtol=1e-3)
    np.testing.assert_allclose(np.abs((found.components_[:3] * whole.components_[:3]).sum(axis=1)), 1, atol=1e-3)
    total = rows.var(axis=0).sum() * len(rows) / (len(rows) - 1)
    assert found.explained_variance_[0] / total == pytest.approx(found.explained_variance_ratio_[0], rel=1e-3)


def test_no_more_than_a_batch_is_held_and_the_rest_joins_the_last(rows):
    sizes = [len(batch) for batch in in_batches(iter(rows), 100)]
    assert sizes == [100, 100, 60]
    found = principal_components(iter([rows[:100], rows[100:200], rows[200:210]]))
    assert found.n_samples_seen_ == 210
    assert principal_components(iter([rows[:7]])).n_components_ == 7


def test_first_components_are_judged_without_an_images_own_lesion():
    random = np.random.default_rng(1)
    label = np.arange(200) % 2
    scores = np.stack([random.normal(0, 1, 200), random.normal(4 * label, 1)], axis=1)
    groups = group_images(np.arange(200) // 4, label)
    found = first_components(scores, label, groups)
    assert list(found) == ["1", "2"]
    assert found["1"]["value"] < 0.6
    assert found["2"]["value"] > 0.95
    # Lesions whose label is in the scores of their own images alone: nothing is left without them.
    each = random.permutation(np.arange(100) % 2)
    own = np.eye(100)[np.arange(400) // 4][:, :20]
    alone = first_components(own, np.repeat(each, 4), group_images(np.arange(400) // 4, np.repeat(each, 4)))
    assert alone["20"]["value"] < 0.65
    few = first_components(scores[:8], label[:8], group_images(np.arange(8) // 4, label[:8]))
    assert few["1"]["value"] is None and few["1"]["reason"] == "too few lesions for 5 folds"
