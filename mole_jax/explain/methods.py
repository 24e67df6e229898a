"""The methods by name: each a function from a classifier and images to maps."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8

from mole_jax.errors import UserError
from mole_jax.explain.explained import Explained, Images, Maps
from mole_jax.explain.grad_cam import class_activation, grad_cam, grad_cam_plus_plus
from mole_jax.explain.gradients import gradient, input_x_gradient, integrated_gradients, smooth_grad
from mole_jax.explain.occlusion import occlusion


class Method(NamedTuple):
    """One method.

    Attributes:
        maps: (classifier, what its network is fed) -> maps, as large as the images; one image's map does not depend on
            the images beside it.
        of_a_layer: whether it reads a feature map, which some networks lack.
        of_linear_heads: whether the logit must be linear in the average of that map.
    """

    maps: Callable[[Explained, Images], Maps]
    of_a_layer: bool = False
    of_linear_heads: bool = False


METHODS: Final[dict[str, Method]] = {
    "gradient": Method(gradient),
    "input_x_gradient": Method(input_x_gradient),
    "smoothgrad": Method(smooth_grad),
    "integrated_gradients": Method(integrated_gradients),
    "cam": Method(class_activation, of_a_layer=True, of_linear_heads=True),
    "grad_cam": Method(grad_cam, of_a_layer=True),
    "grad_cam_plus_plus": Method(grad_cam_plus_plus, of_a_layer=True),
    "occlusion": Method(occlusion),
}


def saliency(explained: Explained, images: UInt8[np.ndarray, "n side side 3"], method: str) -> Maps:
    """The maps of images by one method.

    Args:
        explained: the classifier.
        images: RGB, as `mole_jax.data.image_file.load_image` sizes them.
        method: a key of METHODS that `offered` gives.
    """
    return METHODS[method].maps(explained, explained.fed(images))


def offered(explained: Explained) -> list[str]:
    """The methods that this network allows: Grad-CAM and Grad-CAM++ need a feature map, CAM a linear head on it."""
    return [
        name
        for name, method in METHODS.items()
        if (explained.layer or not method.of_a_layer) and (explained.linear or not method.of_linear_heads)
    ]


def chosen(explained: Explained, names: list[str]) -> list[str]:
    """The methods that were asked for; all that the network allows where none were.

    Raises:
        UserError: there is no such method, or the network has no feature map for it.
    """
    have = offered(explained)
    for name in names:
        if name not in METHODS:
            raise UserError(f"--methods={name}: there is no such method; give some of {', '.join(have)}")
        if name not in have and explained.layer:
            raise UserError(
                f"--methods={name} needs a score that is linear in the average of the last feature map, as with "
                f"--head=linear, and this network's is not; give some of {', '.join(have)}"
            )
        if name not in have:
            raise UserError(
                f"--methods={name} reads a feature map, and this network has none: its first layer takes all pixels at "
                f"once; give some of {', '.join(have)}"
            )
    return [name for name in METHODS if name in names] if names else have
