"""The page of an audit: the verdict, what it rests on, and the worst pairs side by side."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mole_jax.report.files import write_page
from mole_jax.report.parts import Panel, Part, Row, Table, estimate_text
from mole_jax.report.photographs import jpeg
from mole_jax.report.render import render

Photograph = Callable[[int], UInt8[np.ndarray, "224 224 3"]]

GAP = 8  # pixels between the two pictures of a pair
ALONE = 8  # facts that are listed one by one
KINDS = {
    "image_id": "Same image id",
    "lesion": "Same lesion id",
    "patient": "Same patient id",
    "identical_file": "Same file, byte for byte",
    "identical_pixels": "Same 224x224 pixels",
    "near_duplicate": "Same lesion to look at (near duplicates)",
}
PROBES = {"file_facts": "File facts alone", "border": "Border pixels alone"}


def write_audit_page(result: Mapping[str, Any], out: Path, photograph: Photograph) -> Path:
    """Writes the page, and its numbers and pictures as files into `figures/` beside it.

    Args:
        result: audit.json.
        out: the HTML file.
        photograph: the picture with the index that a worst pair has.

    Returns:
        `out`.
    """
    sections = [
        ("pairs", "The worst pairs", [_pairs(result, photograph)]),
        ("duplicates", "Leaks and duplicates", [_duplicates(result), _siblings(result)]),
        ("shortcuts", "Can the class be told without the lesion?", [_shortcuts(result), _facts(result)]),
        ("copies", "Augmented copies", [_copies(result)]),
        ("balance", "What the splits are made of", [_splits(result), _classes(result)]),
    ]
    shortcuts = [name for kind, name in PROBES.items() if result["shortcuts"][kind]["shortcut"]]
    html = render("audit.html", title=f"Audit of {result['name']}", result=result, sections=sections, told=shortcuts)
    write_page(html, [part for _, _, parts in sections for part in parts], out)
    return out


def _pairs(result: Mapping[str, Any], photograph: Photograph) -> Part:
    pairs = result["worst_pairs"]
    title = "Pairs that show the same"
    if not pairs:
        return Part("worst-pairs", title, "", missing="No two images look alike, however they are turned.")
    across = sum(pair["across_splits"] for pair in pairs)
    caption = (
        f"{across} of these {len(pairs)} pairs lie across splits (leaks), the others within one (harmless). One pair "
        f"of each lesion; all {result['near_pairs']['all']:,} are in near_duplicates.csv. Similarity is how well the "
        "details correlate once one picture is laid over the other (1: fully); the difference is in grey levels of "
        "255. Traits whether it is the same lesion: the judgement is yours."
    )
    panels = [_panel(f"pair-{rank}", pair, photograph) for rank, pair in enumerate(pairs, 1)]
    numbers = {
        f"{key}_{end}": [pair[end][key] for pair in pairs]
        for end in ("a", "b")
        for key in ("image_id", "lesion_id", "split", "class", "path")
    }
    for key in ("similarity", "difference", "copy", "across_splits"):
        numbers[key] = [pair[key] for pair in pairs]
    return Part("worst-pairs", title, caption, panels, numbers=numbers)


def _panel(name: str, pair: Mapping[str, Any], photograph: Photograph) -> Panel:
    a, b = pair["a"], pair["b"]
    left, right = photograph(a["index"]), photograph(b["index"])
    both = np.concatenate([left, np.full((left.shape[0], GAP, 3), 255, np.uint8), right], axis=1)
    kind = "leak" if pair["across_splits"] else "harmless duplicate" if a["split"] else "duplicate"
    what = "copies of one photograph" if pair["copy"] else "two pictures of one lesion"
    ends = " / ".join(", ".join(filter(None, (end["image_id"], end["split"], end["class"]))) for end in (a, b))
    doubt = "; the labels contradict each other" if a["class"] != b["class"] else ""
    label = f"{ends}: {kind}, {what}{doubt}; similarity {pair['similarity']:.3f}, difference {pair['difference']:.1f}"
    return Panel(name, f"Two dermoscopic images side by side: {label}", jpeg(both), "jpeg", label, both.shape[1])


def _duplicates(result: Mapping[str, Any]) -> Part:
    rows = []
    for kind, name in KINDS.items():
        of_kind = result["duplicates"][kind]
        across = f"{of_kind['straddling_groups']:,}" if result["has_splits"] else "no splits"
        counts = [f"{of_kind[key]:,}" for key in ("groups", "images")]
        rows.append(Row([name, *counts, across, f"{of_kind['contradicting_groups']:,}"]))
    heads = ["What they share", "Groups", "Images", "Across splits (leaks)", "With both labels"]
    caption = (
        "A group across splits is a leak: training has seen what the model is judged by. A group within one split is "
        "harmless, but counts twice. A group with both labels means that at least one label is wrong."
    )
    counted = ("groups", "images", "straddling_groups", "straddling_images", "contradicting_groups")
    columns = {
        "kind": list(KINDS),
        **{key: [result["duplicates"][kind][key] for kind in KINDS] for key in counted},
    }
    return Part(
        "duplicates-table", "Groups of images that belong together", caption, table=Table(heads, rows), numbers=columns
    )


def _siblings(result: Mapping[str, Any]) -> Part:
    title = "Held-out images that training has seen"
    lines = [
        (f"{split.capitalize()}, {name}s", of_class)
        for split, of_split in result["siblings_in_training"].items()
        for name, of_class in of_split.items()
    ]
    if not lines:
        return Part("siblings", title, "", missing="There are no splits, so nothing is held out.")
    rows = [Row([name, f"{c['images']:,}", f"{c['with_sibling']:,}", f"{c['share']:.1%}"]) for name, c in lines]
    heads = ["Held out", "Images", "With a near duplicate in training", "Share"]
    caption = (
        "Judged by the pixels: the same photograph or lesion, turned, mirrored, shifted or zoomed, is in training."
    )
    numbers = {"held_out": [name for name, _ in lines], **_columns([of_class for _, of_class in lines])}
    return Part("siblings", title, caption, table=Table(heads, rows), numbers=numbers)


def _shortcuts(result: Mapping[str, Any]) -> Part:
    probes = [(name, result["shortcuts"][kind]) for kind, name in PROBES.items()]
    rows = [Row([name, estimate_text(probe["auroc"]), "yes" if probe["shortcut"] else "no"]) for name, probe in probes]
    caption = (
        "Gradient-boosted trees that never see the lesion, cross-validated with all images of a lesion on one side; "
        "the range is a 95% interval from resampling lesions. 0.5 is chance. Where the whole range lies above .55 it "
        "is called a shortcut. Border pixels may also tell because a large lesion reaches the edge: look."
    )
    if not result["from_files"]:
        caption += " A prepared dataset has kept names and sizes in pixels alone; --source=DIR looks at the files."
    numbers = {
        "from": [name for name, _ in probes],
        "auroc": [probe["auroc"]["value"] for _, probe in probes],
        "low": [probe["auroc"]["low"] for _, probe in probes],
        "high": [probe["auroc"]["high"] for _, probe in probes],
        "shortcut": [probe["shortcut"] for _, probe in probes],
    }
    heads = ["The class is told from", "AUROC", "Shortcut"]
    return Part("shortcuts-table", "Classifiers that see no lesion", caption, table=Table(heads, rows), numbers=numbers)


def _facts(result: Mapping[str, Any]) -> Part:
    title = "Each fact of the files alone"
    alone = result["shortcuts"]["file_facts"]["alone"]
    if not alone:
        return Part("facts", title, "", missing=f"Not tried: {result['shortcuts']['file_facts']['auroc']['reason']}.")
    rows = [Row([name, f"{value:.3f}"]) for name, value in list(alone.items())[:ALONE]]
    caption = "AUROC of the same classifier on one fact at a time; .5 is chance."
    numbers = {"fact": list(alone), "auroc": list(alone.values())}
    return Part("facts", title, caption, table=Table(["Fact", "AUROC"], rows), numbers=numbers)


def _copies(result: Mapping[str, Any]) -> Part:
    title = "Groups of copies of one photograph"
    copies, truth = result["copies"], result["against_manifest"]
    if not copies["groups"]:
        return Part("copies-table", title, "", missing="No image is a copy of another.")
    lines = {
        "Groups": f"{copies['groups']:,}",
        "Images in them": f"{copies['images']:,}",
        "Groups whose original is known": f"{copies['groups_with_original']:,}",
    }
    if truth is not None:
        lines["Pairs of siblings in the manifest"] = f"{truth['sibling_pairs']:,}"
        lines["Found by their pixels"] = f"{truth['found']:,} (recall {truth['recall']:.2%})"
        lines["Found beside them"] = f"{truth['wrong']:,} (precision {truth['precision']:.2%})"
        lines["Copies led back to their original"] = f"{truth['rightly']:,} (of {truth['copies']:,})"
    caption = "Found by laying images over each other; copies.csv lists every image with its group and its original."
    table = Table(["", ""], [Row([name, value]) for name, value in lines.items()])
    return Part("copies-table", title, caption, table=table, numbers=_columns([copies | (truth or {})]))


def _splits(result: Mapping[str, Any]) -> Part:
    splits = result["balance"]["splits"]
    rows = [
        Row(
            [
                name.capitalize(),
                f"{split['images']:,}",
                f"{split['lesions']:,}" if result["lesions_known"] else "unknown",
                f"{split['melanomas']:,} ({split['prevalence']:.1%})",
            ]
        )
        for name, split in splits.items()
    ]
    caption = result["balance"]["remark"] or "The share of melanomas is near HAM10000's."
    numbers = {"split": list(splits), **_columns(list(splits.values()))}
    return Part(
        "splits", "Splits", caption, table=Table(["Split", "Images", "Lesions", "Melanomas"], rows), numbers=numbers
    )


def _classes(result: Mapping[str, Any]) -> Part:
    classes = result["balance"]["classes"]
    rows, numbers = [], []
    for name, of_class in classes.items():
        sizes = ", ".join(f"{size} ({count:,})" for size, count in of_class["sizes"].items())
        colour, contrast = ("/".join(f"{x:.0f}" for x in of_class[key]) for key in ("mean_colour", "contrast"))
        rows.append(Row([f"{name.capitalize()}s", f"{of_class['images']:,}", colour, contrast, sizes]))
        numbers.append({"images": of_class["images"], "mean_colour": colour, "contrast": contrast, "sizes": sizes})
    heads = ["Class", "Images", "Mean red/green/blue", "Contrast", "Commonest sizes"]
    caption = "Colours of 0 to 255: means over the images of their mean and of their standard deviation."
    columns = {"class": list(classes), **_columns(numbers)}
    return Part("classes", "Sizes and colours", caption, table=Table(heads, rows), numbers=columns)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {key: [row[key] for row in rows] for key in rows[0]}
