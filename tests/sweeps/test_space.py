"""What is varied: as people write it, every value checked before anything starts."""

import math
from collections import Counter

import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.sweeps.space import Range, combinations, draws, parse_space, sweep_name
from mole_jax.sweeps.trials import refuse_twins, refuse_unsound, trials_of

WIDE = "learning_rate=log(1e-4, 1e-1) batch_size=uniform(16,64) dropout=uniform(0,0.5) head=linear,pooled"


def resolve(changes):
    return RunConfig(**{"model": "transfer", **changes})


def test_values_and_ranges_have_their_fields_types():
    space = parse_space(WIDE)
    assert space == {
        "learning_rate": Range("log", 1e-4, 1e-1, whole=False),
        "batch_size": Range("uniform", 16, 64, whole=True),
        "dropout": Range("uniform", 0, 0.5, whole=False),
        "head": ["linear", "pooled"],
    }
    assert str(space["learning_rate"]) == "log(0.0001,0.1)"
    assert parse_space("epochs=1,2 mesh=auto,2")["epochs"] == [1, 2]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("", "give --grid, for example"),
        ("learning_rate", "'learning_rate' in --grid: write each field once, as field=value,value"),
        ("seed=1 seed=2", "'seed=2' in --grid: write each field once, as field=value,value"),
        ("speed=1", "'speed' in --grid is not an option of a run; they are"),
        ("seed=0.5", "'seed=0.5' in --grid: seed takes values of type int"),
        ("seed=1,1", "'seed=1,1' in --grid names a value twice; name each once"),
        ("dataset=a,b", "'dataset' is the same for a whole sweep: take it out of the grid, give --dataset"),
        (
            "head=log(1,2)",
            r"'head=log\(1,2\)' in --grid: a range is log\(low,high\) or uniform\(low,high\), of a field",
        ),
        ("seed=log(1,x)", r"'seed=log\(1,x\)' in --grid: a range has two ends of type int, log\(low,high\)"),
        ("l2=log(0,1)", r"'l2=log\(0,1\)' in --grid: the ends of a range are finite above 0, the smaller first"),
        ("l2=uniform(2,1)", "the ends of a range are finite, the smaller first"),
    ],
)
def test_what_cannot_be_read_is_refused(grid, message):
    with pytest.raises(UserError, match=message):
        parse_space(grid)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("learning_rate=1,-1", "learning_rate=-1.0 is too small"),
        ("dropout=uniform(0.5,1.5)", "dropout=1.5 is too large"),
        ("head=linear,round", "head='round' is not one of paper, pooled, linear"),
    ],
)
def test_every_value_is_checked_before_anything_starts(grid, message):
    with pytest.raises(UserError, match=message):
        refuse_unsound(parse_space(grid), resolve, 1)


def test_a_grid_has_all_combinations_and_no_ranges():
    found = combinations(parse_space("l2=0,1 seed=3,4,5"))
    assert [tuple(each.values()) for each in found] == [(0, 3), (0, 4), (0, 5), (1, 3), (1, 4), (1, 5)]
    with pytest.raises(UserError, match=r"l2=uniform\(0,1\) has no end of values: give --random=N or --tpe=N with it"):
        combinations(parse_space("l2=uniform(0,1)"))


def test_draws_cover_the_space_and_more_of_them_begin_with_the_same():
    space = parse_space(WIDE)
    many = draws(space, 400)
    assert draws(space, 7) == many[:7]
    rates = np.log10([each["learning_rate"] for each in many])
    # Quartiles of a uniform distribution over [-4, -1].
    np.testing.assert_allclose(np.quantile(rates, [0.25, 0.5, 0.75]), [-3.25, -2.5, -1.75], atol=0.2)
    sizes = [each["batch_size"] for each in many]
    assert set(map(type, sizes)) == {int}
    assert (min(sizes), max(sizes)) == (16, 64)
    assert 150 < Counter(each["head"] for each in many)["linear"] < 250
    assert all(each["learning_rate"] == float(f"{each['learning_rate']:.3g}") for each in many)
    refuse_twins([trial for each in many for trial in trials_of(each, resolve, 1)])


def test_more_draws_than_combinations_are_refused():
    space = parse_space("seed=1,2 head=linear,pooled")
    assert len(draws(space, 4)) == 4
    with pytest.raises(UserError, match="--random=5, and --grid has but 4 different combinations"):
        draws(space, 5)


def test_ranges_end_where_they_say():
    log = Range("log", 1e-4, 0.1, whole=False)
    assert [log.at(0), log.at(1)] == [1e-4, 0.1]
    assert log.at(0.5) == pytest.approx(math.sqrt(1e-5), rel=5e-3)
    assert Counter(Range("uniform", 1, 3, whole=True).at(i / 300) for i in range(300)) == {1: 100, 2: 100, 3: 100}
    assert Range("uniform", 1, 3, whole=True).at(1.0) == 3
    assert [Range("log", 1, 8, whole=True).at(share) for share in (0, 0.5, 1)] == [1, 3, 8]


def test_a_trial_is_named_by_what_is_in_it():
    base = RunConfig(model="logistic")
    (one,) = trials_of({"learning_rate": 0.1}, lambda changes: RunConfig(model="logistic", **changes), 1)
    (other,) = trials_of({"learning_rate": 0.1}, lambda c: RunConfig(model="logistic", run_dir="x", mesh="1", **c), 1)
    assert one.name == other.name != trials_of({}, lambda _: base, 1)[0].name
    longer = trials_of({"epochs": 3}, lambda changes: RunConfig(model="logistic", **changes), 1)[0]
    assert longer.name != trials_of({"epochs": 4}, lambda c: RunConfig(model="logistic", **c), 1)[0].name
    meshes = {trials_of({"mesh": m}, lambda c: RunConfig(model="logistic", **c), 1)[0].name for m in ("1", "2")}
    assert len(meshes) == 2
    assert one.words == "learning_rate=0.1"


def test_seeds_follow_the_runs_own():
    trials = trials_of({"l2": 0.5}, lambda changes: RunConfig(**{"seed": 3, **changes}), 3)
    assert [trial.config.seed for trial in trials] == [3, 4, 5]
    assert len({trial.name for trial in trials}) == 3
    with pytest.raises(UserError, match="--seeds=2 and seed in --grid both say which seeds: give one of them"):
        refuse_unsound(parse_space("seed=1,2"), resolve, 2)


def test_the_same_configuration_twice_is_refused():
    """Where what is varied makes no difference."""

    def recipe(changes):
        return RunConfig(model=changes["model"], l2=0.0)

    trials = [t for each in combinations(parse_space("model=cnn l2=0,1")) for t in trials_of(each, recipe, 1)]
    with pytest.raises(UserError, match="'model=cnn l2=0' and 'model=cnn l2=1' are the same configuration"):
        refuse_twins(trials)


def test_a_sweeps_name_is_of_its_space_but_not_of_how_many_trials_it_has():
    config = RunConfig()
    names = {
        sweep_name(config, parse_space("l2=0,1")),
        sweep_name(config, parse_space("l2=0,2")),
        sweep_name(config, parse_space("l2=0,1"), "random"),
        sweep_name(RunConfig(epochs=2), parse_space("l2=0,1")),
        sweep_name(RunConfig(seed=1), parse_space("l2=0,1")),
        sweep_name(config, parse_space("l2=uniform(0,1)"), "random"),
    }
    assert len(names) == 6
    assert sweep_name(config, parse_space("model=mlp,cnn l2=0,1")).startswith("sweep-mlp-cnn-synthetic-")
