"""The paper's models against Keras with the same weights: logits, loss, gradients and three Adam steps."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
from keras import layers

from mole_jax.config import RunConfig
from mole_jax.models import cnn, cnn_nasr, cnn_released, logistic, mlp
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.steps import l2_penalty

SIDE = 56  # a quarter of the real side: enough for every block, and fast


def dense_stack(x, widths, regularizer=None):
    for i, width in enumerate(widths):
        activation = "relu" if i < len(widths) - 1 else None
        x = layers.Dense(width, activation=activation, kernel_regularizer=regularizer, bias_regularizer=regularizer)(x)
    return x


def keras_cnn(blocks):
    inputs = x = layers.Input((SIDE, SIDE, 3))
    for channels, kernel, stride, padding, pool in blocks:
        x = layers.ZeroPadding2D(padding)(x) if padding else x
        x = layers.BatchNormalization()(layers.Conv2D(channels, kernel, stride)(x))
        x = layers.MaxPooling2D(pool)(layers.ReLU()(x))
    return keras.Model(inputs, dense_stack(layers.Flatten()(x), (512, 32, 1)))


def keras_nasr():
    inputs = x = layers.Input((SIDE, SIDE, 3))
    for channels in (20, 50):
        x = layers.MaxPooling2D(2)(layers.Conv2D(channels, 5, activation="relu")(x))
    return keras.Model(inputs, dense_stack(layers.Flatten()(x), (100, 50, 1)))


def keras_mlp(widths):
    inputs = layers.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, dense_stack(layers.Flatten()(inputs), widths, keras.regularizers.L2(1e-4)))


# The released network needs 3 * 3 * 2 pixels of the second pooling, so SIDE serves both.
PAIRS = {
    "logistic": (logistic.model, lambda: keras_mlp((1,)), 1e-4),
    "mlp": (lambda: mlp.model(widths=(16, 8, 4, 1)), lambda: keras_mlp((16, 8, 4, 1)), 1e-4),
    "cnn": (lambda: cnn.model(blocks=cnn.BLOCKS[:3]), lambda: keras_cnn(cnn.BLOCKS[:3]), 0.0),
    "cnn_released": (cnn_released.model, lambda: keras_cnn(cnn_released.BLOCKS), 0.0),
    "cnn_nasr": (cnn_nasr.model, keras_nasr, 0.0),
}


def from_keras(model):
    """Keras' variables as Flax names them: conv1, bn1, ..., then the dense layers."""
    params, stats, dense, count = {}, {}, {}, {"conv": 0, "bn": 0, "fc": 0}
    for layer in model.layers:
        values = [np.asarray(w) for w in layer.get_weights()]
        if isinstance(layer, layers.Dense):
            count["fc"] += 1
            dense[f"fc{count['fc']}"] = {"kernel": values[0], "bias": values[1]}
        elif isinstance(layer, layers.Conv2D):
            count["conv"] += 1
            params[f"conv{count['conv']}"] = {"kernel": values[0], "bias": values[1]}
        elif isinstance(layer, layers.BatchNormalization):
            count["bn"] += 1
            params[f"bn{count['bn']}"] = {"scale": values[0], "bias": values[1]}
            stats[f"bn{count['bn']}"] = {"mean": values[2], "var": values[3]}
    return params, stats, dense


def nested(params, dense, like):
    """Puts the dense layers where the Flax model has them."""
    return jax.tree.map(jnp.asarray, {**params, "head": dense} if "head" in like else {**params, **dense})


