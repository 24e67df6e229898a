"""What a source offers: its layout recognised, every file either a candidate or quarantined."""

import dataclasses
import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mole_jax.data.image_file import LoadedImage, UnusableImageError
from mole_jax.data.records import Quarantined, Record
from mole_jax.data.source.candidates import Candidates
from mole_jax.data.source.choices import NO_CHOICES, Choices
from mole_jax.data.source.layouts import LAYOUTS, NEEDS, content_of_tables, recognise
from mole_jax.data.source.npz import ENDING, load_from_npz
from mole_jax.data.source.photographs import load_photograph
from mole_jax.data.source.refusal import refusal
from mole_jax.data.source.same_lesions import join_known
from mole_jax.data.source.tree import Tree, list_tree, tree_root
from mole_jax.errors import UserError
from mole_jax.vocabulary.identity import path_id


@dataclass(frozen=True)
class Listing:
    """What a source offers, before its pixels are looked at.

    Attributes:
        layout: a key of LAYOUTS.
        records: the candidates, each with an image_id of its own, in the order of their paths.
        quarantined: the files that are not candidates, each with its reason.
        without_image: the rows of the metadata table that have no image.
        files: how many files and links the source holds, metadata tables left out: len(records) + len(quarantined).
        fingerprint: SHA-256 over paths, sizes, the metadata tables and the user's choices, in hex. Files that were
            edited in place without a change of size are not noticed.
        notes: what people should know of how the source was read, each a sentence.
        grouped: whether the source names the lesion or the patient of at least one image.
        leak: why scores on any split of these images would flatter, in one phrase; "" if that is not known.
    """

    layout: str
    records: tuple[Record, ...]
    quarantined: tuple[Quarantined, ...]
    without_image: tuple[Quarantined, ...]
    files: int
    fingerprint: str
    notes: tuple[str, ...] = ()
    grouped: bool = False
    leak: str = ""


def list_source(source: Path, layout: str = "auto", choices: Choices = NO_CHOICES) -> Listing:
    """Lists a source folder.

    Args:
        source: the folder that the images were unpacked into, or an .npz archive.
        layout: a key of LAYOUTS, or "auto" to recognise it.
        choices: what the user says of the source.

    Raises:
        UserError: no such folder, nothing in it, not of this layout, or its metadata table is broken or ambiguous
            or holds diagnoses of which neither the vocabulary nor the user says what they are.
    """
    layout, tree, candidates = list_candidates(source, layout, choices)
    records, duplicates = _unique(candidates, tree.root)
    files = len(tree.files) + len(tree.quarantined) - len(candidates.tables) + candidates.inside
    quarantined = (*tree.quarantined, *candidates.quarantined, *duplicates)
    assert files == len(records) + len(quarantined), "every file is a candidate or quarantined"
    joined, note = join_known(records)
    return Listing(
        layout,
        joined,
        quarantined,
        tuple(candidates.without_image),
        files,
        _fingerprint(tree, candidates.tables, choices),
        (*candidates.notes, *filter(None, [note])),
        grouped=any(record.patient_id or record.lesion_id != record.image_id for record in records),
        leak=candidates.leak,
    )


def loader(source: Path) -> Callable[[Record], LoadedImage]:
    """What reads the pixels of a source's records; it can be sent to another process.

    It raises `UnusableImageError` where a file is no photograph.
    """
    return functools.partial(_load, tree_root(source))


def _load(root: Path, record: Record) -> LoadedImage:
    if f"{ENDING}/" in record.source_path.lower() and (root / record.source_path.rsplit("/", 2)[0]).is_file():
        return load_from_npz(root, record)
    return load_photograph(root / record.source_path)


