"""Trees of arrays as safetensors files, and what tells two trees apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
from jaxtyping import Shaped
from safetensors.numpy import save_file

from mole_jax.errors import UserError

Tensors = dict[str, Shaped[np.ndarray, "..."]]
SHOWN = 5  # names a list in a message


class Differences(NamedTuple):
    """What tells the arrays of a file from those of a model, by name."""

    only_in_file: list[str]
    only_in_model: list[str]
    other_shape: list[str]

    def describe(self) -> str:
        """For people: the number of each kind and the first names; "" where there is no difference."""
        lists = {
            "only in the file": self.only_in_file,
            "only in the model": self.only_in_model,
            "of another shape": self.other_shape,
        }
        return "; ".join(f"{len(names)} {label}: {shortened(names)}" for label, names in lists.items() if names)


def differences(in_file: Mapping[str, str], in_model: Mapping[str, str]) -> Differences:
    """Compares two trees.

    Args:
        in_file: name -> type and shape in words, such as "float32[3, 3]".
        in_model: likewise.
    """
    both = sorted(in_file.keys() & in_model.keys())
    return Differences(
        sorted(in_file.keys() - in_model.keys()),
        sorted(in_model.keys() - in_file.keys()),
        [f"{n} (file {in_file[n]}, model {in_model[n]})" for n in both if in_file[n] != in_model[n]],
    )


def shape_text(array: Any) -> str:
    """An array's type and shape: "float32[3, 3]"."""
    return f"{array.dtype}{list(array.shape)}"


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, under names such as "params/fc1/kernel"."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """What `flatten` was given, but for dicts that were empty."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *folders, last = name.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return tree


def write_tensors(path: Path, tree: Mapping[str, Any]) -> None:
    """Writes nested dicts of arrays; the same arrays give the same bytes."""
    path.touch()
    mode = path.stat().st_mode  # what other files have here; save_file would make one for its owner alone
    save_file({name: np.ascontiguousarray(array) for name, array in sorted(flatten(tree).items())}, path)
    path.chmod(mode)


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """The arrays by name, and the file's metadata (empty where there is none).

    Raises:
        UserError: the file is truncated, altered so that it no longer parses, or holds a type that NumPy lacks.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (TypeError, AttributeError) as error:  # how it fails on types that NumPy has not
        raise UserError(f"{path} holds numbers of a type that NumPy lacks ({error}): save it as float32") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is a damaged safetensors file ({error}): download or write it again") from error


def read_tensors_metadata(path: Path) -> dict[str, str]:
    """A file's metadata, without its arrays; empty where there is none.

    Raises:
        UserError: it is no safetensors file, or cannot be read.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is no safetensors file ({error})") from error


def shortened(names: Sequence[str]) -> str:
    """The first names for a message, and how many more there are."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