def as_keras(model, images, *, training):
    """Keras computes under JAX's ordinary promotion, which the tests forbid to us."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return model(images, training=training)[:, 0]


def close(ours, theirs, what, scale=0.0):
    scale = max(scale, float(np.abs(theirs).max()))
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-4 * scale, err_msg=what)


def close_trees(ours, theirs, what):
    """Leaves are judged against their layer's largest: a convolution's bias before batch norm has only rounding as
    gradient.
    """
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for name, layer in theirs.items():
        if isinstance(layer, dict):
            close_trees(ours[name], layer, f"{what} {name}")
        else:
            close(ours[name], layer, f"{what} {name}", scale=max(float(np.abs(leaf).max()) for leaf in theirs.values()))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_same_weights_same_numbers(name):
    build, build_keras, l2 = PAIRS[name]
    keras.utils.set_random_seed(7)
    reference = build_keras()
    random = np.random.default_rng(0)
    # Weights and moving statistics that are nowhere 0 or 1, so that a forgotten one shows.
    reference.set_weights(
        [
            (
                w
                + random.uniform(0.05, 0.1, w.shape)
                * np.where("variance" in v.path, 1, random.choice([-1, 1], w.shape))
            ).astype(w.dtype)
            for v, w in zip(reference.weights, reference.get_weights(), strict=True)
        ]
    )
    model = build()
    params, stats, dense = from_keras(reference)
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=(1, SIDE, SIDE, 3)))
    params = nested(params, dense, like["params"])
    stats = jax.tree.map(jnp.asarray, stats)
    images = jnp.asarray(random.uniform(-0.5, 0.5, (6, SIDE, SIDE, 3)), jnp.float32)
    labels = jnp.asarray([0, 1, 1, 0, 1, 0], jnp.float32)

    variables = {"params": params, "batch_stats": stats}
    close(
        model.apply(variables, images, train=False)[0], as_keras(reference, images, training=False), "logits, inference"
    )
    ours, new_stats = model.apply(variables, images, train=True)
    close(ours, as_keras(reference, images, training=True), "logits, training")  # moves Keras' statistics once, as ours
    close_trees(new_stats, jax.tree.map(jnp.asarray, from_keras(reference)[1]), "moving statistics")

    def objective(params):
        logits, _ = model.apply({"params": params, "batch_stats": stats}, images, train=True)
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean() + l2 * l2_penalty(
            params, model.trainable(params)
        )

    trainable = [jnp.asarray(v.value) for v in reference.trainable_variables]
    fixed = [jnp.asarray(v.value) for v in reference.non_trainable_variables]

    def keras_objective(trainable):
        logits, _, losses = reference.stateless_call(trainable, fixed, images, training=True, return_losses=True)
        bce = keras.losses.BinaryCrossentropy(from_logits=True)(labels[:, None], logits)
        return bce + sum(losses)

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        their_loss, their_gradients = jax.value_and_grad(keras_objective)(trainable)
    our_loss, our_gradients = jax.value_and_grad(objective)(params)
    close(our_loss, their_loss, "loss")
    for variable, gradient in zip(reference.trainable_variables, their_gradients, strict=True):
        variable.assign(gradient)
    their_tree = nested(*[from_keras(reference)[i] for i in (0, 2)], like["params"])
    close_trees(our_gradients, their_tree, "gradient")


def test_three_adam_steps_as_keras_takes_them():
    """With tiny gradients too, where the place of epsilon decides the step."""
    random = np.random.default_rng(0)
    start = {"a": random.normal(size=(3, 4)).astype(np.float32), "b": random.normal(size=5).astype(np.float32)}
    gradients = [
        {k: (random.normal(size=v.shape) * s).astype(np.float32) for k, v in start.items()} for s in (1.0, 1e-6, 1e-8)
    ]
    ours = jax.tree.map(jnp.asarray, start)
    optimizer = build_optimizer(RunConfig(learning_rate=0.1), {"a": True, "b": True})
    state = optimizer.init(ours)
    theirs = [keras.Variable(start["a"]), keras.Variable(start["b"])]
    adam = keras.optimizers.Adam(0.1)
    for gradient in gradients:
        updates, state = optimizer.update(jax.tree.map(jnp.asarray, gradient), state, ours)
        ours = optax.apply_updates(ours, updates)
        with jax.numpy_dtype_promotion("standard"):
            adam.apply([jnp.asarray(gradient["a"]), jnp.asarray(gradient["b"])], theirs)
        close(ours["a"], theirs[0].value, "a")
        close(ours["b"], theirs[1].value, "b")
    tiny = build_optimizer(RunConfig(learning_rate=0.1), {"a": True})
    updates, _ = tiny.update({"a": jnp.asarray([1e-6])}, tiny.init({"a": jnp.zeros(1)}), {"a": jnp.zeros(1)})
    # By hand: m = .1 g, v = .001 g^2, step = lr * sqrt(.001)/.1 * m / (sqrt(v) + 1e-7).
    np.testing.assert_allclose(updates["a"], -0.1 * np.sqrt(0.001) * 1e-6 / (np.sqrt(0.001) * 1e-6 + 1e-7), rtol=1e-4)
