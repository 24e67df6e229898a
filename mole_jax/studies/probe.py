"""Asks a run what its scores rest on: images are changed, artefacts drawn in and taken out, skins told apart."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, UInt8
from tqdm import tqdm

from mole_jax.artefacts.kinds import ARTEFACTS
from mole_jax.artefacts.seen import Seen, seen_in
from mole_jax.artefacts.skin_tone import GROUPS
from mole_jax.classifier.classifier import Classifier
from mole_jax.classifier.preprocess import Preprocessor, lesion_finder
from mole_jax.classifier.storage import open_run
from mole_jax.data.dataset import Dataset
from mole_jax.data.records import SPLITS, Split
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.probing import Share, effect, estimate_text, share, verdict
from mole_jax.evaluation.repeats import mean_logits
from mole_jax.evaluation.statistics.area import cluster_auroc_difference
from mole_jax.evaluation.subgroups import estimates_by_level
from mole_jax.files.csv_table import write_rows
from mole_jax.files.sums import claim, refuse_foreign, seal
from mole_jax.files.writing import write_json
from mole_jax.runs.members import classifier_digest, members_of
from mole_jax.runs.predictions import to_predictions
from mole_jax.runs.probing import FOLDER, PROBES, SCHEMA, SCORES, FoundArtefact, Probes, SkinTones
from mole_jax.runs.read import Run, dataset_of, read_runs
from mole_jax.studies.changes import CHANGES, FRAME_ALONE, HIDDEN_LESION, OUTLINE, within_frame
from mole_jax.workers import cores, in_workers

OTHERWISE: Final = "move it elsewhere"
FEWEST: Final = 20  # images with an artefact, for what taking it out does
AT_A_TIME: Final = 64
UNKNOWN: Final = "too little skin"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        run_dir: of a finished run.
        data_dir: where its dataset lies; None: where the run had it.
        masks: where the lesions' outlines are from: "given", the dataset's; "kmeans"; "auto", the dataset's where it
            has any, else k-means; or the directory of a trained segmenter.
        images: how many of each split, drawn at random; 0: all.
        seed: of that draw and of what is drawn into images.
    """

    run_dir: Path
    data_dir: Path | None = None
    masks: str = "auto"
    images: int = 0
    seed: int = 0


def probe_run(request: Request, *, tell: Tell = lambda _: None) -> tuple[Path, Probes]:
    """Writes probes.json and scores.csv into `probes/` of the run's directory.

    Returns:
        The folder, and what was found.

    Raises:
        UserError: the run is not finished, its dataset is not at hand or has no masks, or there is no segmenter.
    """
    folder = request.run_dir / FOLDER
    refuse_foreign(folder, FOLDER, [PROBES, SCORES], alone=True, otherwise=OTHERWISE)
    run = read_runs([request.run_dir], request.data_dir)[0]
    classifiers = [open_run(member) for member in members_of(request.run_dir)]
    dataset = dataset_of(run)
    finder, outlines = _finder(request.masks, dataset)
    drawn = {split: _draw(dataset, split, request) for split in SPLITS if split in dataset.rows}
    tell(f"looking for artefacts in {sum(map(len, drawn.values())):,} images")
    of_test = list(_pairs(dataset, "test", drawn["test"], finder))
    pairs = {
        split: of_test if split == "test" else _pairs(dataset, split, rows, finder) for split, rows in drawn.items()
    }
    looked = {
        split: list(in_workers(seen_in, of_split, workers=cores(), name_of=lambda _: "an image"))
        for split, of_split in pairs.items()
    }
    images, masks = (np.stack(parts) for parts in zip(*of_test, strict=True))
    before = to_predictions([dataset.rows["test"][row] for row in drawn["test"]], _logits(classifiers, images))
    threshold = run.at[run.main]["threshold"] if run.main in run.at else None
    columns: dict[str, Sequence[object]] = {"image_id": before.image_id.tolist(), "label": before.label.tolist()}
    assert before.logit is not None
    columns["logit"] = before.logit.tolist()
    changes = []
    for name, change in CHANGES.items():
        changed = np.stack([change(image, mask) for image, mask in zip(images, masks, strict=True)])
        columns[f"logit, {name}"] = (logits := _logits(classifiers, changed)).tolist()
        changes.append(effect(name, before, logits, threshold))
        if name == FRAME_ALONE and FEWEST <= (within := within_frame(masks)).sum() < len(within):
            # Large lesions reach the edge, so that what is seen there may be lesion after all.
            name = f"{name}, where no lesion reaches them"
            changes.append(effect(name, before.select(within), logits[within], threshold))
        tell(f"{name}: AUROC {estimate_text(changes[-1].auroc)}")
    artefacts = []
    for kind in ARTEFACTS:
        artefacts.append(
            _artefact(kind, classifiers, dataset, drawn, looked, images, before, threshold, columns, request.seed)
        )
        tell(f"{ARTEFACTS[kind].name}: drawn in, AUROC {estimate_text(artefacts[-1].drawn_in.auroc)}")
    skin = _skin(dataset, drawn, looked, before, run, threshold)
    columns["skin_angle"] = [None if of.tone is None else round(of.tone.angle, 2) for of in looked["test"]]
    columns["skin_group"] = [UNKNOWN if of.tone is None else of.tone.group for of in looked["test"]]
    by_name = {each.name: each for each in changes}
    hidden, outline = (np.array(columns[f"logit, {name}"], np.float64) for name in (HIDDEN_LESION, OUTLINE))
    gain = cluster_auroc_difference(hidden, outline, before.label, before.groups)[0]
    as_they_are = effect("as they are", before, before.logit, threshold)
    found = Probes(
        schema=SCHEMA,
        classifier=classifier_digest(request.run_dir) or "",
        dataset=dataset.facts.name,
        split="test",
        masks=outlines,
        before=as_they_are,
        threshold=threshold,
        point=run.main,
        verdict=verdict(by_name[HIDDEN_LESION], by_name[OUTLINE], gain, as_they_are.auroc),
        changes=tuple(changes),
        artefacts=tuple(artefacts),
        skin=skin,
    )
    claim(folder, FOLDER, [PROBES, SCORES], alone=True, otherwise=OTHERWISE)
    write_rows(folder / SCORES, list(columns), zip(*columns.values(), strict=True))
    write_json(folder / PROBES, asdict(found))
    seal(folder, FOLDER)
    return folder, found


