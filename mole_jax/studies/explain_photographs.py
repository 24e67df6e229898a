"""Maps of new photographs: one sheet each, on which every method stands with its verdict for this run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mole_jax.classifier.classifier import Classifier
from mole_jax.data.image_file import load_image
from mole_jax.explain.explained import explain_classifier
from mole_jax.explain.methods import METHODS, offered
from mole_jax.explain.picture import overlaid, sheet
from mole_jax.files.sums import claim, refuse_foreign, seal
from mole_jax.files.writing import open_binary_whole
from mole_jax.runs.explanation import SIGNED, TITLES, Saliency, read_saliency
from mole_jax.runs.read import keys_of

SHEETS: Final = "sheets"  # the kind of the folder's files
OTHERWISE: Final = "give another --explain"
AT_A_TIME: Final = 4  # photographs
FAILED: Final = "FAILED its tests for this run"


def refuse_foreign_sheets(folder: Path) -> None:
    """Raises UserError where sheets cannot go into a folder: it holds what is not ours, or is a file."""
    refuse_foreign(folder, SHEETS, alone=True, otherwise=OTHERWISE)


def explain_photographs(
    classifier: Classifier,
    run_dir: Path,
    photographs: Mapping[Path, str],
    folder: Path,
    *,
    notes: Sequence[str] = (),
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Writes a sheet for each photograph: itself as the network sees it, and its map by each method that the run was
    tested with, crossed out where the method failed; by every method, marked as not tested, where it was not.

    Args:
        classifier: of the run.
        run_dir: of the run, where `studies.explain` left what it found.
        photographs: files that can be scored -> what is said of each in its sheet's title.
        folder: where the sheets go.
        notes: lines below the pictures.
        on_progress: told how many photographs more are done.

    Returns:
        The sheets, in the order of the photographs.

    Raises:
        UserError: the folder holds what is not ours, or the run cannot be explained.
    """
    refuse_foreign_sheets(folder)
    tested = read_saliency(run_dir)
    explained = explain_classifier(classifier, layer=tested.layer if tested else "")
    verdicts = _verdicts(tested) or dict.fromkeys(offered(explained), "not tested for this run")
    names = [f"{key}.png" for key in keys_of([path.stem for path in photographs])]
    claim(folder, SHEETS, names, alone=True, otherwise=OTHERWISE)
    paths = list(photographs)
    for start in range(0, len(paths), AT_A_TIME):
        some = paths[start : start + AT_A_TIME]
        photographed = np.stack([load_image(path).image for path in some])
        images = classifier.seen(photographed)
        fed = explained.fed(images)
        explained.refuse_other_scores(fed, classifier.logits(photographed))
        maps = {method: METHODS[method].maps(explained, fed) for method in verdicts}
        for place, (path, image) in enumerate(zip(some, images, strict=True)):
            panels = {"the photograph\nas the network sees it": image} | {
                f"{TITLES[method]}\n{verdict}": overlaid(
                    image, maps[method][place], signed=method in SIGNED, failed=verdict == FAILED
                )
                for method, verdict in verdicts.items()
            }
            with open_binary_whole(folder / names[start + place]) as file:
                file.write(sheet(f"{path.name}: {photographs[path]}", panels, [*_legend(verdicts), *notes]))
        on_progress(len(some))
    seal(folder, SHEETS)
    return [folder / name for name in names]


def _verdicts(tested: Saliency | None) -> dict[str, str]:
    if tested is None:
        return {}
    return {each.method: FAILED if each.reasons else "passed its tests for this run" for each in tested.methods}


def _legend(methods: Mapping[str, str]) -> list[str]:
    signed = ", ".join(TITLES[method] for method in methods if method in SIGNED)
    plain = ", ".join(TITLES[method] for method in methods if method not in SIGNED)
    lines = [f"{plain}: black nothing, yellow most."] if plain else []
    lines += [f"{signed}: red speaks for melanoma, blue against it."] if signed else []
    return [*lines, "A map shows what a score hangs on, never whether it is right."]
