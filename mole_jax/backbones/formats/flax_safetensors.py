"""Our own file: the Flax variables as plain safetensors, with variant, preprocessing and provenance in the metadata."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Shaped
from safetensors.numpy import save

from mole_jax.backbones.weights import Pretrained, Source
from mole_jax.errors import UserError
from mole_jax.files.changes import replace_file
from mole_jax.files.tensors import read_tensors_metadata
from mole_jax.inputs.normalize import Preprocessing

FORMAT = "mole_jax safetensors"
# The second is what was written while there were no other networks than ResNets.
FORMATS = (FORMAT, "mole_jax ResNet safetensors")


def write_flax_safetensors(path: Path, pretrained: Pretrained) -> None:
    """Writes the variables under flat names ("params/conv1/kernel"); the file appears whole or not at all.

    Raises:
        UserError: the weights have no preprocessing, that is, they are random; the folder cannot be written; or
            another kind of file is there.
    """
    if pretrained.preprocessing is None:
        raise UserError("random weights are not worth a file: give --source a file of pretrained weights")
    if path.exists() and not _is_ours(path):
        raise UserError(f"{path} is there and was not written by this command: give another place")
    tensors = {name: np.ascontiguousarray(a) for name, a in flatten_dict(pretrained.variables, sep="/").items()}
    metadata = {
        "format": FORMAT,
        "variant": pretrained.variant,
        "preprocessing": pretrained.preprocessing,
        "provenance": json.dumps(asdict(pretrained.provenance)),
    }
    metadata["digest"] = _digest(tensors, metadata)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            unfinished = Path(folder) / path.name
            unfinished.write_bytes(save(tensors, metadata))  # files of save_file are readable by their owner only
            replace_file(unfinished, path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): give another place") from error


def from_flax_safetensors(
    path: Path, tensors: Mapping[str, Shaped[np.ndarray, "..."]], metadata: Mapping[str, str]
) -> Source:
    """What `write_flax_safetensors` wrote, its digest checked.

    Raises:
        UserError: tensors or metadata differ from those that were written.
    """
    stated = {key: value for key, value in metadata.items() if key != "digest"}
    if metadata.get("digest") != _digest(tensors, stated):
        raise UserError(f"{path} was altered after it was written: run experiments.port_weights again")
    origin = json.loads(metadata["provenance"])
    return Source(
        metadata["format"],
        metadata["variant"],
        cast(Preprocessing, metadata["preprocessing"]),
        tensors,
        {name: name for name in tensors},
        note=f"ported from {origin['file']} ({origin['format']}, sha256 {origin['sha256']})",
    )


def _is_ours(path: Path) -> bool:
    try:
        return read_tensors_metadata(path).get("format") in FORMATS
    except UserError:
        return False


def _digest(tensors: Mapping[str, Shaped[np.ndarray, "..."]], metadata: Mapping[str, str]) -> str:
    """sha256 over names, types, shapes and bytes, and over the metadata: preprocessing must not change unnoticed."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
