"""Keras' side: the paper's CNN as its authors would have written it. The backend is the environment's KERAS_BACKEND."""

import os
from typing import Any

from benchmarks.networks import CNN_BLOCKS, CNN_HEAD, IMAGE_SIZE, lite0_blocks
from benchmarks.turn import Absent

ON_TENSORFLOW = {"KERAS_BACKEND": "tensorflow"}
ON_JAX = {"KERAS_BACKEND": "jax"}


def use(platform: str, dtype: str) -> Any:
    """Imports Keras and sets its compute type.

    Raises:
        Absent: the backend does not see the accelerator.
    """
    import keras

    if platform == "gpu" and os.environ["KERAS_BACKEND"] == "tensorflow":
        import tensorflow

        if not tensorflow.config.list_physical_devices("GPU"):
            raise Absent("this TensorFlow sees no GPU")
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if dtype == "bfloat16" else dtype)
    return keras


def compiled_cnn(keras: Any) -> Any:
    """The CNN with Adam and the logistic loss on logits, from images in any float range."""
    layers = keras.layers
    inputs = x = layers.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    for channels, kernel, stride, padding, pool in CNN_BLOCKS:
        x = layers.ZeroPadding2D(padding)(x) if padding else x
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels, kernel, stride)(x)))
        x = layers.MaxPooling2D(pool)(x)
    x = layers.Flatten()(x)
    for width in CNN_HEAD[:-1]:
        x = layers.Dense(width, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(CNN_HEAD[-1], dtype="float32")(x))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def efficientnet_lite0(keras: Any) -> Any:
    """EfficientNet-Lite0 without its classifier; batch norm always normalises by its moving statistics."""
    layers = keras.layers

    def norm(x: Any) -> Any:
        return layers.BatchNormalization(epsilon=1e-3)(x, training=False)

    inputs = x = layers.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    x = layers.ReLU(6)(norm(layers.Conv2D(32, 3, 2, "same", use_bias=False)(x)))
    for stage in lite0_blocks():
        y, before = x, x.shape[-1]
        if stage.expansion != 1:
            y = layers.ReLU(6)(norm(layers.Conv2D(stage.expansion * before, 1, use_bias=False)(y)))
        y = layers.ReLU(6)(norm(layers.DepthwiseConv2D(stage.kernel, stage.stride, "same", use_bias=False)(y)))
        y = norm(layers.Conv2D(stage.channels, 1, use_bias=False)(y))
        x = layers.Add()([x, y]) if stage.stride == 1 and before == stage.channels else y
    x = layers.ReLU(6)(norm(layers.Conv2D(1280, 1, use_bias=False)(x)))
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
