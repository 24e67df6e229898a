"""k-means of colours against scikit-learn from the same starts; which cluster is the lesion, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import KMeans

from mole_jax.inputs.kmeans import STARTS, kmeans_mask, starting_colours, two_means

SKIN, LESION = (200, 150, 130), (90, 60, 50)


def painted(lesion, side=32, *, skin=SKIN, colour=LESION):
    """Skin of one colour with a lesion where the rows and columns say."""
    image = np.full((side, side, 3), skin, np.uint8)
    image[lesion] = colour
    return image


@pytest.mark.parametrize("which", range(3))
def test_clusters_are_scikit_learns_from_the_same_start(drawn, which):
    image = drawn[which]
    start = np.asarray(starting_colours(jnp.asarray(image)))[which]
    pixels = image.reshape(-1, 3).astype(np.float64)
    theirs = KMeans(2, init=start, n_init=1, tol=0, max_iter=100, algorithm="lloyd").fit(pixels)
    second, centres = (np.asarray(part) for part in jax.jit(two_means)(image, start[None]))
    # A pixel midway may fall to either side in float32, and the clusters settle a few pixels further.
    np.testing.assert_allclose(centres, theirs.cluster_centers_, rtol=1e-3)
    assert (second.ravel() == (theirs.labels_ == 1)).mean() > 0.999


def test_of_several_starts_the_best_is_taken():
    noise = np.random.default_rng(3).integers(0, 256, (20, 20, 3)).astype(np.uint8)  # has many local optima
    starts = np.asarray(starting_colours(jnp.asarray(noise)))
    pixels = noise.reshape(-1, 3).astype(np.float64)
    sums = [KMeans(2, init=start, n_init=1, tol=0, algorithm="lloyd").fit(pixels).inertia_ for start in starts]
    second, centres = (np.asarray(part) for part in two_means(jnp.asarray(noise), jnp.asarray(starts)))
    ours = ((pixels - centres[second.ravel().astype(int)]) ** 2).sum()
    assert len(sums) == STARTS
    assert max(sums) > 1.001 * min(sums), "or there is nothing to choose"
    np.testing.assert_allclose(ours, min(sums), rtol=1e-5)


@pytest.mark.parametrize(
    "lesion",
    [
        np.s_[10:22, 10:22],
        np.s_[3:20, 2:14],  # beside the middle, of which it holds a part
        np.s_[0:28, 0:32],  # to the edge, and most of it
    ],
)
def test_the_lesion_is_what_the_middle_holds_more_of_than_the_edge(lesion):
    image = painted(lesion)
    expected = np.zeros((32, 32), bool)
    expected[lesion] = True
    np.testing.assert_array_equal(kmeans_mask(jnp.asarray(image)), expected)


def test_a_light_lesion_on_dark_skin_is_found():
    image = painted(np.s_[10:22, 10:22], skin=LESION, colour=SKIN)
    assert np.asarray(kmeans_mask(jnp.asarray(image)))[16, 16]
    assert np.asarray(kmeans_mask(jnp.asarray(image))).sum() == 144


@pytest.mark.parametrize("colours", [(LESION, SKIN), (SKIN, LESION)])
def test_of_two_that_hold_as_much_the_darker_is_the_lesion(colours):
    image = painted(np.s_[:, :16], skin=colours[0], colour=colours[1])
    mask = np.asarray(kmeans_mask(jnp.asarray(image)))
    assert (mask == (image[..., 0] == LESION[0])).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_image_of_one_colour_has_no_lesion(value):
    assert not np.asarray(kmeans_mask(jnp.full((32, 32, 3), value, jnp.uint8))).any()


def test_two_colours_are_told_apart_however_alike_and_few():
    image = painted(np.s_[15:17, 15:17], colour=(199, 150, 130))
    mask = np.asarray(kmeans_mask(jnp.asarray(image)))
    # Where no start has drawn the four pixels, all starts are of one colour, and there is no second cluster.
    assert mask.sum() in (0, 4)


def test_masks_of_real_lesions_agree_with_experts_as_far_as_they_do(test_data):
    """Every hundredth of the 1,200 images; RESULTS.md has all of them."""
    folder = test_data / "data" / "isic2018_task1"
    if not folder.is_dir():
        pytest.skip(f"no masks in {folder}")
    find, jaccard = jax.jit(kmeans_mask), []
    for path in sorted((folder / "images").iterdir())[::100]:
        image = np.asarray(Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))
        truth = Image.open(folder / "masks" / f"{path.stem}_segmentation.png").resize(
            (64, 64), Image.Resampling.BILINEAR
        )
        found, expert = np.asarray(find(image)), np.asarray(truth) >= 128
        jaccard.append((found & expert).sum() / (found | expert).sum())
    assert len(jaccard) == 12
    assert 0.4 < np.mean(jaccard) < 0.8
