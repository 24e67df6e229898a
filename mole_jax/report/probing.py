"""The chapter about what a run's scores rest on: images changed, artefacts, skin tones."""

from collections.abc import Sequence
from typing import Any

from mole_jax.evaluation.probing import Effect
from mole_jax.report.figures.roc_figure import point_name
from mole_jax.report.parts import Part, Row, Table, estimate_columns, estimate_text, interval_text
from mole_jax.runs.probing import FoundArtefact, Probes, SkinTones, read_probes
from mole_jax.runs.read import Run

HEADS = (
    "",
    "AUROC",
    "change",
    "sensitivity",
    "specificity",
    "called otherwise",
    "logit, typical change",
)
CHANGES_CAPTION = (
    "The test images, changed, scored again; thresholds stay. A change that no eye minds (colours, a frame) and that "
    "moves many calls shows what the run is sensitive to. It has seen no black areas in training, so that a lower "
    "AUROC has two causes. What is left without the lesion has two as well: the skin, and the outline of what is "
    "hidden, whose size and shape are the lesion's; the outline is scored alone, black on grey. Outlines of lesions: "
    "{masks}."
)
ARTEFACTS_CAPTION = (
    "How many images have each, by class: an artefact that melanomas have more often is a shortcut that a network may "
    "learn. Found by simple detectors, which miss some and see some that are none (RESULTS.md says how many); that of "
    "bubbles is poor, and what it counts means little. The last column is the AUROC of the detector's strength alone "
    "on the test images: .5 is none."
)
DRAWN_CAPTION = (
    "The same test images with an artefact drawn into each of them, or taken out of those that have it. A run that "
    "looks at lesions alone does not change its mind."
)
SKIN_CAPTION = (
    "The individual typology angle of the skin beside the lesion, in the groups of Del Bino and Bernerd. It is of the "
    "photograph, not of the person: light, polarisation and white balance are in it, one image in seven changes its "
    "group under light that differs by a tenth, and reddened skin looks lighter or darker than it is. What can be said "
    "is whether the run does worse on images that show dark skin, and how few there are."
)


def probing_parts(runs: Sequence[Run]) -> list[Part]:
    """The parts of each run that was probed; none where none was."""
    return [part for run in runs if (found := read_probes(run.path)) for part in _parts(run, found)]


def _parts(run: Run, found: Probes) -> list[Part]:
    return [_changes(run, found), _common(run, found), _drawn(run, found), _skin(run, found)]


def _changes(run: Run, found: Probes) -> Part:
    of = found.before
    as_they_are = Row([of.name, estimate_text(of.auroc), "", _share(of.sensitivity), _share(of.specificity), "", ""])
    return Part(
        f"changes-{run.key}",
        f"Images changed: {run.name}",
        CHANGES_CAPTION.format(masks=found.masks) + _threshold(found),
        table=Table(HEADS, [as_they_are, *map(_row, found.changes)]),
        numbers=_numbers([found.before, *found.changes]),
        lead=found.verdict,
    )


def _common(run: Run, found: Probes) -> Part:
    splits = [share.split for share in found.artefacts[0].shares]
    heads = ["", *(f"{split}: {of}" for split in splits for of in ("melanomas", "others")), "AUROC of its strength"]
    rows = [
        Row(
            [
                artefact.name,
                *(_share(each) for share in artefact.shares for each in (share.melanomas, share.others)),
                estimate_text(_of_test(artefact).auroc),
            ]
        )
        for artefact in found.artefacts
    ]
    numbers: dict[str, list[Any]] = {"artefact": [artefact.name for artefact in found.artefacts]}
    for place, split in enumerate(splits):
        shares = [artefact.shares[place] for artefact in found.artefacts]
        numbers |= estimate_columns(f"{split}_melanomas", [share.melanomas for share in shares])
        numbers |= estimate_columns(f"{split}_others", [share.others for share in shares])
    return Part(
        f"artefacts-{run.key}",
        f"Who has artefacts: {run.name}",
        ARTEFACTS_CAPTION,
        table=Table(heads, rows),
        numbers=numbers,
    )


def _drawn(run: Run, found: Probes) -> Part:
    effects = [each for of in found.artefacts for each in (of.drawn_in, of.taken_out) if each is not None]
    return Part(
        f"drawn-{run.key}",
        f"Artefacts drawn in and taken out: {run.name}",
        DRAWN_CAPTION + _threshold(found),
        table=Table(HEADS, [_row(each) for each in effects]),
        numbers=_numbers(effects),
    )


def _skin(run: Run, found: Probes) -> Part:
    skin = found.skin
    rows = [
        Row(
            [
                group["level"],
                f"{group['images']:,}",
                f"{group['positives']:,}",
                *(estimate_text(group[key]) for key in ("auroc", "sensitivity", "specificity")),
            ]
        )
        for group in skin.groups
    ]
    return Part(
        f"skin-{run.key}",
        f"By the tone of the skin: {run.name}",
        SKIN_CAPTION + _threshold(found),
        table=Table(["", "test images", "melanomas", "AUROC", "sensitivity", "specificity"], rows),
        numbers={
            "group": [group["level"] for group in skin.groups],
            "images": [group["images"] for group in skin.groups],
            **{
                name: of
                for key in ("auroc", "sensitivity", "specificity")
                for name, of in estimate_columns(key, [group[key] for group in skin.groups]).items()
            },
        },
        lead=_lead(skin),
    )


def _lead(skin: SkinTones) -> str:
    if skin.spread is None:
        return f"None of the {skin.images:,} images shows enough skin around its lesion."
    seen = ", ".join(
        f"{name} {sum(of[name] for of in skin.counts.values()):,}" for name in next(iter(skin.counts.values()))
    )
    return (
        f"{skin.known:,} of {skin.images:,} images show enough skin: {seen}. An image's angle is known within "
        f"{skin.spread:.1f} degrees (median standard error over its skin)."
    )


def _row(of: Effect) -> Row:
    shares = (of.sensitivity, of.specificity, of.called_otherwise)
    return Row(
        [of.name, estimate_text(of.auroc), estimate_text(of.difference), *map(_share, shares), f"{of.typical:.2f}"]
    )


def _share(estimate: Any) -> str:
    return "–" if estimate is None else interval_text(estimate)


def _numbers(effects: Sequence[Effect]) -> dict[str, list[Any]]:
    return {
        "change": [of.name for of in effects],
        "images": [of.images for of in effects],
        **estimate_columns("auroc", [of.auroc for of in effects]),
        **estimate_columns("difference", [of.difference for of in effects]),
        **estimate_columns("sensitivity", [of.sensitivity for of in effects]),
        **estimate_columns("specificity", [of.specificity for of in effects]),
        **estimate_columns("called_otherwise", [of.called_otherwise for of in effects]),
        "melanomas_logit_change": [of.melanomas for of in effects],
        "others_logit_change": [of.others for of in effects],
        "typical_logit_change": [of.typical for of in effects],
    }


def _of_test(artefact: FoundArtefact) -> Any:
    return next(share for share in artefact.shares if share.split == "test")


def _threshold(found: Probes) -> str:
    if found.threshold is None:
        return " There is no threshold, hence no calls."
    return f" Calls are those at the threshold for {point_name(found.point)}."