def list_candidates(source: Path, layout: str = "auto", choices: Choices = NO_CHOICES) -> tuple[str, Tree, Candidates]:
    """Lists a source folder as it is: of files that share an image_id, all stay among the candidates.

    Args:
        source: the folder that the images were unpacked into, or an .npz archive.
        layout: a key of LAYOUTS, or "auto" to recognise it.
        choices: what the user says of the source.

    Returns:
        The layout's name, the files, and what the layout makes of them.

    Raises:
        UserError: as `list_source`.
    """
    tree = list_tree(source, follow_links=choices.follow_links)
    found = recognise(tree, choices)
    if layout == "auto":
        if not found:
            raise UserError(f"source {str(source)!r} has no known layout: {refusal(tree, choices)}")
        layout = found[0]
    elif layout not in found:
        seen = f"it looks like {found[0]}" if found else "it has no known layout"
        raise UserError(f"source {str(source)!r} does not have the layout {layout} ({NEEDS[layout]}); {seen}")
    return layout, tree, LAYOUTS[layout](tree, choices)


def _unique(candidates: Candidates, root: Path) -> tuple[tuple[Record, ...], list[Quarantined]]:
    """Keeps the first file of an image_id; none where its files are of both classes, since either may be right.

    Of files that share an id, only images count: notes, or half a download, beside an image are no reason to lose it.
    Without a table that says otherwise, files of one name in different folders are different images, unless they are
    the same byte for byte; they are then called by their paths.
    """
    faults = _faults([record for of_id in _by_id(candidates.records) if len(of_id) > 1 for record in of_id], root)
    records = candidates.records
    if not candidates.one_image_an_id:
        records = _told_apart(records, root, faults)
    by_id = {of_id[0].image_id: of_id for of_id in _by_id(records)}
    kept, quarantined = [], []
    for record in records:
        usable = [other for other in by_id[record.image_id] if other.source_path not in faults]
        if fault := faults.get(record.source_path):
            quarantined.append(Quarantined(record.source_path, fault))
        elif any(other.label != usable[0].label for other in usable):
            quarantined.append(Quarantined(record.source_path, f"image_id {record.image_id} lies in both classes"))
        elif record is not usable[0]:
            quarantined.append(
                Quarantined(record.source_path, f"image_id {record.image_id} is taken by {usable[0].source_path}")
            )
        else:
            kept.append(record)
    return tuple(kept), quarantined


def _by_id(records: list[Record]) -> list[list[Record]]:
    by_id = defaultdict(list)
    for record in records:
        by_id[record.image_id].append(record)
    return list(by_id.values())


def _told_apart(records: list[Record], root: Path, faults: Mapping[str, str]) -> list[Record]:
    """The same records; images that share a name with another in another folder are called by their paths."""
    apart: set[str] = set()
    for of_id in _by_id([record for record in records if record.source_path not in faults]):
        folders = {PurePosixPath(record.source_path).parent for record in of_id}
        if len(folders) > 1 and len({_digest(root / record.source_path) for record in of_id}) > 1:
            apart.update(record.source_path for record in of_id)
    if not apart:
        return records
    seen = dict[str, str]()  # digest -> the name of the first file of these bytes
    result = []
    for record in records:
        if record.source_path not in apart:
            result.append(record)
            continue
        name = seen.setdefault(f"{record.image_id}/{_digest(root / record.source_path)}", path_id(record.source_path))
        lesion = name if record.lesion_id == record.image_id else record.lesion_id
        result.append(dataclasses.replace(record, image_id=name, lesion_id=lesion))
    return result


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return str(path)  # said when it is decoded


def _faults(records: list[Record], root: Path) -> dict[str, str]:
    """For each file that is not a usable image, by source_path, the reason why."""
    faults = {}
    for record in records:
        try:
            load_photograph(root / record.source_path)
        except UnusableImageError as error:
            faults[record.source_path] = str(error)
    return faults


def _fingerprint(tree: Tree, tables: tuple[str, ...], choices: Choices) -> str:
    digest = hashlib.sha256()
    for path in sorted(tree.sizes, key=os.fsencode):  # also those that are left out by rule
        digest.update(os.fsencode(path) + b"\0%d\0" % tree.sizes[path])
    for content in content_of_tables(tree, tables, choices):
        digest.update(content)
    if choices != NO_CHOICES:
        digest.update(repr(choices).encode())
    return digest.hexdigest()
