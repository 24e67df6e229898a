"""A sweep's result as text."""

from mole_jax.evaluation.statistics.intervals import Estimate
from mole_jax.sweeps.result import Result, Row

LONGEST = 60  # signs of an error in a table


def table(result: Result) -> list[str]:
    """A line a configuration: accuracy and AUROC on validation, and the best epoch; the mean over seeds, with its
    interval.
    """
    width = max([len(row.words) for row in result.rows] + [len("on validation, at the best epoch")])
    lines = [f"{'on validation, at the best epoch':{width}}  accuracy  AUROC"]
    for row in result.rows:
        lines.append(f"{row.words:{width}}  {_figures(row)}")
    return lines


def chosen_lines(result: Result) -> list[str]:
    """What was chosen, and what its figure is worth."""
    if result.chosen is None:
        return ["chosen: none, since no configuration is done"]
    row = result.rows[result.chosen.row]
    lines = [f"chosen by AUROC on validation:  {row.words}"]
    if result.by_accuracy is not None:
        lines.append(f"by accuracy it would have been: {result.rows[result.by_accuracy].words}")
    assert row.validation_auroc is not None, "it is done"
    lines.append(f"validation AUROC {short(row.validation_auroc)}; {correction_text(result)}")
    lines += [f"test AUROC {of_test_text(result)}"]
    if result.leaky:
        lines.append(f"LEAK: {result.leak}: these figures flatter")
    return lines


def correction_text(result: Result) -> str:
    """What the validation figure becomes without the luck of having been chosen, or why that is not known."""
    assert result.chosen is not None, "one was chosen"
    found = result.chosen.corrected
    if found.value is None or found.optimism is None:
        return f"how much of it is the luck of the choice is not known ({found.reason})"
    of = sum(row.state == "done" for row in result.rows)
    return (
        f"chosen as the best of {of}, it flatters by {found.optimism:.3f}: expect {found.value:.3f} on new images "
        "(bootstrap of the choice)"
    )


def of_test_text(result: Result) -> str:
    """The test figures of the chosen."""
    assert result.chosen is not None, "one was chosen"
    test = result.chosen.test
    if len(test) == 1:
        return f"{short(test[0])}, interval over lesions"
    each = ", ".join(short(one) for one in test)
    return (
        f"{short(result.chosen.test_over_seeds)}, mean and interval over {len(test)} seeds; each over lesions: {each}"
    )


def short(found: Estimate) -> str:
    """An estimate as .861 (.832-.889)."""
    if found["value"] is None:
        return "none"
    value = f"{found['value']:.3f}"
    return value if found["low"] is None else f"{value} ({found['low']:.3f}-{found['high']:.3f})"


def _figures(row: Row) -> str:
    if row.validation_auroc is None or row.validation_accuracy is None:
        why = row.error if len(row.error) <= LONGEST else f"{row.error[: LONGEST - 1]}…"
        return f"{row.state}{f': {why}' if why else ''}"
    epochs = ",".join(map(str, row.best_epochs))
    return f"{row.validation_accuracy['value']:8.3f}  {short(row.validation_auroc)}  epoch {epochs}"
