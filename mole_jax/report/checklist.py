"""Which items of the reporting guidelines this page fills, and which its author still has to write.

`checklist.csv` names the items in our own words after TRIPOD+AI (Collins et al., BMJ 2024, 27 items, `TRIPOD_AI`) and
STARD-AI (2025), which extends STARD 2015 by items on the data, the evaluation of the index test, and bias and fairness.
Its `state` holds where the runs have what the item `needs`; else `otherwise` does.
"""

import csv
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

from mole_jax.runs.read import Run

TRIPOD_AI = "https://doi.org/10.1136/bmj-2023-078378"
STATES = ("filled", "partly", "missing")


class Item(NamedTuple):
    """One item of a guideline."""

    guideline: str  # and the item's number
    topic: str
    state: str  # one of STATES
    where: str  # on this page, and what is missing


def checklist(runs: Sequence[Run]) -> list[Item]:
    """The items, judged by what these runs hold."""
    tests = [run.metrics["splits"]["test"] for run in runs]
    facts = {
        "": True,
        "clean": all(run.metrics["leaky"] is False and not run.leaks for run in runs),
        "commit": all(run.environment.get("git_commit") for run in runs),
        "external": all(run.external for run in runs),
        "lesions": all(test["grouped_by"] != "image_id" for test in tests),
        "log": all(run.epochs for run in runs),
        "real": not any(run.synthetic for run in runs),
        "subgroups": all(test["subgroups"] for test in tests),
    }
    text = resources.files("mole_jax.report").joinpath("checklist.csv").read_text(encoding="utf-8")
    items = []
    for row in csv.DictReader(text.splitlines()):
        state = row["state"] if facts[row["needs"]] else row["otherwise"]
        parts = {
            "filled": row["where"],
            "partly": f"{row['where']}; missing: {row['missing']}",
            "missing": row["missing"],
        }
        items.append(Item(row["guideline"], row["topic"], state, parts[state]))
    return items
