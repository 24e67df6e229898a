"""The modules of a network by name: in which order they are called, what they give, and that changed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.chunks import in_chunks
from mole_jax.data.image_file import IMAGE_SHAPE
from mole_jax.models.base import Model, Variables


class Called(NamedTuple):
    """One call of a module.

    Attributes:
        name: of the module, from the outside in: "backbone/layer4_2/conv1".
        shape: of what it gives, of one image; None where that is not one array.
    """

    name: str
    shape: tuple[int, ...] | None


def calls(model: Model, variables: Variables, *, shape: tuple[int, ...] = IMAGE_SHAPE) -> list[Called]:
    """The calls of a network's modules, in the order in which they end; nothing is computed.

    Args:
        model: of images, or of features.
        variables: of it, or their shapes.
        shape: of what it takes, one image's.
    """
    found: list[Called] = []

    def note(name: str, given: Any, result: Any) -> Any:
        del given
        found.append(Called(name, tuple(result.shape[1:]) if isinstance(result, jax.Array) else None))
        return result

    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    with _seen(note):
        jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, image)
    return found


def map_layers(model: Model, variables: Variables, *, within: str = "") -> list[str]:
    """The names of the modules that give a feature map, from the input on.

    Args:
        model: of images.
        variables: of it.
        within: the module that they are part of; "": any.
    """
    return [
        call.name
        for call in calls(model, variables)
        if call.name.startswith(f"{within}/" if within else "")
        and call.shape is not None
        and len(call.shape) == 3
        and min(call.shape[:2]) > 1
    ]


def parameter_layers(model: Model, variables: Variables, *, shape: tuple[int, ...] = IMAGE_SHAPE) -> list[str]:
    """The names of the modules that have parameters of their own, from the input on; arguments as of `calls`."""
    leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
    own = {"/".join(key.key for key in path[:-1]) for path, _ in leaves}
    return [name for name in dict.fromkeys(call.name for call in calls(model, variables, shape=shape)) if name in own]


def with_change(
    model: Model,
    variables: Variables,
    images: Float[Array, "n side side 3"],
    layer: str,
    change: Callable[[Array], Array],
) -> tuple[Float[Array, " n"], Array]:
    """The logits where what one module gives is changed, and what it gave.

    Args:
        model: of images.
        variables: of it.
        images: normalised; on a CPU at most CHUNK.
        layer: the module's name; it is called once.
        change: of what it gives.
    """
    given: list[Array] = []

    def changed(name: str, argument: Any, result: Any) -> Any:
        del argument
        if name != layer:
            return result
        given.append(result)
        return change(result)

    with _seen(changed):
        logits, _ = model.apply(variables, images, train=False)
    (one,) = given
    return logits, one


def given_to(model: Model, variables: Variables, images: Float[Array, "n ..."], layer: str) -> Float[Array, "n ..."]:
    """What one module is given: of a network's last layer, the features that its score is a sum of.

    Args:
        model: of images, or of features.
        variables: of it.
        images: what it takes.
        layer: the module's name; it is called once.
    """

    def of_some(images: Array) -> Array:
        seen: list[Array] = []

        def note(name: str, argument: Any, result: Any) -> Any:
            if name == layer:
                seen.append(argument)
            return result

        with _seen(note):
            model.apply(variables, images, train=False)
        (one,) = seen
        return one

    # A network that goes through chunks by itself would call the module inside of its loop, where nothing can be taken
    # out; of one chunk it calls it as it is.
    found: Array = in_chunks(of_some, images) if model.chunked else of_some(images)
    return found


def _seen(look: Callable[[str, Any, Any], Any]) -> AbstractContextManager[Any]:
    """While this lasts, `look` is told of each call of a module: its name, what it is given first and what it gives,
    which becomes what `look` returns.
    """

    def intercept(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        result = call(*args, **kwargs)
        if context.method_name != "__call__":
            return result
        return look("/".join(context.module.path), args[0] if args else None, result)

    return nn.intercept_methods(intercept)
