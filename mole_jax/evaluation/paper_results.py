"""The paper's Fig. 5 as data: as printed, and with its columns put right.

The paper's code counted false positives as false negatives and the other way round. So its "Precision" is the
sensitivity, its "Sensitivity" the precision and its "Specificity" the negative predictive value; accuracy, F1 and AUROC
are not touched.

The table shows it by itself. From accuracy, precision and sensitivity follow the share of melanomas, the specificity
and the negative predictive value (`implied`). Exchanging the two errors is exchanging what is true with what is called,
so either reading of one row adds up; but every model was judged on the same images. Read as printed, the CNN's test set
holds 46 % melanomas, the network's 76 % and the transfer network's 55 %; put right, all three say 51 %, as a balanced
set should.

One cell more is a misprint, and the logistic regression cannot tell the readings apart, as its two errors are about
equal or its F1 fits neither: see `note`.
"""

import csv
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal

Reading = Literal["printed", "corrected"]
# Validation accuracy of the logistic regression on 3,000 images, by learning rate and by batch size (the section
# on methods); rates of .001 and .0001 "did not appear to converge".
GRID_RATES: Final = {1.0: 0.515, 0.1: 0.5209, 0.01: 0.5138}
# Accuracies that the paper quotes for doctors and for models, of images like neither its own nor ours, from its
# reference 15: Randal White, "Machine Learning Primer for Clinicians, Part 12", HIStalk, 16 January 2019.
DOCTORS: Final = (0.69, 0.91)
MODELS: Final = (0.72, 0.94)
GRID_BATCH_SIZES: Final = {20: 0.5051, 100: 0.5106, 200: 0.5147, 500: 0.5249}


@dataclass(frozen=True)
class PaperRow:
    """One line of the table. All numbers in [0, 1], to three digits; None: not in the paper."""

    model: str  # logistic, mlp, cnn, transfer
    split: str  # train, validation, test
    reading: Reading
    accuracy: float
    precision: float
    sensitivity: float
    specificity: float  # corrected: implied by the other columns
    npv: float | None
    f1: float
    auroc: float
    note: str


@dataclass(frozen=True)
class Implied:
    """What accuracy, precision and sensitivity say about the rest of the table."""

    prevalence: float
    specificity: float
    npv: float
    f1: float


def read_paper_results(reading: Reading) -> list[PaperRow]:
    """The twelve lines of Fig. 5 in its order: four models on train, validation and test."""
    text = resources.files("mole_jax.evaluation").joinpath("paper_results.csv").read_text(encoding="utf-8")
    return [
        PaperRow(
            model=row["model"],
            split=row["split"],
            reading=reading,
            accuracy=float(row["accuracy"]),
            precision=float(row["precision"]),
            sensitivity=float(row["sensitivity"]),
            specificity=float(row["specificity"]),
            npv=float(row["npv"]) if row["npv"] else None,
            f1=float(row["f1"]),
            auroc=float(row["auroc"]),
            note=row["note"],
        )
        for row in csv.DictReader(text.splitlines())
        if row["reading"] == reading
    ]


def implied(*, accuracy: float, precision: float, sensitivity: float) -> Implied:
    """Solves the confusion matrix, as shares of all images, from three of its numbers.

    The wrong images are false negatives, prevalence * (1 - sensitivity), and false positives,
    prevalence * sensitivity * (1 - precision) / precision; together they are 1 - accuracy.
    """
    false_positives = sensitivity * (1 - precision) / precision  # a melanoma
    prevalence = (1 - accuracy) / (1 - sensitivity + false_positives)
    fp, fn = prevalence * false_positives, prevalence * (1 - sensitivity)
    tp, tn = prevalence * sensitivity, 1 - prevalence - fp
    return Implied(prevalence, tn / (tn + fp), tn / (tn + fn), 2 * tp / (2 * tp + fp + fn))
