"""The page of a sweep: a heat map, points or parallel axes, by what was varied; why something is not there."""

import json
import re

import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.report.sweep.sweep_page import write_sweep_page

COMMAND = "python -m experiments.run --config=best.json"


def row(changes, auroc=None, low=None, high=None, **more):
    found = {
        **changes,
        "state": "done",
        "diverged": None,
        "error": "",
        "trials": ["t"],
        "best_epochs": [2],
        "seconds": 60.0,
    }
    if auroc is None:
        return found | {"state": "diverged", "error": "train_loss is nan", "best_epochs": []} | more
    figures = {
        f"validation_{name}{suffix}": value
        for name in ("auroc", "accuracy")
        for suffix, value in (("", auroc), ("_low", low), ("_high", high))
    }
    return found | figures | more


def write(folder, space, rows, chosen=0, *, leaky=False):
    estimate = {"value": 0.8, "low": 0.7, "high": 0.9, "method": "cluster_score"}
    alone = {"value": 0.8, "low": None, "high": None, "method": None, "reason": "one seed"}
    best = {
        "row": chosen,
        "config": RunConfig().to_dict(),
        "corrected": {"value": 0.78, "optimism": 0.03, "reason": ""},
        "test": [estimate],
        "test_over_seeds": alone,
    }
    stored = {
        **{
            "schema": 2,
            "dataset": "mine",
            "dataset_fingerprint": "x",
            "leaky": leaky,
            "leak": "copies of test lesions",
        },
        **{"varied": list(space), "space": space, "configurations": rows, "by_accuracy": None},
        "chosen": None if chosen is None else best,
    }
    (folder / "sweep.json").write_text(json.dumps(stored))
    return write_sweep_page(folder, command=COMMAND).read_text()


def test_two_fields_are_a_heat_map(tmp_path):
    rows = [row({"l2": a, "batch_size": b}, 0.6 + a + b / 1000, 0.5, 0.7) for a in (0.0, 0.1) for b in (20, 50)]
    rows[1] = row({"l2": 0.0, "batch_size": 50})
    page = write(tmp_path, {"l2": [0.0, 0.1], "batch_size": [20, 50]}, rows, chosen=3)
    drawn = (tmp_path / "figures" / "sweep-figure.svg").read_text()
    assert drawn.count("± 0.100") == 3 and "0.750" in drawn and ">–<" in drawn
    assert "Validation AUROC of 3 of 4 configurations over l2, batch_size: from 0.620 to 0.750." in page
    assert "4 configurations on mine: 3 done, 1 diverged." in " ".join(page.split())
    assert "train_loss is nan" in page
    order = re.findall(r'scope="row">(l2=[^<]+)<', page)
    assert order == ["l2=0.1 batch_size=50", "l2=0.1 batch_size=20", "l2=0 batch_size=20", "l2=0 batch_size=50"]
    assert "<td>0.780</td>" in page and "<span>--config=best.json</span>" in page
    assert "LEAK" not in page
    assert (
        (tmp_path / "figures" / "sweep.csv").read_text().splitlines()[0].startswith("l2,batch_size,state,validation_a")
    )


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"l2": [0.0, 0.1, 0.2]}, "A point a value of l2"),
        ({"l2": "uniform(0,0.2)"}, "A line a configuration"),
        ({"l2": [0.0, 0.1, 0.2], "seed": [1], "head": ["linear"]}, "A line a configuration"),
    ],
)
def test_one_field_is_points_and_others_are_parallel_axes(tmp_path, space, words):
    rows = [
        row({name: [0.0, 0.1, 0.2][i] if name == "l2" else space[name][0] for name in space}, 0.7) for i in range(3)
    ]
    page = write(tmp_path, space, rows)
    assert words in page
    assert "validation AUROC" in (tmp_path / "figures" / "sweep-figure.svg").read_text()


def test_a_leak_is_loud_and_without_a_choice_there_is_none(tmp_path):
    page = write(tmp_path, {"l2": [0.0]}, [row({"l2": 0.0})], chosen=None, leaky=True)
    assert "LEAK: copies of test lesions" in page
    assert "None is done, so none is chosen." in page
    assert "No configuration is done, so nothing is drawn." in page
    assert 'id="train"' not in page


def test_what_is_not_there_or_not_ours_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*sweep.json; give the sweep's command again, which skips what"):
        write_sweep_page(tmp_path, command="")
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match=r"is no page of mole_jax: it is not replaced"):
        write_sweep_page(tmp_path, command="")
