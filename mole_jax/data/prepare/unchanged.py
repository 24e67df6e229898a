"""Whether a source would be read today as it was when a dataset was made: rules change, and labels with them."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from mole_jax.data.facts import DatasetFacts
from mole_jax.data.image_file import UnusableImageError
from mole_jax.data.manifest import ManifestRow, printable, read_manifest
from mole_jax.data.prepare.decode import KILLS, Load
from mole_jax.data.records import CLASSES, Record
from mole_jax.data.source.listing import Listing


def what_changed(directory: Path, facts: DatasetFacts, listing: Listing, load: Load) -> str:
    """What today's rules make of the source that those of the dataset did not, in phrases; "" if nothing.

    Args:
        directory: of the prepared dataset.
        facts: its facts.
        listing: the same source as it is read today.
        load: reads the pixels of a record.
    """
    rows = {row.source_path: row for row in read_manifest(directory)}
    now = {printable(record.source_path): record for record in listing.records}
    differences: dict[str, list[str]] = defaultdict(list)
    for path in rows.keys() & now.keys():
        for noun, then, today in _compared(rows[path], now[path], lesions=not facts.by_looks):
            if then != today:
                differences[noun].append(f"{now[path].image_id}: {then or 'none'}, now {today or 'none'}")
    phrases = [
        f"{len(of_noun):,} of {len(rows):,} images have another {noun} (such as {min(of_noun)})"
        for noun, of_noun in differences.items()
    ]
    if gone := sorted(rows.keys() - now.keys()):
        why = {printable(item.source_path): item.reason for item in listing.quarantined}
        phrases.append(
            f"{len(gone):,} images are left out (such as {gone[0]}: {why.get(gone[0], 'not in the source')})"
        )
    if new := _images_now(directory, [record for path, record in now.items() if path not in rows], load):
        phrases.append(f"{len(new):,} files that were left out are images (such as {new[0]})")
    return "; ".join(phrases)


def _compared(row: ManifestRow, record: Record, *, lesions: bool) -> Iterator[tuple[str, str, str]]:
    """What is compared: its name, what it was, what it is."""
    yield "label", CLASSES[row.label], CLASSES[record.label]
    yield "id", row.augmented_from or row.image_id, record.image_id
    yield "patient", row.patient_id, record.patient_id
    if lesions:  # those that were told by their looks are not in the listing
        yield "lesion", row.lesion_id, record.lesion_id


def _images_now(directory: Path, records: Sequence[Record], load: Load) -> list[str]:
    """The paths of those that were quarantined then and are images today."""
    with (directory / "quarantine.csv").open(encoding="utf-8", newline="") as file:
        then = {row["source_path"]: row["reason"] for row in csv.DictReader(file)}
    found = []
    for record in records:
        path = printable(record.source_path)
        if path not in then or then[path] == KILLS:
            continue
        try:
            load(record)
        except UnusableImageError:
            continue
        found.append(path)
    return found
