"""Transfer learning: a frozen, pretrained network and a small network on its features.

The variables are {"backbone": the network's, "head": ours}. The backbone runs in inference mode, so that its batch-norm
statistics never move, unless fine-tuning is to train them too. While nothing of it is trained, the head alone can be
trained on stored features; `on_features` and `on_images` then compute the same logits from the same head.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.backbones.base import Architecture
from mole_jax.chunks import in_chunks, in_training_chunks
from mole_jax.models.base import Model, Variables, from_linen, logits_of
from mole_jax.models.layers import Dense

HeadKind = Literal["paper", "pooled", "linear", "svm", "svm_rbf"]
# The features that a head takes: maps [height, width, channels], their average [channels], or the averages of the maps
# of all levels of the backbone, side by side [their channels].
Level = Literal["maps", "pooled", "levels"]
# Neurons of the fully connected layers before the last; the paper's on the flattened 7x7x2048 map, the others on its
# average.
WIDTHS: dict[HeadKind, tuple[int, ...]] = {
    "paper": (4096, 1024, 256, 32),
    "pooled": (256, 32),
    **dict.fromkeys(("linear", "svm", "svm_rbf"), ()),
}
BN_EPSILON = 1e-3  # Keras' default
FOURIER = 4096  # random features of the RBF kernel: it is met to about one in the root of this, .016
BACKBONE = "backbone"
# Share of the backbone's layers: where more are trained, a CPU goes backwards by chunks, which computes each chunk
# again; where fewer are, that would cost more than it saves.
MOST = 0.5


def features_of(head: HeadKind, levels: Literal["last", "all"] = "last") -> Level:
    """The features that a head takes: "maps" for the paper's; of the last level or of all, averages for the others."""
    if head == "paper":
        return "maps"
    return "levels" if levels == "all" else "pooled"


def _taken(named: Mapping[str, Array], architecture: Architecture, level: Level) -> Array:
    """Those features, of what the backbone gives by name."""
    if level != "levels":
        return named["features" if level == "maps" else "pooled"]
    maps: list[Array] = []
    for name in architecture.levels:
        if not any(named[name] is other for other in maps):  # the last stage of a ResNet is its features
            maps.append(named[name])
    return jnp.concatenate([one.mean(axis=(1, 2), dtype=jnp.float32) for one in maps], axis=-1)


class Head(nn.Module):
    """Batch norm, then fully connected layers with ReLU between them.

    The paper says "normalise" and used Keras' batch norm. The features are non-negative and of uneven scale, so that
    the other heads need it too: for the linear one it is the standardisation usual before a logistic regression.

    Attributes:
        kind: which fully connected layers it has, a key of WIDTHS.
        dropout: share of each fully connected layer's inputs that is dropped in training, 0..1.
        bn_momentum: share of the old moving statistics that an update keeps, 0..1.
        dtype: type of the activations, float32 or bfloat16.
        classes: number of scores; 1: melanoma's log odds alone.
    """

    kind: HeadKind
    dropout: float
    bn_momentum: float
    dtype: DTypeLike
    classes: int = 1

    @nn.compact
    def __call__(self, features: Float[Array, "batch *map channels"], *, train: bool) -> Float[Array, "batch classes"]:
        """Gives the scores."""
        x = nn.BatchNorm(
            use_running_average=not train,
            momentum=self.bn_momentum,
            epsilon=BN_EPSILON,
            use_fast_variance=False,
            name="bn",
        )(features.astype(jnp.float32))
        x = x.reshape(x.shape[0], -1).astype(self.dtype)
        if self.kind == "svm_rbf":
            x = _Fourier(name="fourier")(x)
        widths = (*WIDTHS[self.kind], self.classes)
        for i, width in enumerate(widths, start=1):
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = Dense(width, name=f"fc{i}", dtype=self.dtype)(x)
            x = nn.relu(x) if i < len(widths) else x
        return x.astype(jnp.float32)


class _Fourier(nn.Module):
    @nn.compact
    def __call__(self, x: Float[Array, "batch d"]) -> Float[Array, "batch features"]:
        # Of the kernel exp(-|x - y|^2 / d): on standardised features the usual width, scikit-learn's "scale".
        kernel = self.param("kernel", nn.initializers.normal((2 / x.shape[1]) ** 0.5), (x.shape[1], FOURIER))
        phase = self.param("phase", nn.initializers.uniform(2 * math.pi), (FOURIER,))
        return fourier(x, kernel, phase)


def fourier(
    x: Float[Array, "batch d"], kernel: Float[Array, "d features"], phase: Float[Array, " features"]
) -> Float[Array, "batch features"]:
    """Random Fourier features, whose products are about those of an RBF kernel.

    Source: Rahimi and Recht 2007, "Random features for large-scale kernel machines", algorithm 1.
    """
    return math.sqrt(2 / kernel.shape[1]) * jnp.cos(x @ kernel.astype(x.dtype) + phase.astype(x.dtype)[None])


class _OnFeatures(nn.Module):
    head: Mapping[str, Any]

    @nn.compact
    def __call__(self, features: Float[Array, "batch *map channels"], *, train: bool) -> Float[Array, "batch classes"]:
        return Head(**self.head, name="head")(features, train=train)


class _OnImages(nn.Module):
    architecture: Architecture
    head: Mapping[str, Any]
    level: Level
    train_bn: bool

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width 3"], *, train: bool) -> Float[Array, "batch classes"]:
        settings = {"dtype": self.head["dtype"], "bn_momentum": self.head["bn_momentum"]}
        backbone = self.architecture.network(**settings, name=BACKBONE)
        _, named = backbone(images, train=train and self.train_bn)
        features = _taken(named, self.architecture, self.level)
        return Head(**self.head, name="head")(features, train=train)


