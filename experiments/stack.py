"""Logistic regressions that share their passes over the images: what a sweep starts for them.

python -m experiments.stack --configs=SWEEP/trials/A.json,SWEEP/trials/B.json

Each is trained as if it were alone and writes into the run_dir of its config. Stopped, it begins again.
"""

from absl import flags

from experiments import cli
from experiments.paths import given_path
from mole_jax import xla
from mole_jax.config import RunConfig
from mole_jax.errors import UserError

CONFIGS = flags.DEFINE_list("configs", None, "configs with a run_dir each, or FILE.list with the path of one a line")


def command() -> None:
    """Trains them."""
    xla.configure(keep_memory=True)
    from mole_jax.studies.train_stack import train_stack

    outcomes = train_stack(_configs())
    for outcome in outcomes:
        found = f"diverged: {outcome.diverged}" if outcome.diverged else f"best epoch {outcome.best_epoch}"
        print(f"{outcome.config.run_dir}: {found}")


def _configs() -> list[RunConfig]:
    from mole_jax.files.reading import read_record
    from mole_jax.sweeps.sweep import stackable

    paths = [given_path(text) for text in CONFIGS.value or []]
    if len(paths) == 1 and paths[0].suffix == ".list":
        paths = [given_path(line) for line in paths[0].read_text(encoding="utf-8").splitlines()]
    stored = [read_record(path, dict, remedy="give configs that a sweep has written") for path in paths]
    configs = [RunConfig.from_dict(each) for each in stored]
    if not configs:
        raise UserError("give --configs, files of one config each")
    for path, config in zip(paths, configs, strict=True):
        if not stackable(config) or not config.run_dir:
            raise UserError(
                f"{path}: only logistic regressions with a run_dir share a pass, without normalize=batch, examples and "
                f"preprocess; train it with python -m experiments.run --config={path}"
            )
    if len({(config.dataset, config.data_dir) for config in configs}) > 1:
        raise UserError("the configs name different datasets: give those of one")
    return configs


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "", goes_on=True)
