import numpy as np

from mole_jax.data.prepare.moments import NO_MOMENTS, Moments


def test_sums_are_exact_and_figures_those_of_numpy():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (31, 17, 3), dtype=np.uint8) for _ in range(5)]
    images.append(np.full((224, 224, 3), 255, np.uint8))  # the largest sums that there can be
    moments = sum((Moments.of(image) for image in images), NO_MOMENTS)
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.int64)
    assert moments.pixels == len(pixels)
    assert moments.total.tolist() == pixels.sum(axis=0).tolist()
    assert moments.squares.tolist() == (pixels**2).sum(axis=0).tolist()
    np.testing.assert_allclose(moments.mean(), (pixels / 255).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.std(), (pixels / 255).std(axis=0), rtol=1e-10)


def test_nothing_has_no_figures():
    assert NO_MOMENTS.mean() == NO_MOMENTS.std() == []
