"""A run that is the ensemble of several: the same config under several seeds, each a whole run in `seeds/`."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mole_jax.errors import UserError
from mole_jax.files.changes import SUMS
from mole_jax.files.digest import file_sha256
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json
from mole_jax.runs.directory import CLASSIFIER, CONFIG, MEMBERS, METRICS, SEEDS


@dataclass(frozen=True)
class Members:
    """The content of seeds.json."""

    seeds: tuple[int, ...]


def member_dir(run_dir: Path, seed: int) -> Path:
    """Where the run of one seed lies."""
    return run_dir / MEMBERS / str(seed)


def write_members(run_dir: Path, seeds: list[int]) -> None:
    """Says which seeds an ensemble is of."""
    write_json(run_dir / SEEDS, {"seeds": seeds})


def is_ensemble(run_dir: Path) -> bool:
    """Whether a run is the ensemble of others."""
    return (run_dir / SEEDS).is_file()


def refuse_ensemble(run_dir: Path) -> None:
    """Raises UserError where an ensemble lies in the directory that a single run is to go to."""
    if is_ensemble(run_dir):
        raise UserError(f"{run_dir} holds the runs of several seeds; go on with --seeds=N, or give another --run_dir")


def refuse_single(run_dir: Path) -> None:
    """Raises UserError where a single run lies in the directory that an ensemble is to go to."""
    if (run_dir / CONFIG).is_file() and not is_ensemble(run_dir):
        raise UserError(
            f"{run_dir} holds a run of one seed; go on with --seeds=1, or give several seeds another --run_dir"
        )


def members_of(run_dir: Path) -> list[Path]:
    """The runs whose classifiers a run's scores come from: those of its seeds, or itself.

    Raises:
        UserError: it is an ensemble that is not finished, or lacks one of its runs.
    """
    if not is_ensemble(run_dir):
        return [run_dir]
    found = _listed(run_dir)
    again = f"{_again(run_dir)} --seeds={len(found)} goes on with it"
    if not (run_dir / METRICS).is_file():
        raise UserError(f"the ensemble in {str(run_dir)!r} is not finished; {again}")
    if missing := [member for member in found if not (member / CLASSIFIER).is_dir()]:
        raise UserError(
            f"{missing[0]} is missing, one of the {len(found)} runs that the ensemble in {run_dir} is of; restore it, "
            f"or {again}"
        )
    return found


def classifier_digest(run_dir: Path) -> str | None:
    """What a run's scores come from, in hex: changes with any of its classifiers; None where one has no digests."""
    sums = [member / CLASSIFIER / SUMS for member in (_listed(run_dir) if is_ensemble(run_dir) else [run_dir])]
    if not all(file.is_file() for file in sums):
        return None
    digests = [file_sha256(file) for file in sums]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _listed(run_dir: Path) -> list[Path]:
    members: Members = read_record(run_dir / SEEDS, Members, remedy=f"{_again(run_dir)} --seeds=N writes it anew")
    return [member_dir(run_dir, seed) for seed in members.seeds]


def _again(run_dir: Path) -> str:
    return f"python -m experiments.run --config={run_dir / CONFIG} --run_dir={run_dir}"