def on_features(
    head: HeadKind,
    *,
    dropout: float = 0.0,
    bn_momentum: float = 0.99,
    dtype: DTypeLike = jnp.float32,
    classes: int = 1,
) -> Model:
    """The head alone; its `apply` takes the features that `features_of(head)` names instead of images."""
    settings = {"kind": head, "dropout": dropout, "bn_momentum": bn_momentum, "dtype": dtype, "classes": classes}
    return from_linen(_OnFeatures(settings))


def on_images(
    architecture: Architecture,
    head: HeadKind,
    *,
    unfreeze: float = 0.0,
    backbone: Variables | None = None,
    levels: Literal["last", "all"] = "last",
    train_bn: bool = False,
    dropout: float = 0.0,
    bn_momentum: float = 0.99,
    dtype: DTypeLike = jnp.float32,
    classes: int = 1,
) -> Model:
    """Backbone and head.

    Args:
        architecture: the backbone, apart from its weights.
        head: which head, a key of WIDTHS.
        unfreeze: share of the backbone's layers, counted from its output, that is trained with the head: 0 to 1.
        backbone: {"params", "batch_stats"} of the backbone, which `init` takes over; None: drawn at random.
        levels: whether a head other than the paper's takes the averages of the last level's map or of all levels'.
        train_bn: whether training normalises by the batch's statistics in the whole backbone, and moves its own; else
            they stay what pretraining left.
        dropout: share of each fully connected layer's inputs that is dropped in training, 0..1.
        bn_momentum: share of the old moving statistics that an update keeps, 0..1.
        dtype: type of the activations, float32 or bfloat16.
        classes: number of scores; 1: melanoma's log odds alone.
    """
    settings = {"kind": head, "dropout": dropout, "bn_momentum": bn_momentum, "dtype": dtype, "classes": classes}
    trained, level = trained_layers(architecture, unfreeze), features_of(head, levels)

    def trainable(params: Any) -> Any:
        def is_trained(path: tuple[Any, ...], _: Any) -> bool:
            keys = tuple(key.key for key in path)
            return keys[0] != BACKBONE or "/".join(keys[1:-1]) in trained

        return jax.tree_util.tree_map_with_path(is_trained, params)

    # The paper's head has 1.6 GB of weights, which each chunk would read.
    chunked = head != "paper"
    # Where batch norm does not look at the batch each image goes through the backbone alone.
    by_chunks = architecture.trains_by_chunks and unfreeze > MOST and not train_bn
    head_alone = on_features(head, dropout=dropout, bn_momentum=bn_momentum, dtype=dtype, classes=classes)
    plain = from_linen(_OnImages(architecture, settings, level, train_bn), trainable=trainable, chunked=chunked)

    def init(key: jax.Array, *, input_shape: Sequence[int]) -> Variables:
        if backbone is None:
            return plain.init(key, input_shape=input_shape)
        # Compiling the draws of 53 kernels takes long, and their numbers would be thrown away.
        images = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
        features = jax.eval_shape(lambda x: extract(architecture, backbone, x, level, dtype=dtype), images)[level]
        of_head = head_alone.init(key, input_shape=features.shape)
        return {kind: {BACKBONE: jax.tree.map(jnp.asarray, backbone[kind]), **of_head[kind]} for kind in of_head}

    def scores(
        variables: Variables, images: Float[Array, "batch height width 3"], *, train: bool, key: jax.Array | None = None
    ) -> tuple[Float[Array, "batch classes"], Any]:
        # What is frozen gets no gradient, so that the backward pass ends at the first layer that is trained.
        params = jax.tree.map(
            lambda p, trains: p if trains else jax.lax.stop_gradient(p),
            variables["params"],
            trainable(variables["params"]),
        )
        if not (train and by_chunks):
            return plain.scores({**variables, "params": params}, images, train=train, key=key)
        stats = variables["batch_stats"]
        frozen_bn = {"params": params[BACKBONE], "batch_stats": stats[BACKBONE]}

        def features(images: Array) -> Array:
            _, named = architecture.network(dtype=dtype).apply(frozen_bn, images, train=False)
            return _taken(named, architecture, level)

        of_head = {"params": {"head": params["head"]}, "batch_stats": {"head": stats["head"]}}
        found, moved = head_alone.scores(of_head, in_training_chunks(features, images), train=True, key=key)
        return found, {**stats, **moved}

    return Model(init, logits_of(scores), trainable, scores, chunked)


def extract(
    architecture: Architecture,
    backbone: Variables,
    images: Float[Array, "batch height width 3"],
    level: Level = "pooled",
    *,
    dtype: DTypeLike = jnp.float32,
) -> dict[str, Array]:
    """The features of preprocessed images: `maps` [batch, height, width, channels], `pooled` [batch, channels]; with
    level="levels" that one alone.

    Maps and pooled are always computed together, so that either is the same bits whichever is wanted.
    """
    wanted: tuple[Level, ...] = ("levels",) if level == "levels" else ("maps", "pooled")

    def of_chunk(images: Array) -> dict[str, Array]:
        _, named = architecture.network(dtype=dtype).apply(backbone, images, train=False)
        return {name: _taken(named, architecture, name) for name in wanted}

    return in_chunks(of_chunk, images)


def trained_layers(architecture: Architecture, unfreeze: float) -> frozenset[str]:
    """The last share of the convolutions and batch norms, by name ("layer4_2/conv3"); at least one, unless it is 0."""
    layers = architecture.layers
    count = max(1, round(unfreeze * len(layers))) if unfreeze else 0
    return frozenset(layers[len(layers) - count :])
