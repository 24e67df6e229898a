import json

from mole_jax.report.parts import Row
from mole_jax.report.reproduction.grid_table import grid_table


def write(path, rows):
    path.write_text(json.dumps({"configurations": rows}))
    return path


def row(rate, size, accuracy=None):
    found = {"learning_rate": rate, "batch_size": size, "diverged": None if accuracy else "at step 3"}
    figures = {"validation_accuracy": accuracy, "validation_auroc": 0.61, "test_accuracy": 0.4, "test_auroc": 0.6}
    return found | (figures if accuracy else {})


def test_rates_stand_beside_batch_sizes_and_the_papers_numbers(tmp_path):
    rows = [row(0.1, 20, 0.5551), row(0.1, 500), row(0.0001, 20, 0.6), row(0.0001, 500, 0.7)]
    part = grid_table(write(tmp_path / "sweep.json", rows), name="grid", title="Grid")
    assert part.table.heads == ["", "batch 20", "batch 500", "paper"]
    assert part.table.rows == [
        Row(["rate 0.1", "0.555 (AUROC 0.610)", "– (diverged)", "0.5209"]),
        Row(["rate 0.0001", "0.600 (AUROC 0.610)", "0.700 (AUROC 0.610)", ""]),
        Row(["paper", "0.5051", "0.5249", ""], "paper"),
    ]
    assert part.numbers["learning_rate"] == [0.1, 0.1, 0.0001, 0.0001]
    assert part.numbers["validation_accuracy"] == [0.5551, None, 0.6, 0.7]
