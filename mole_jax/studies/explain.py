"""What a run's scores rest on, and whether the pictures of it can be believed: `explain/` in its directory."""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from mole_jax.classifier.classifier import Classifier
from mole_jax.classifier.preprocess import Preprocessor, lesion_finder
from mole_jax.classifier.storage import open_run
from mole_jax.data.dataset import Dataset, with_fewer
from mole_jax.data.source.synthetic import synthetic_mask
from mole_jax.errors import UserError
from mole_jax.evaluation.cross_fitting import cutoff
from mole_jax.explain.explained import Explained, explain_classifier
from mole_jax.explain.methods import METHODS, chosen
from mole_jax.explain.picture import overlaid, png
from mole_jax.explain.pointing import centre_hits
from mole_jax.explain.sanity import judge, set_up
from mole_jax.files.changes import remove_file
from mole_jax.files.sums import claim, claims, refuse_foreign, seal
from mole_jax.files.writing import open_binary_whole, write_json
from mole_jax.runs.explanation import (
    COMPONENTS,
    FOLDER,
    SALIENCY,
    SCHEMA,
    SIGNED,
    TITLES,
    MethodResult,
    Picture,
    Saliency,
)
from mole_jax.runs.members import classifier_digest, is_ensemble, members_of
from mole_jax.runs.read import Run, dataset_of, read_runs
from mole_jax.studies.components import find_components
from mole_jax.studies.shuffled_labels import trained_on_shuffled_labels
from mole_jax.training.preprocessed import as_seen

