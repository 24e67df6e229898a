"""The search that learns: it comes near the best, goes on after a kill, and stops poor trials."""

import importlib.util

import pytest

from mole_jax.errors import UserError
from mole_jax.executors.base import Ended
from mole_jax.sweeps.directory import JOURNAL, SEARCH

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed: pip install 'mole-jax[search]'"
)
SPACE = "l2=uniform(0,1) batch_size=20,50"


def test_it_comes_near_the_best_and_more_trials_go_on_from_fewer(run):
    result, started, _ = run(SPACE, how="tpe", count=25)
    assert len(started) == len(result.rows) == 25
    assert {row.state for row in result.rows} == {"done"}
    near = [abs(config.l2 - 0.5) for config in started]
    assert min(near) < 0.05
    assert sum(near[10:]) / 15 < sum(near[:10]) / 10, "later trials lie nearer than the first, random ones"
    result, started, _ = run(SPACE, how="tpe", count=27)
    assert len(started) == 2 and len(result.rows) == 27


def test_what_fails_is_recorded(run):
    result, started, _ = run("l2=0.25,0.5", {0.5: [Ended("", 2, "error: no")] * 9}, how="tpe", count=4)
    states = {row.changes["l2"]: row.state for row in result.rows}
    assert states in ({0.25: "done", 0.5: "failed"}, {0.25: "done"}, {0.5: "failed"})
    assert len(started) <= 4


def test_trials_of_a_driver_that_died_are_suggested_again_first(run, pretended, tmp_path):
    class Dies(type(pretended())):
        def wait(self, seconds):
            if len(self.started) > 3:
                raise KeyboardInterrupt
            return super().wait(seconds)

    dying = Dies.__new__(Dies)
    dying.__dict__.update(pretended().__dict__)
    with pytest.raises(KeyboardInterrupt):
        run(SPACE, how="tpe", count=6, executor=dying)
    orphans = {(config.l2, config.batch_size) for config in dying.started[-2:]}
    for config in dying.started[-2:]:  # stopped before they were finished
        folder = tmp_path / config.run_dir
        (folder / "metrics.json").unlink()
    result, started, _ = run(SPACE, how="tpe", count=6)
    assert orphans == {(config.l2, config.batch_size) for config in started[:2]}
    assert len(started) == 4
    assert [row.state for row in result.rows] == ["done"] * 6
    assert (tmp_path / "sweep" / SEARCH).is_file() and (tmp_path / "sweep" / JOURNAL).is_file()


def test_a_trial_worse_than_the_median_is_stopped(run, pretended):
    """Five good ones, then one that stays at .2 and never ends by itself."""

    class Slow(type(pretended())):
        def start(self, job):
            if len(self.started) < 6:
                super().start(job)
                return
            from pathlib import Path

            from mole_jax.config import RunConfig
            from mole_jax.files.reading import read_record

            config = RunConfig.from_dict(read_record(Path(job.arguments[0]), dict, remedy=""))
            self.started.append(config)
            self.write_epochs(Path(config.run_dir), [0.2, 0.2])

        def write_epochs(self, folder, aurocs):
            super().write_epochs(folder, [*aurocs, *aurocs][:2])

        def wait(self, seconds):
            found = super().wait(seconds)
            return [*found, *(Ended(self.stopped.pop(), 75) for _ in self.stopped[:1])]

    slow = Slow.__new__(Slow)
    slow.__dict__.update(pretended().__dict__)
    result, _, told = run(SPACE, how="tpe", count=7, executor=slow, parallel=1)
    assert [row.state for row in result.rows].count("pruned") == 1
    assert result.rows[-1].state == "pruned"
    assert any(line.startswith("pruned, ") for line in told)


def test_it_searches_with_one_seed(run):
    with pytest.raises(UserError, match=r"--tpe searches with one seed a trial: leave out --seeds=2"):
        run(SPACE, how="tpe", count=2, seeds=2)
