"""SHA256SUMS: what each file of a dataset was when it was prepared, as `sha256sum --check SHA256SUMS` reads it too."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError
from mole_jax.files.digest import file_sha256
from mole_jax.workers import cores

SUMS: Final = "SHA256SUMS"
AGAIN: Final = "copy the dataset again, or prepare it again with --overwrite"


def write_checksums(directory: Path) -> None:
    """Records every file in the directory; to be called once all of them are written."""
    names = sorted(path.name for path in directory.iterdir() if path.is_file())
    digests = _digests([directory / name for name in names])
    lines = [f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True)]
    (directory / SUMS).write_text("".join(lines), encoding="utf-8")


def verify(directory: Path) -> None:
    """Reads every recorded file and compares its SHA-256. Files that were added since do not matter.

    A dataset without a record (prepared before there was one) is logged as unverified.

    Raises:
        UserError: a file is missing or has changed, or the record itself is damaged; names the first such file.
    """
    record = directory / SUMS
    try:
        lines = record.read_text(encoding="utf-8").splitlines()
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except FileNotFoundError:
        logging.getLogger(__name__).warning(
            "%s has no %s, since an older version prepared it: damage to its files would not be noticed; "
            "prepare it again with --overwrite to have it checked",
            directory,
            SUMS,
        )
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{record} is damaged ({error}); {AGAIN}") from error
    if missing := [name for name in expected if not (directory / name).is_file()]:
        raise UserError(f"{directory / missing[0]} is missing; {AGAIN}")
    for (name, digest), found in zip(expected.items(), _digests([directory / name for name in expected]), strict=True):
        if found != digest:
            raise UserError(f"{directory / name} has changed since it was prepared (its SHA-256 differs); {AGAIN}")


def _digests(paths: list[Path]) -> list[str]:
    with ThreadPoolExecutor(cores()) as threads:  # hashing releases the interpreter lock
        return list(threads.map(file_sha256, paths))