def _artefact(
    kind: str,
    classifiers: Sequence[Classifier],
    dataset: Dataset,
    drawn: Mapping[Split, Sequence[int]],
    looked: Mapping[Split, Sequence[Seen]],
    images: UInt8[np.ndarray, "n 224 224 3"],
    before: Predictions,
    threshold: float | None,
    columns: dict[str, Sequence[object]],
    seed: int,
) -> FoundArtefact:
    artefact = ARTEFACTS[kind]
    strengths = {split: np.array([of.strengths[kind] for of in found]) for split, found in looked.items()}
    shares = [_share(split, dataset, drawn[split], of, artefact.least) for split, of in strengths.items()]
    generators = (np.random.default_rng([seed, place]) for place in range(len(images)))
    with_it = np.stack([artefact.into(image, rng) for image, rng in zip(images, generators, strict=True)])
    logits = _logits(classifiers, with_it)
    columns[f"logit, {artefact.name} drawn in"] = logits.tolist()
    columns[f"strength, {artefact.name}"] = strengths["test"].tolist()
    taken_out = None
    have = strengths["test"] >= artefact.least
    if artefact.out is not None and have.sum() >= FEWEST:
        without = np.stack([artefact.out(image) for image in images[have]])
        taken_out = effect(f"{artefact.name} taken out", before.select(have), _logits(classifiers, without), threshold)
    drawn_in = effect(f"{artefact.name} drawn in", before, logits, threshold)
    return FoundArtefact(artefact.name, artefact.least, tuple(shares), drawn_in, taken_out)


def _share(
    split: Split, dataset: Dataset, rows: Sequence[int], strength: Float[np.ndarray, " n"], least: float
) -> Share:
    unscored = to_predictions([dataset.rows[split][row] for row in rows], np.zeros(len(rows), np.float32))
    return share(split, unscored, strength, strength >= least)


def _skin(
    dataset: Dataset,
    drawn: Mapping[Split, Sequence[int]],
    looked: Mapping[Split, Sequence[Seen]],
    before: Predictions,
    run: Run,
    threshold: float | None,
) -> SkinTones:
    tones = [of.tone for found in looked.values() for of in found]
    known = [tone for tone in tones if tone is not None]
    names = [name for _, name in GROUPS]
    groups = np.array([UNKNOWN if of.tone is None else of.tone.group for of in looked["test"]], np.str_)
    by_group = estimates_by_level(before, run.point(run.main) if threshold is not None else None, groups)
    order = {name: place for place, name in enumerate(names)}
    return SkinTones(
        known=len(known),
        images=len(tones),
        spread=float(np.median([tone.spread for tone in known])) if known else None,
        counts={
            str(split): {name: sum(of.tone is not None and of.tone.group == name for of in found) for name in names}
            for split, found in looked.items()
        },
        groups=tuple(sorted(by_group, key=lambda row: order.get(row["level"], len(order)))),
    )


def _logits(classifiers: Sequence[Classifier], images: UInt8[np.ndarray, "n 224 224 3"]) -> Float[np.ndarray, " n"]:
    parts = [images[start : start + AT_A_TIME] for start in range(0, len(images), AT_A_TIME)]
    bar = functools.partial(tqdm, desc="scoring", leave=False, disable=None)
    return mean_logits([np.concatenate([each.logits(part) for part in bar(parts)]) for each in classifiers])


def _pairs(
    dataset: Dataset, split: Split, rows: Sequence[int], finder: Preprocessor | None
) -> Iterator[tuple[UInt8[np.ndarray, "224 224 3"], Bool[np.ndarray, "224 224"]]]:
    """Images and where their lesions are: as the dataset has it, or as it is found."""
    for row in rows:
        record = dataset.splits[split][row]
        yield record["image"], record["mask"] if finder is None else finder.find(record["image"][None])[0]


def _finder(masks: str, dataset: Dataset) -> tuple[Preprocessor | None, str]:
    """What finds the lesions, None where the dataset has their masks; and where their outlines are from, in words."""
    given = bool(dataset.facts.masks)
    if masks == "given" and not given:
        raise UserError(
            f"--masks=given: the dataset {dataset.facts.name!r} has no masks; prepare it with --masks=FOLDER, or give "
            "--masks=kmeans or the directory of a segmenter"
        )
    if masks == "given" or (masks == "auto" and given):
        return None, "the dataset's own"
    if masks in ("auto", "kmeans"):
        return lesion_finder("kmeans"), "k-means of the image's colours"
    return lesion_finder(masks), "a trained segmenter"


def _draw(dataset: Dataset, split: Split, request: Request) -> list[int]:
    count = len(dataset.rows[split])
    if not request.images or request.images >= count:
        return list(range(count))
    return sorted(np.random.default_rng(request.seed).choice(count, request.images, replace=False).tolist())
