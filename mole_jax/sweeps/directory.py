"""The files of a sweep's directory, each name once, and what makes it another sweep's."""

from pathlib import Path
from typing import Any, Final

from mole_jax.config import IDENTITY, RunConfig
from mole_jax.errors import UserError
from mole_jax.files.reading import read_record
from mole_jax.files.sums import claim
from mole_jax.files.writing import write_json
from mole_jax.sweeps.space import Space, described

KIND: Final = "sweep"
PLAN: Final = "plan.json"  # what is varied, and over what
JOURNAL: Final = "trials.jsonl"  # a line a start and an end of a trial
SEARCH: Final = "search.journal"  # Optuna's
SWEEP: Final = "sweep.json"  # there only while the sweep is finished, for as many trials as were asked for
TABLE: Final = "sweep.csv"
BEST: Final = "best.json"  # the config of the chosen trial
REPORT: Final = "report.html"
TRIALS: Final = "trials"  # a directory and a log a trial
NAMES: Final = (PLAN, JOURNAL, SEARCH, SWEEP, TABLE, BEST)
_OTHERWISE: Final = "give another --run_dir, or move it away"


def trial_dir(directory: Path, name: str) -> Path:
    """Where a trial writes."""
    return directory / TRIALS / name


def trial_log(name: str) -> Path:
    """What a trial prints, relative to the sweep's directory."""
    return Path(TRIALS) / f"{name}.log"


def plan_of(config: RunConfig, space: Space, how: str, fingerprint: str) -> dict[str, Any]:
    """What makes a sweep another one.

    Args:
        config: the fields that are not varied.
        space: what is varied.
        how: the way through it: grid, random or tpe.
        fingerprint: of the dataset.
    """
    fixed = {name: value for name, value in config.to_dict().items() if name in IDENTITY and name not in space}
    epochs = {name: getattr(config, name) for name in ("epochs", "finetune_epochs") if name not in space}
    return {"how": how, "varied": described(space), "fixed": fixed | epochs, "dataset_fingerprint": fingerprint}


def refuse_another_sweep(directory: Path, plan: dict[str, Any]) -> None:
    """Raises UserError where the directory holds a sweep of another plan; changes nothing."""
    path = directory / PLAN
    if not path.exists():
        return
    there: dict[str, Any] = read_record(path, dict[str, Any], remedy=_OTHERWISE)
    defaults = RunConfig().to_dict()
    before = there | {"fixed": {n: v for n, v in defaults.items() if n in plan["fixed"]} | there.get("fixed", {})}
    if before == plan:
        return
    if before.get("dataset_fingerprint") != plan["dataset_fingerprint"]:
        raise UserError(
            f"the dataset {plan['fixed']['dataset']!r} has changed since the sweep in {directory} began; {_OTHERWISE}"
        )
    raise UserError(
        f"{directory} holds a sweep of other configurations (over {', '.join(there.get('varied', {}))}); {_OTHERWISE}"
    )


def begin(directory: Path, plan: dict[str, Any]) -> None:
    """Marks a held directory as this sweep's, which is under way from now on."""
    claim(directory, KIND, NAMES, alone=True, otherwise=_OTHERWISE)
    write_json(directory / PLAN, plan)
