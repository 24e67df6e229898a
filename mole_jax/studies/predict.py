"""Photographs to risks: any number of files, scored by one classifier or by several together, in bounded memory."""

import dataclasses
import glob
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from mole_jax.classifier.classifier import Classifier
from mole_jax.classifier.decision import SCREENING, Decision, freeze
from mole_jax.classifier.network import BATCH_SIZE
from mole_jax.data.image_file import LoadedImage, UnusableImageError, load_image
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.evaluation.repeats import ensemble, mean_logits
from mole_jax.runs.directory import predictions_file, verify_run
from mole_jax.workers import cores, in_workers

# Files decoded before they are scored: 77 MB of pixels.
AT_A_TIME: Final = 8 * BATCH_SIZE


@dataclass(frozen=True)
class Scored:
    """What became of one file.

    Attributes:
        path: of the file, as it was given or found.
        reason: why it could not be scored, one phrase; else "".
        score: the sigmoid of the logit, in [0, 1]; of several classifiers, of their mean logit. NaN where it could not
            be scored; so with the others.
        calibrated: the risk of melanoma among images like the validation images.
        risk: the same at the prevalence that was asked for.
        melanoma: whether the frozen threshold calls it melanoma; None where there is no threshold.
        members: each classifier's own score.
    """

    path: Path
    reason: str = ""
    score: float = math.nan
    calibrated: float = math.nan
    risk: float = math.nan
    melanoma: bool | None = None
    members: tuple[float, ...] = ()


@dataclass(frozen=True)
class Ensemble:
    """One classifier or several, whose logits are averaged.

    Attributes:
        members: the classifiers.
        decision: what the averaged scores mean; None where that was never chosen on validation.
        why_no_decision: why not, one sentence; else "".
    """

    members: tuple[Classifier, ...]
    decision: Decision | None
    why_no_decision: str = ""


def as_ensemble(classifiers: Sequence[Classifier], run_dirs: Sequence[Path]) -> Ensemble:
    """Joins classifiers; thresholds and calibration of several are chosen anew on their common validation images.

    Args:
        classifiers: at least one.
        run_dirs: of each, which hold `predictions/validation.csv`.

    Raises:
        UserError: one scores an image by the images beside it, which a single photograph has none of.
    """
    for classifier, run_dir in zip(classifiers, run_dirs, strict=True):
        if classifier.inputs.normalize == "batch":
            raise UserError(
                f"{run_dir} was trained with normalize='batch': it subtracts the mean of the images beside one, so a "
                "photograph has no score of its own; train with --normalize=image, or evaluate it on a dataset"
            )
        if classifier.preprocessor is not None and classifier.preprocessor.masks == "given":
            raise UserError(
                f"{run_dir} was trained with masks=given, and photographs have no masks beside them: evaluate it on a "
                "dataset that was prepared with --masks=DIR, or train with --masks=kmeans or a segmenter"
            )
    if len(classifiers) == 1:
        return Ensemble(tuple(classifiers), classifiers[0].decision)
    if len({classifier.origin.dataset_fingerprint for classifier in classifiers}) > 1:
        why = "the runs were trained on different datasets, so no validation image is new to all of them"
        return Ensemble(tuple(classifiers), None, why)
    files = [predictions_file(run_dir, "validation") for run_dir in run_dirs]
    if missing := [file for file in files if not file.is_file()]:
        return Ensemble(tuple(classifiers), None, f"{missing[0]} is not at hand to choose a threshold on")
    for run_dir in run_dirs:
        verify_run(run_dir, only=[predictions_file(Path(), "validation").as_posix()])
    of_members = [read_predictions(file) for file in files]
    first = of_members[0]
    if any(set(other.image_id) != set(first.image_id) for other in of_members):
        return Ensemble(tuple(classifiers), None, "the runs' validation predictions are not of the same images")
    together = ensemble(of_members)
    return Ensemble(tuple(classifiers), freeze(together, prevalence=classifiers[0].decision.prevalence))


def find_images(given: Sequence[str]) -> list[Path]:
    """The files to score: those named, those that a pattern matches, and all below a folder; each once.

    Hidden files and folders below a folder are passed over. Whether a file is an image shows when it is read.

    Raises:
        UserError: a path does not exist, or a pattern or folder has no file.
    """
    found: dict[Path, None] = {}
    for text in given:
        path = Path(text).expanduser()
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
            if not inside:
                raise UserError(f"--images={text}: there is no file in that folder; give a folder of images")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        elif glob.has_magic(text):
            matched = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]  # noqa: PTH207
            if not matched:
                raise UserError(f"--images={text} matches no file; give a file, a folder or another pattern")
            found |= dict.fromkeys(matched)
        else:
            raise UserError(f"--images={text}: there is no such file or folder")
    return list(found)


def score_photographs(
    ensemble: Ensemble,
    paths: Sequence[Path],
    *,
    prevalence: float | None = None,
    point: str = SCREENING,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Scored]:
    """Scores files one after the other, some hundred in memory at a time; a file that is no usable image gets a reason.

    Args:
        ensemble: the classifiers.
        paths: of the files.
        prevalence: the share of melanomas that `Scored.risk` means, in (0, 1); None: that of the training images.
        point: the frozen threshold that calls melanoma.
        on_progress: told how many files more are done.

    Yields:
        One for each path, in their order.
    """
    left = iter(paths)
    while some := list(islice(left, AT_A_TIME)):
        loaded = list(in_workers(_load, some, workers=cores(), name_of=str, died=_died))
        images = [each.image for each in loaded if isinstance(each, LoadedImage)]
        scored = iter(_score(ensemble, images, prevalence, point))
        for path, each in zip(some, loaded, strict=True):
            if isinstance(each, str):
                yield Scored(path, each)
            else:
                yield dataclasses.replace(next(scored), path=path)
        on_progress(len(some))


def _score(ensemble: Ensemble, images: Sequence[np.ndarray], prevalence: float | None, point: str) -> Iterator[Scored]:
    if not images:
        return
    of_members: list[Float[np.ndarray, " n"]] = [member.logits(np.stack(images)) for member in ensemble.members]
    logits = mean_logits(of_members)
    scores = expit(logits.astype(np.float64))
    calibrated = risk = np.full(len(images), np.nan)
    called: list[bool | None] = [None] * len(images)
    decision = ensemble.decision
    if decision is not None:
        if decision.platt is not None:
            calibrated, risk = decision.calibrated(logits), decision.risk(logits, prevalence=prevalence)
        if decision.point(point).threshold is not None:
            called = [bool(each) for each in decision.called(logits, point)]
    for i in range(len(images)):
        members = tuple(float(expit(np.float64(each[i]))) for each in of_members)
        yield Scored(Path(), "", float(scores[i]), float(calibrated[i]), float(risk[i]), called[i], members)


def _load(path: Path) -> LoadedImage | str:
    try:
        return load_image(path)
    except UnusableImageError as error:
        return str(error)


def _died(_: Path) -> str:
    return "kills the process that decodes it"


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
