from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.match import WeightsMismatchError, flat_shapes
from mole_jax.errors import UserError


def test_a_mismatch_gives_three_lists(tmp_path, tiny, weights, write_torchvision):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    state = load_file(path)
    state["layer9.0.conv1.weight"] = state.pop("layer1.1.conv2.weight")
    state["bn1.bias"] = np.zeros(3, np.float32)
    state["extra.weight"] = np.zeros(3, np.float32)
    save_file(state, path)
    with pytest.raises(WeightsMismatchError) as caught:
        load_pretrained(str(path), architecture=tiny)
    assert sorted(caught.value.only_in_file) == ["extra.weight", "layer9.0.conv1.weight"]
    assert caught.value.only_in_model == ["params/layer1_1/conv2/kernel"]
    assert caught.value.other_shape == ["params/bn1/bias (file 3, model 4)"]
    message = str(caught.value)
    assert message.startswith("a.safetensors does not fit the network (2 only in the file: ")
    assert "1 only in the model: params/layer1_1/conv2/kernel" in message
    assert "1 of another shape: params/bn1/bias (file 3, model 4)" in message
    assert message.endswith("choose the file's own network with --backbone, or another file")


def test_a_long_list_is_cut_in_the_message_and_whole_in_the_exception(tmp_path, tiny, weights, write_torchvision):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    with pytest.raises(WeightsMismatchError, match=r"\(30 only in the model: .* and 25 more\)") as caught:
        load_pretrained(str(path), architecture=replace(tiny, stage_sizes=(4, 1)))
    assert len(caught.value.only_in_model) == 2 * 3 * 5  # two blocks, three times a kernel and four of batch norm


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bn1.running_var", np.float32(-1), "bn1/var holds negative variances"),
        ("bn1.running_mean", np.float32(np.nan), "bn1/mean holds values that are not finite"),
        ("conv1.weight", np.float32(np.inf), "conv1/kernel holds values that are not finite"),
        ("conv1.weight", np.int8(3), "conv1/kernel holds int8 values instead of floats"),
    ],
)
def test_impossible_values_are_refused(tmp_path, tiny, weights, write_torchvision, name, value, message):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    state = load_file(path)
    state[name] = np.full(state[name].shape, value)
    save_file(state, path)
    with pytest.raises(UserError, match=message):
        load_pretrained(str(path), architecture=tiny)


@pytest.mark.parametrize(("dtype", "error"), [(np.float16, 1e-3), (jnp.bfloat16, 1e-2)])
def test_half_precision_becomes_float32(tmp_path, tiny, weights, write_torchvision, dtype, error):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    save_file({k: v.astype(dtype) if v.ndim else v for k, v in load_file(path).items()}, path)
    loaded = load_pretrained(str(path), architecture=tiny)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(loaded.variables))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=error), loaded.variables, weights("v1.5"))


# Keras' model.count_params(), moving statistics included; no classifier, and 1,000 classes.
@pytest.mark.parametrize(("classes", "count"), [(None, 23_587_712), (1000, 25_636_712)])
def test_the_network_has_as_many_parameters_as_keras_counts(classes, count):
    config = replace(BACKBONES["resnet50"], variant="v1", classes=classes)
    assert sum(leaf.size for leaf in flat_shapes(config).values()) == count
