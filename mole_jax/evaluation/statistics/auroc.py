"""The area under the ROC curve of two arrays."""

import math

import numpy as np
from jaxtyping import Float, Int


def auroc(labels: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> float:
    """How often a melanoma scores above an image that is none, ties half; NaN where a class is missing.

    Mann and Whitney's statistic from mid-ranks, as scikit-learn's `roc_auc_score`, whose import takes a second.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    positive = int(labels.sum())
    pairs = positive * (len(labels) - positive)
    return float(middle[place][labels == 1].sum() - positive * (positive + 1) / 2) / pairs if pairs else math.nan
