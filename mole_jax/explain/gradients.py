"""Maps from the gradient of the logit with respect to what the network is fed."""

from typing import Final

import jax
import numpy as np

from mole_jax.explain.explained import Explained, Images, Maps

SAMPLES: Final = 16  # noisy copies; Smilkov et al. see little change beyond 50, and most of it before this many
NOISE: Final = 0.15  # of a copy: deviation over the range of what is fed; they recommend 10 to 20 %
STEPS: Final = 32  # on the path of integrated gradients; its authors use 20 to 300
SEED: Final = 0


def gradient(explained: Explained, fed: Images) -> Maps:
    """The largest absolute derivative of the logit among a pixel's channels: where a small change would count most.

    Source: Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, section 3.1.
    """
    return np.abs(explained.gradients(fed)).max(axis=-1)


def input_x_gradient(explained: Explained, fed: Images) -> Maps:
    """Derivative times input, summed over a pixel's channels; above zero it speaks for melanoma.

    Source: Shrikumar et al. 2016, arXiv:1605.01713, section 3.
    """
    return (explained.gradients(fed) * fed).sum(axis=-1)


def smooth_grad(explained: Explained, fed: Images) -> Maps:
    """`gradient` of the mean derivative over noisy copies of an image, the same noise for every image.

    Source: Smilkov et al. 2017, arXiv:1706.03825, section 2.
    """
    axes = (1, 2, 3)
    deviation = NOISE * (fed.max(axis=axes, keepdims=True) - fed.min(axis=axes, keepdims=True))
    total = np.zeros_like(fed)
    for sample in range(SAMPLES):
        key = jax.random.fold_in(jax.random.key(SEED), sample)
        noise = np.asarray(jax.random.normal(key, fed.shape[1:]))[None]
        total += explained.gradients(fed + deviation * noise)
    return np.abs(total / SAMPLES).max(axis=-1)


def integrated_gradients(explained: Explained, fed: Images) -> Maps:
    """What each pixel adds on the straight way from `flat` to the image, summed over channels; above zero it speaks for
    melanoma. All pixels together are the difference of the two logits, up to `completeness_gap`.

    Source: Sundararajan, Taly and Yan 2017, arXiv:1703.01365, equation 1, by the midpoint rule.
    """
    return integrated(explained, fed, steps=STEPS)


def integrated(explained: Explained, fed: Images, *, steps: int) -> Maps:
    """`integrated_gradients` with any number of steps."""
    start = flat(fed)
    way = fed - start
    total = np.zeros_like(fed)
    for step in range(steps):
        total += explained.gradients(start + np.float32((step + 0.5) / steps) * way)
    return (way * total / steps).sum(axis=-1)


def completeness_gap(explained: Explained, fed: Images, maps: Maps) -> np.ndarray:
    """By how much the sum of each map of `integrated_gradients` misses the difference of the logits of image and
    `flat`, as a share of that difference, [n].
    """
    difference = explained.logits(fed) - explained.logits(flat(fed))
    return np.abs(maps.sum(axis=(1, 2)) - difference) / np.maximum(np.abs(difference), 1e-6)


def flat(fed: Images) -> Images:
    """Each image without its content: all of it in its own mean colour. What is hidden is given that colour too."""
    return np.broadcast_to(fed.mean(axis=(1, 2), keepdims=True), fed.shape)
