"""audit.json for the terminal: the verdict first, then what it rests on."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mole_jax.evaluation.table import format_estimate

WIDTH: Final = 108
KINDS: Final = {
    "image_id": "same image id",
    "lesion": "same lesion id",
    "patient": "same patient id",
    "identical_file": "same bytes",
    "identical_pixels": "same pixels",
    "near_duplicate": "same to look at",
}
PROBES: Final = {"file_facts": "file facts alone", "border": "border pixels alone"}


def format_audit(result: Mapping[str, Any]) -> str:
    """Lays out an audit, at most `WIDTH` characters wide."""
    blocks = [_verdict(result), _splits(result), _groups(result), _seen(result), _shortcuts(result), _copies(result)]
    return "\n\n".join("\n".join(lines) for lines in map(list, blocks) if lines)


def _verdict(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"{result['name']}: {result['images']:,} images"
    if result["unreadable"]:
        path, reason = next(iter(result["unreadable"].items()))
        yield from _wrap("note: ", f"{len(result['unreadable']):,} could not be read, such as {path}: {reason}")
    if not result["has_splits"]:
        yield from _wrap("note: ", "there are no splits, so nothing can leak yet; duplicates and shortcuts below")
    elif not result["leaks"]:
        yield "no leak found between the splits"
    for leak in result["leaks"]:
        yield from _wrap("!!! LEAK: ", leak["sentence"])
    for kind, probe in result["shortcuts"].items():
        if probe["shortcut"]:
            text = f"{PROBES[kind]} tell the class with AUROC {probe['auroc']['value']:.3f}{_why(kind, probe)}"
            yield from _wrap("!!! SHORTCUT: ", text)
    contradicting = [
        f"{of_kind['contradicting_groups']:,} with the {KINDS[kind]}"
        for kind, of_kind in result["duplicates"].items()
        if of_kind["contradicting_groups"]
    ]
    if contradicting:
        yield from _wrap("!!! CONTRADICTION: ", f"groups of images with both labels: {', '.join(contradicting)}")
    if result["balance"]["remark"]:
        yield from _wrap("note: ", result["balance"]["remark"])


def _why(kind: str, probe: Mapping[str, Any]) -> str:
    if kind == "border":
        return (
            ", without the lesion: its surroundings, a dark rim, a trace of augmentation, or a lesion that is cut off"
        )
    best = [f"{name} {value:.3f}" for name, value in list(probe["alone"].items())[:3]]
    return f" (alone: {', '.join(best)})"


def _splits(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _head("", "images", "melanomas", "share", "lesions")
    for name, split in result["balance"]["splits"].items():
        lesions = f"{split['lesions']:,}" if result["lesions_known"] else "unknown"
        yield _row(name, f"{split['images']:,}", f"{split['melanomas']:,}", f"{split['prevalence']:.1%}", lesions)
    for name, of_class in result["balance"]["classes"].items():
        sizes = ", ".join(f"{size} ({count:,})" for size, count in of_class["sizes"].items())
        colour = "/".join(f"{value:.0f}" for value in of_class["mean_colour"])
        contrast = "/".join(f"{value:.0f}" for value in of_class["contrast"])
        yield from _wrap(f"{name}s: ", f"red/green/blue {colour}, contrast {contrast}; {sizes}")


def _groups(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _head("duplicates", "groups", "images", "across splits", "both labels")
    for kind, name in KINDS.items():
        of_kind = result["duplicates"][kind]
        across = f"{of_kind['straddling_groups']:,}" if result["has_splits"] else "–"
        yield _row(
            name, f"{of_kind['groups']:,}", f"{of_kind['images']:,}", across, f"{of_kind['contradicting_groups']:,}"
        )
    pairs = result["near_pairs"]
    text = (
        f"Laid over each other, {pairs['all']:,} pairs agree, {pairs['copies']:,} of them as copies of one photograph. "
        "A duplicate within one split is harmless, but counts twice."
    )
    yield from _wrap("", text)
    if pairs["other_lesion_across_splits"] and result["lesions_known"]:
        count = pairs["other_lesion_across_splits"]
        yield from _wrap("note: ", f"{count:,} of the pairs across splits have different lesion ids: look at each")


def _seen(result: Mapping[str, Any]) -> Iterator[str]:
    if not result["siblings_in_training"]:
        return
    yield from _head("seen in training", "images", "with sibling", "share")
    for split, of_split in result["siblings_in_training"].items():
        for name, of_class in of_split.items():
            seen = f"{of_class['with_sibling']:,}"
            yield _row(f"{split}, {name}s", f"{of_class['images']:,}", seen, f"{of_class['share']:.1%}")


def _shortcuts(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _head("class told from", "AUROC", "95 % interval", "shortcut")
    for kind, name in PROBES.items():
        probe = result["shortcuts"][kind]
        yield _row(name, *format_estimate(probe["auroc"]), "yes" if probe["shortcut"] else "no")
        if probe["auroc"]["value"] is None:
            yield from _wrap("  ", probe["auroc"]["reason"])
    if not result["from_files"]:
        yield from _wrap(
            "", "File facts of a prepared dataset are names and sizes in pixels; --source=DIR looks at the files."
        )


def _copies(result: Mapping[str, Any]) -> Iterator[str]:
    copies, truth = result["copies"], result["against_manifest"]
    if copies["groups"]:
        yield from _wrap(
            "",
            f"Copies: {copies['images']:,} images in {copies['groups']:,} groups, each from one photograph; in "
            f"{copies['groups_with_original']:,} of them the original is known.",
        )
    if truth is not None:
        text = (
            f"Against the manifest: {truth['found']:,} of {truth['sibling_pairs']:,} pairs of siblings found (recall "
            f"{_share(truth['recall'])}), {truth['wrong']:,} wrong (precision {_share(truth['precision'])}); "
            f"{truth['rightly']:,} of {truth['copies']:,} copies led back to their original, "
            f"{truth['named'] - truth['rightly']:,} to another."
        )
        yield from _wrap("", text)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield "─" * len(_row(*names))


def _row(first: str, *cells: str) -> str:
    return f"{first:<24}" + "".join(f"{cell:>16}" for cell in cells)


def _wrap(prefix: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=prefix, subsequent_indent=" " * len(prefix), break_long_words=False
    )
