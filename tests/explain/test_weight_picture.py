import jax.numpy as jnp
import numpy as np

from mole_jax.explain.weight_picture import save_weight_picture


def test_weights_stand_where_their_pixels_are(tmp_path):
    kernel = np.zeros((224 * 224 * 3, 1), np.float32)
    image = np.zeros((224, 224, 3), np.float32)
    image[3, 5, 2] = 1
    kernel[image.reshape(-1) == 1] = 7
    save_weight_picture(tmp_path, {"fc1": {"kernel": jnp.asarray(kernel)}})
    picture = np.load(tmp_path / "weight_picture.npy")
    assert picture.dtype == np.float32
    assert picture[3, 5, 2] == 7
    assert np.count_nonzero(picture) == 1
