"""The front door: weights by "auto", "random" or a path, whatever the file's format."""

import logging
import math
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Float32

from mole_jax.backbones import BACKBONES, name_of
from mole_jax.backbones.base import Architecture
from mole_jax.backbones.formats import flax_safetensors, keras_h5, npz, torch_checkpoint
from mole_jax.backbones.formats.download import OFFICIAL, OfficialFile, fetch_weights
from mole_jax.backbones.match import flat_shapes, match
from mole_jax.backbones.names import from_state_dict
from mole_jax.backbones.weights import Pretrained, Provenance, Read
from mole_jax.errors import UserError
from mole_jax.files.digest import file_sha256
from mole_jax.files.tensors import read_tensors, shortened


def load_pretrained(
    spec: str,
    *,
    architecture: Architecture = BACKBONES["resnet50"],
    seed: int = 0,
    cache_dir: Path | None = None,
    official: OfficialFile | None = None,
) -> Pretrained:
    """Loads weights and checks that they fit.

    Args:
        spec: "auto": the network's published file, see `formats/download.py`; "random": initial weights, pretrained on
            nothing; else the path of a Keras `.h5`, `.weights.h5` or `.keras`, a `.safetensors` (torchvision, timm,
            Hugging Face or ported), the same names in an `.npz`, or a torch `.pth`.
        architecture: the network. Variant and classes come from the file; random weights take those given here.
        seed: decides the random weights.
        cache_dir: where downloads are kept; None: the operating system's cache folder.
        official: the file that "auto" fetches; None: the network's own.

    Raises:
        UserError: no such file, an unknown or damaged one, one of another network, or no connection.
    """
    if spec == "random":
        return _random(architecture, seed)
    path = _published(architecture, official, cache_dir) if spec == "auto" else Path(spec).expanduser()
    if not path.is_file():
        raise UserError(f"no weights file at {spec!r}: give the path of one, 'auto' or 'random'")
    variables, config, source = match(_read(path), architecture, path.name)
    if source.other_parts:
        logging.getLogger(__name__).info(
            "%s: left out %s, which the network does not use", path.name, shortened(source.other_parts)
        )
    if doubt := architecture.names.torch.doubts.get(source.format):
        logging.getLogger(__name__).warning("%s: %s", path.name, doubt)
    provenance = Provenance(path.name, file_sha256(path), source.format, source.note)
    return Pretrained(variables, config, source.preprocessing, provenance, (*source.ignored, *source.other_parts))


def _published(architecture: Architecture, official: OfficialFile | None, cache_dir: Path | None) -> Path:
    name = name_of(architecture)
    official = official or OFFICIAL.get(name)
    if official is None:
        raise UserError(
            f"weights='auto' knows no published file for {name}: give --weights=FILE (see the README), or one of "
            f"--backbone={'|'.join(OFFICIAL)}"
        )
    return fetch_weights(official, cache_dir)


def _read(path: Path) -> Read:
    """Reads a file whose format its first bytes tell; the ending of its name may be wrong."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return keras_h5.read_keras_h5(path)
    if start[8:9] == b"{":  # a JSON header after the eight bytes of its length, which may be any
        tensors, metadata = read_tensors(path)
        if metadata.get("format") in flax_safetensors.FORMATS:
            ours = flax_safetensors.from_flax_safetensors(path, tensors, metadata)
            return lambda _: ours
        return partial(from_state_dict, tensors)
    if start.startswith(b"PK\x03\x04"):
        return _read_zip(path)
    if start.startswith(b"\x80"):  # a bare pickle, from before torch 1.6
        return partial(from_state_dict, torch_checkpoint.read_torch_checkpoint(path))
    give = "give a Keras .h5 or .keras, a .safetensors or a torch .pth"
    if kind := _other_kind(start):
        raise UserError(f"{path} is {kind}")
    raise UserError(f"{path} is no known weights file (it begins with {start[:16]!r}): {give}")


def _read_zip(path: Path) -> Read:
    """A zip archive: Keras' .keras, NumPy's .npz, or a torch checkpoint, which the names in it tell."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is a damaged archive ({error}): download or save it again") from error
    if keras_h5.WEIGHTS in names:
        return keras_h5.read_keras_archive(path)
    if names and all(name.endswith(".npy") for name in names):
        return partial(from_state_dict, npz.read_npz_weights(path))
    if any(name.endswith("data.pkl") for name in names):
        return partial(from_state_dict, torch_checkpoint.read_torch_checkpoint(path))
    raise UserError(
        f"{path} is a zip archive of {', '.join(names[:3])}: unpack it, and give the weights file that is inside"
    )


def _other_kind(start: bytes) -> str:
    """What a file is that people take for weights, and the way out; "" where that is not known."""
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights themselves: fetch them with git lfs pull"
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "a web page, not weights: the address asks to log in, or is wrong; download the file itself"
    if start.startswith(b"\x1f\x8b"):
        return "a gzip archive: unpack it, and give the weights file that is inside"
    if start[:1] in b"{[" and start:
        return "JSON, which describes a model and holds no weights: give the file of its weights"
    return ""


def _random(config: Architecture, seed: int) -> Pretrained:
    logging.getLogger(__name__).warning(
        "RANDOM WEIGHTS: this network is pretrained on nothing (seed %d); its results say nothing of transfer learning",
        seed,
    )
    rng = np.random.default_rng(seed)
    flat = {name: _initial(name, leaf.shape, rng) for name, leaf in flat_shapes(config).items()}
    provenance = Provenance(file="", sha256="", format="random", note=f"seed {seed}")
    return Pretrained(unflatten_dict(flat, sep="/"), config, None, provenance)


def _initial(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Float32[np.ndarray, "..."]:
    """He et al. 2015, by fan-out; in NumPy, as XLA takes over ten seconds to compile a draw for each of 54 kernels."""
    if name.endswith("/kernel"):
        # A number goes to all channels out, [..., in, out]; in a depthwise kernel, [..., 1, channels], to one of them.
        depthwise = len(shape) == 4 and shape[-2] == 1
        fan_out = math.prod(shape[:-2]) * (1 if depthwise else shape[-1])
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(math.sqrt(2 / fan_out))
    return np.full(shape, name.endswith(("/scale", "/var")), np.float32)
