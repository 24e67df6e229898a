"""Reads what a command has found of a run and left in a folder of its directory; one way for all of them."""

import logging
from pathlib import Path
from typing import Any

from mole_jax.files.reading import read_record
from mole_jax.files.sums import verify
from mole_jax.runs.members import classifier_digest


def read_finding(run_dir: Path, folder: str, name: str, kind: Any, *, schema: int, command: str) -> Any:
    """A record with the fields `schema` and `classifier`; None where there is none, or, said in the log, where it is of
    an earlier classifier or another release.

    Args:
        run_dir: of the run.
        folder: in it; also the kind of its files.
        name: of the file.
        kind: of the record.
        schema: that this release writes.
        command: of `experiments`, which makes it again.

    Raises:
        UserError: a file of the folder is damaged.
    """
    path, again = run_dir / folder / name, f"python -m experiments.{command} --run={run_dir} makes it again"
    if not path.is_file():
        return None
    verify(path.parent, folder, again=again)
    about: dict[str, Any] = read_record(path, dict[str, Any], remedy=again)
    if about.get("schema") != schema or about.get("classifier") != classifier_digest(run_dir):
        logging.getLogger(__name__).warning(
            "%s is of an earlier classifier of this run, or of another release, and is left out; %s", path, again
        )
        return None
    return read_record(path, kind, remedy=again)
