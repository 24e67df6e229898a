"""Fetches an official weights file once, checks it, and keeps it in the user's cache."""

import sys
from dataclasses import dataclass
from pathlib import Path

from mole_jax.errors import UserError


@dataclass(frozen=True)
class OfficialFile:
    """A published file."""

    url: str
    checksum: str  # as pooch writes it: "md5:..." or "sha256:..."

    @property
    def name(self) -> str:
        """The file's name, the last part of its address."""
        return self.url.rpartition("/")[2]


# BASE_WEIGHTS_PATH and WEIGHTS_HASHES of keras.applications.resnet. The publisher gives no better checksum than MD5.
KERAS_RESNET50_NOTOP = OfficialFile(
    url="https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    checksum="md5:4d473c1dd8becc155b73f8504c6f6626",
)


def fetch_weights(official: OfficialFile, cache_dir: Path | None = None) -> Path:
    """The local copy, downloaded (with a progress bar on a terminal) if it is missing or not the published file.

    The checksum is computed each time, even of a cached copy.

    Args:
        official: the file to fetch.
        cache_dir: where copies are kept; None: the operating system's cache folder for mole_jax.

    Raises:
        UserError: no connection, no such file, or bytes that differ from the publisher's.
    """
    import pooch

    folder = Path(pooch.os_cache("mole_jax")) if cache_dir is None else cache_dir
    otherwise = "give --weights=PATH with a file of your own, or --weights=random"
    try:
        path = pooch.retrieve(
            official.url,
            known_hash=official.checksum,
            fname=official.name,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30),
        )
    except ValueError as error:
        raise UserError(
            f"{official.url} gave other bytes than {official.checksum} (a proxy's page, or a broken transfer): "
            f"try again, or {otherwise}"
        ) from error
    except OSError as error:  # all errors of requests, and those of the cache folder
        response = getattr(error, "response", None)
        reason = type(error).__name__ if response is None else f"HTTP status {response.status_code}"
        raise UserError(f"cannot download {official.url} to {folder} ({reason}): {otherwise}") from error
    return Path(path)
