"""Each method against the same network worked out by hand, in NumPy and SciPy."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.explain import gradients
from mole_jax.explain.explained import Explained, explain_classifier
from mole_jax.explain.grad_cam import class_activation, grad_cam, grad_cam_plus_plus
from mole_jax.explain.gradients import (
    completeness_gap,
    flat,
    gradient,
    input_x_gradient,
    integrated,
    integrated_gradients,
    smooth_grad,
)
from mole_jax.explain.methods import METHODS, saliency
from mole_jax.explain.modules import with_change
from mole_jax.explain.occlusion import SQUARE, occlusion
from mole_jax.inputs.augment import position, turned_back
from mole_jax.inputs.normalize import Inputs, normalizer
from mole_jax.models import cnn
from mole_jax.models.transfer import BN_EPSILON

CLOSE = {"rtol": 2e-4, "atol": 1e-7}


def test_logits_and_gradient(small):
    explained, by_hand, images = small
    np.testing.assert_allclose(explained.logits(images), [by_hand.logit(i) for i in images], rtol=1e-5, atol=1e-6)
    expected = np.stack([by_hand.gradient(i) for i in images])
    np.testing.assert_allclose(explained.gradients(images), expected, **CLOSE)
    np.testing.assert_allclose(gradient(explained, images), np.abs(expected).max(axis=-1), **CLOSE)
    np.testing.assert_allclose(
        input_x_gradient(explained, images), (expected * images).sum(axis=-1), rtol=1e-3, atol=1e-7
    )


@pytest.mark.parametrize("views", [2, 8])
def test_of_several_positions_logits_and_maps_are_means(small, views):
    explained, by_hand, images = small
    several = replace(explained, views=views)
    turned = [np.asarray(position(jnp.asarray(images), which)) for which in range(views)]
    expected = np.mean([[by_hand.logit(image) for image in each] for each in turned], axis=0)
    np.testing.assert_allclose(several.logits(images), expected, rtol=1e-5, atol=1e-6)
    derivatives = [np.stack([by_hand.gradient(image) for image in each]) for each in turned]
    back = np.mean([turned_back(each, which) for which, each in enumerate(derivatives)], axis=0)
    np.testing.assert_allclose(several.gradients(images), back, rtol=1e-4, atol=1e-7)
    cams = [turned_back(grad_cam(explained, each), which) for which, each in enumerate(turned)]
    np.testing.assert_allclose(grad_cam(several, images), np.mean(cams, axis=0), rtol=1e-5, atol=1e-7)
    if views == 8:  # so a turned image has the turned map
        np.testing.assert_allclose(
            turned_back(several.gradients(turned[5]), 5), several.gradients(images), rtol=1e-4, atol=1e-7
        )


def test_smooth_grad_is_the_mean_gradient_of_noisy_copies(small, monkeypatch):
    explained, by_hand, images = small
    seen = []
    plain = type(explained).gradients
    monkeypatch.setattr(type(explained), "gradients", lambda self, fed: seen.append(fed) or plain(self, fed))
    maps = smooth_grad(explained, images)
    expected = np.mean([[by_hand.gradient(image) for image in copies] for copies in seen], axis=0)
    np.testing.assert_allclose(maps, np.abs(expected).max(axis=-1), **CLOSE)
    noise = np.stack(seen) - images
    ranges = images.max(axis=(1, 2, 3)) - images.min(axis=(1, 2, 3))
    np.testing.assert_allclose(noise.std(axis=(0, 2, 3, 4)), gradients.NOISE * ranges, rtol=0.01)
    assert abs(noise.mean()) < 0.01


def test_integrated_gradients_are_the_path_integral_and_complete(small):
    explained, by_hand, images = small
    start, steps = images.mean(axis=(1, 2), keepdims=True), 8
    way = images - start
    mean = np.mean([[by_hand.gradient(i) for i in start + (step + 0.5) / steps * way] for step in range(steps)], axis=0)
    np.testing.assert_allclose(
        integrated(explained, images, steps=steps), (way * mean).sum(axis=-1), rtol=1e-3, atol=1e-6
    )
    fine = integrated(explained, images, steps=256)
    difference = [
        by_hand.logit(image) - by_hand.logit(np.broadcast_to(s, image.shape))
        for image, s in zip(images, start, strict=True)
    ]
    np.testing.assert_allclose(fine.sum(axis=(1, 2)), difference, rtol=1e-3)
    assert completeness_gap(explained, images, fine).max() < 1e-3
    assert completeness_gap(explained, images, 2 * fine).min() > 0.99


def test_integrated_gradients_of_a_linear_model_are_exact(make_classifier, drawn):
    explained = explain_classifier(make_classifier(model="logistic"))
    fed = explained.fed(np.stack(drawn[:3]))
    maps = integrated_gradients(explained, fed)
    kernel = np.asarray(explained.variables["params"]["fc1"]["kernel"]).reshape(224, 224, 3)
    np.testing.assert_allclose(maps, ((fed - flat(fed)) * kernel).sum(axis=-1), rtol=1e-3, atol=1e-5)
    assert completeness_gap(explained, fed, maps).max() < 1e-3


def convolutional():
    model = cnn.model(blocks=((8, 3, 1, 1, 2), (8, 3, 1, 1, 2)), fused=False)
    variables = model.init(jax.random.key(0), input_shape=(1, 32, 32, 3))
    return Explained(model, variables, normalizer(Inputs("image")), "bn2")


@pytest.fixture
def residual(make_classifier):
    return explain_classifier(make_classifier(model="transfer", head="linear", stage="head"))


@pytest.mark.parametrize("network", ["cnn", "resnet"])
def test_integrated_gradients_of_networks_are_complete(residual, drawn, network):
    explained = convolutional() if network == "cnn" else residual
    fed = explained.fed(np.stack(drawn[:2])[:, 96:128, 96:128])
    difference = explained.logits(fed) - explained.logits(flat(fed))
    assert np.abs(difference).max() > 0.01
    np.testing.assert_allclose(integrated(explained, fed, steps=256).sum(axis=(1, 2)), difference, atol=1e-3)


def enlarged(small_map, side):
    """Bilinear, by the definition: pixel centres, the border repeated."""
    rows, columns = small_map.shape
    at = [np.clip((np.arange(side) + 0.5) * n / side - 0.5, 0, n - 1) for n in (rows, columns)]
    first = [np.floor(a).astype(int) for a in at]
    second = [np.minimum(f + 1, n - 1) for f, n in zip(first, (rows, columns), strict=True)]
    (y, x) = (a - f for a, f in zip(at, first, strict=True))
    top = small_map[first[0]][:, first[1]] * (1 - x) + small_map[first[0]][:, second[1]] * x
    bottom = small_map[second[0]][:, first[1]] * (1 - x) + small_map[second[0]][:, second[1]] * x
    return top * (1 - y)[:, None] + bottom * y[:, None]


def test_grad_cam_and_its_sequel(small):
    explained, by_hand, images = small
    for image, cam, sequel in zip(
        images, grad_cam(explained, images), grad_cam_plus_plus(explained, images), strict=True
    ):
        features = by_hand.map(image)
        derivative = np.broadcast_to(by_hand.weights / features[..., 0].size, features.shape)
        expected = np.maximum(features @ derivative.mean(axis=(0, 1)), 0)
        np.testing.assert_allclose(cam, enlarged(expected, len(image)), rtol=1e-4, atol=1e-8)
        share = derivative**2 / (2 * derivative**2 + features.sum(axis=(0, 1)) * derivative**3)
        weights = (share * np.maximum(derivative, 0)).sum(axis=(0, 1))
        np.testing.assert_allclose(
            sequel, enlarged(np.maximum(features @ weights, 0), len(image)), rtol=1e-4, atol=1e-8
        )


@pytest.mark.parametrize("kind", ["linear", "svm"])
def test_a_class_activation_map_leaves_nothing_out(make_classifier, drawn, kind):
    explained = explain_classifier(make_classifier(model="transfer", head=kind, stage="head"))
    fed = explained.fed(np.stack(drawn[:3]))
    maps = class_activation(explained, fed)
    head, statistics = explained.variables["params"]["head"], explained.variables["batch_stats"]["head"]["bn"]
    average_image = np.asarray(head["bn"]["bias"] @ head["fc1"]["kernel"][:, 0] + head["fc1"]["bias"][0])
    logits = explained.logits(fed)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), logits - average_image, rtol=1e-4, atol=1e-6)
    assert np.abs(logits - average_image).min() > 1e-4
    several = replace(explained, views=8)
    means = class_activation(several, fed).mean(axis=(1, 2))
    np.testing.assert_allclose(means, several.logits(fed) - average_image, rtol=1e-4, atol=1e-6)
    weights = head["fc1"]["kernel"][:, 0] * head["bn"]["scale"] / np.sqrt(statistics["var"] + BN_EPSILON)
    for image, found in zip(fed, maps, strict=True):
        given = (explained.model, explained.variables, jnp.asarray(image[None]), explained.layer)
        _, features = with_change(*given, lambda features: features)
        expected = (np.asarray(features[0]) - np.asarray(statistics["mean"])) @ np.asarray(weights)
        np.testing.assert_allclose(found, enlarged(expected, len(image)), rtol=1e-3, atol=1e-5)


def test_occlusion_is_what_the_logit_loses(small):
    explained, by_hand, images = small
    maps = occlusion(explained, images)
    for image, found in zip(images, maps, strict=True):
        for top, left in ((0, 0), (32, 0), (0, 32), (32, 32)):
            hidden = image.copy()
            hidden[top : top + SQUARE, left : left + SQUARE] = image.mean(axis=(0, 1))
            square = found[top : top + SQUARE, left : left + SQUARE]
            np.testing.assert_allclose(square, by_hand.logit(image) - by_hand.logit(hidden), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_the_images_beside_it(residual, drawn, method):
    images = np.stack(drawn[:5])[:, 80:144, 80:144]
    together, alone = saliency(residual, images, method), saliency(residual, images[4:], method)
    assert together.shape == (5, 64, 64) and together.dtype == np.float32
    np.testing.assert_allclose(together[4:], alone, rtol=1e-4, atol=1e-6 * np.abs(alone).max())
    assert np.ptp(alone) > 0