WHAT: Final = ("saliency", "pca")
FEWEST: Final = 4  # images of the tests: an interval over fewer says nothing
OTHERWISE: Final = "move it elsewhere"
SEED: Final = 0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is to be explained.

    Attributes:
        run_dir: of a finished run.
        what: some of WHAT.
        images: how many melanomas the tests use, and how many pictures are shown.
        methods: names of methods; none: all that the network allows.
        layer: that Grad-CAM reads; "": the last feature map.
        data_dir: where the run's dataset lies; None: where the run had it.
        shuffle_labels: whether the run is trained again on shuffled labels first, for that test.
        masks: the directory of a segmenter that outlines the lesions; None: as the dataset has them, if it does.
    """

    run_dir: Path
    what: Sequence[str] = WHAT
    images: int = 8
    methods: Sequence[str] = ()
    layer: str = ""
    data_dir: Path | None = None
    shuffle_labels: bool = False
    masks: Path | None = None


def explain_run(request: Request, *, tell: Tell = lambda _: None) -> Path:
    """Writes saliency.json and its pictures, and components.json, into `explain/` of the run's directory.

    Args:
        request: what is wanted.
        tell: called with a line for people, now and then.

    Returns:
        The folder.

    Raises:
        UserError: the run is not finished, its dataset is not at hand or has too few melanomas, or the network does not
            allow what was asked for, or there is no segmenter.
    """
    folder = request.run_dir / FOLDER
    refuse_foreign(folder, FOLDER, alone=True, otherwise=OTHERWISE)
    if is_ensemble(request.run_dir):
        one = members_of(request.run_dir)[0]
        raise UserError(f"{request.run_dir} is the ensemble of several runs; explain one of them, such as --run={one}")
    run = read_runs([request.run_dir], request.data_dir)[0]
    classifier = open_run(request.run_dir)
    learnt_from = with_fewer(dataset_of(run), classifier.config.examples, seed=classifier.config.seed)
    dataset = as_seen(learnt_from, classifier.preprocessor, tell=tell)
    if "saliency" in request.what:
        masks = request.masks
        finder = None if masks is None else lesion_finder(masks)
        explained = explain_classifier(classifier, layer=request.layer)
        names = chosen(explained, list(request.methods))
        tested = _tested(run, request)
        if request.shuffle_labels:
            tell("training on shuffled labels, as the run was trained")
        twin = trained_on_shuffled_labels(classifier, dataset) if request.shuffle_labels else None
        _write_saliency(folder, request, run, dataset, classifier, explained, names, tested, twin, finder, tell)
    if "pca" in request.what:
        found, pictures = find_components(classifier, dataset, classifier_digest(request.run_dir), tell=tell)
        claim(folder, FOLDER, [COMPONENTS, *pictures], alone=True, otherwise=OTHERWISE)
        for name, content in pictures.items():
            _write(folder / name, content)
        write_json(folder / COMPONENTS, asdict(found))
        seal(folder, FOLDER)
    return folder


def _write_saliency(
    folder: Path,
    request: Request,
    run: Run,
    dataset: Dataset,
    classifier: Classifier,
    explained: Explained,
    names: Sequence[str],
    tested: Sequence[int],
    twin: Classifier | None,
    finder: Preprocessor | None,
    tell: Tell,
) -> None:
    began = time.perf_counter()
    tell(f"{len(names)} method{'s are' if len(names) > 1 else ' is'} tested on {len(tested)} melanomas")
    masks, lesions = None, "The run sees its images preprocessed, and lesions are known in the images as they were."
    if classifier.preprocessor is None:
        masks, lesions = lesion_masks(dataset, [str(run.test.image_id[i]) for i in tested], finder)
    images = _images(run, dataset, tested)
    assert run.test.logit is not None, "a run writes its logits"
    explained.refuse_other_scores(explained.fed(images), run.test.logit[list(tested)])
    bench = set_up(
        explained,
        images,
        twin=None if twin is None else explain_classifier(twin, layer=request.layer),
        masks=masks,
    )
    results = []
    for name in tqdm(names, desc="methods", disable=None):
        result = judge(bench, name)
        results.append(result)
        verdict = f"FAILED, {'; '.join(result.reasons)}" if result.reasons else "passed"
        tell(f"{TITLES[name]} ({result.seconds:.1f} s an image): {verdict}")
    shown = shown_images(run, request.images)
    contents, pictures = _pictures(run, dataset, explained, results, shown)
    found = Saliency(
        schema=SCHEMA,
        classifier=classifier_digest(request.run_dir),
        dataset=dataset.facts.name,
        tested=tuple(str(run.test.image_id[i]) for i in tested),
        layer=explained.layer,
        views=classifier.config.views,
        steps=tuple(name for name, _ in bench.steps),
        random_deletion=tuple(bench.by_chance[0].mean(axis=0).tolist()),
        random_insertion=tuple(bench.by_chance[1].mean(axis=0).tolist()),
        lesion_area=None if masks is None else float(masks.mean()),
        centre=None if masks is None else centre_hits(masks),
        lesions=lesions,
        methods=tuple(results),
        pictures=tuple(pictures),
        seconds=time.perf_counter() - began,
        memory_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    )
    earlier = [name for name in claims(folder, FOLDER) if name.startswith("map-")]
    claim(folder, FOLDER, [SALIENCY, *contents], alone=True, otherwise=OTHERWISE)
    for name in earlier:
        remove_file(folder / name)
    for name, content in contents.items():
        _write(folder / name, content)
    write_json(folder / SALIENCY, asdict(found))
    seal(folder, FOLDER)


def shown_images(run: Run, many: int) -> list[tuple[str, int]]:
    """The melanomas that are shown, each with its kind and its row of the test predictions: half of them missed at the
    main threshold, the lowest scores first, half of them found, the highest first.
    """
    test, melanomas = run.test, np.flatnonzero(run.test.label == 1)
    threshold = run.at[run.main]["threshold"]
    called = test.score >= (0.5 if threshold is None else cutoff(run.point(run.main), test))
    order = melanomas[np.argsort(test.score[melanomas], kind="stable")]
    missed = [("missed", int(i)) for i in order if not called[i]]
    found = [("found", int(i)) for i in order[::-1] if called[i]]
    return [*missed[: many // 2], *found[: many - min(len(missed), many // 2)]]


def lesion_masks(
    dataset: Dataset, image_ids: Sequence[str], finder: Preprocessor | None = None
) -> tuple[Bool[np.ndarray, "n 224 224"] | None, str]:
    """Where the lesions are in some test images, as a segmenter finds them, the dataset has them, or they were drawn;
    None where that is not known. And a sentence that says which, or why not.
    """
    source, places = dataset.splits["test"], {row.image_id: i for i, row in enumerate(dataset.rows["test"])}
    if finder is not None:
        images = np.stack([source[places[name]]["image"] for name in image_ids])
        return finder.find(images), "A trained segmenter outlines the lesions."
    if "mask" in source[0]:
        return np.stack([source[places[name]]["mask"] for name in image_ids]), "The dataset outlines the lesions."
    if dataset.facts.layout != "synthetic":
        return None, f"The lesions of {dataset.facts.name} are not outlined."
    labels = {row.image_id: row.label for row in dataset.rows["test"]}
    drawn = np.stack([synthetic_mask(dataset.facts.seed, name, labels[name]) for name in image_ids])
    return drawn, "The lesions are where they were drawn."


def _tested(run: Run, request: Request) -> list[int]:
    """Rows of melanomas of the test split drawn at random, one a lesion: neither the best nor the worst of them."""
    melanomas = np.random.default_rng(SEED).permutation(np.flatnonzero(run.test.label == 1))
    _, first = np.unique(run.test.group[melanomas], return_index=True)
    tested = melanomas[np.sort(first)][: request.images]
    if len(tested) < FEWEST:
        raise UserError(
            f"the test split of {request.run_dir} has melanomas of only {len(tested)} lesions, and the tests of maps "
            f"need {FEWEST}: explain a run on a larger dataset, or give --what=pca"
        )
    return [int(i) for i in tested]


def _images(run: Run, dataset: Dataset, rows: Sequence[int]) -> UInt8[np.ndarray, "n 224 224 3"]:
    records = [run.images.test_rows[str(run.test.image_id[i])] for i in rows]
    return np.stack([dataset.splits["test"][record]["image"] for record in records])


def _pictures(
    run: Run,
    dataset: Dataset,
    explained: Explained,
    results: Sequence[MethodResult],
    shown: Sequence[tuple[str, int]],
) -> tuple[dict[str, bytes], list[Picture]]:
    """The contents of the files of pictures by name, and what is on them."""
    images = _images(run, dataset, [row for _, row in shown])
    fed = explained.fed(images)
    contents, names = {}, [f"map-{place}-{kind}" for place, (kind, _) in enumerate(shown, 1)]
    for name, image in zip(names, images, strict=True):
        contents[f"{name}.png"] = png(image)
    for result in results:
        maps = METHODS[result.method].maps(explained, fed)
        for name, image, saliency in zip(names, images, maps, strict=True):
            picture = overlaid(image, saliency, signed=result.method in SIGNED, failed=bool(result.reasons))
            contents[f"{name}-{result.method}.png"] = png(picture)
    pictures = [
        Picture(
            image_id=str(run.test.image_id[row]),
            kind=kind,
            score=float(run.test.score[row]),
            photograph=f"{name}.png",
            maps={result.method: f"{name}-{result.method}.png" for result in results},
        )
        for name, (kind, row) in zip(names, shown, strict=True)
    ]
    return contents, pictures


def _write(path: Path, content: bytes) -> None:
    with open_binary_whole(path) as file:
        file.write(content)
