"""An audit as files: audit.json for programs, near_duplicates.csv and copies.csv for people and programs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mole_jax.audit.audit import Audit
from mole_jax.data.records import CLASSES
from mole_jax.files.csv_table import write_rows
from mole_jax.files.sums import claim, refuse_foreign, seal
from mole_jax.files.writing import write_text

AUDIT: Final = "audit"  # the kind of its files
FILES: Final = ("audit.json", "near_duplicates.csv", "copies.csv")
PAIR_COLUMNS = [
    f"{name}_{which}" for which in ("a", "b") for name in ("image_id", "split", "class", "lesion_id", "path")
]


def refuse_foreign_folder(out: Path) -> None:
    """Raises UserError where the files cannot go into a folder, or are there and no audit's; changes nothing."""
    refuse_foreign(out, AUDIT, FILES, otherwise="give another --out")


def write_files(found: Audit, out: Path) -> None:
    """Writes the three files into a folder, which is made if it is missing, over those of an earlier audit.

    Raises:
        UserError: as `refuse_foreign_folder`, or the folder cannot be written to.
    """
    claim(out, AUDIT, FILES, otherwise="give another --out")
    facts, pairs, copies = (out / name for name in FILES)
    write_text(facts, json.dumps(found.result, indent=1) + "\n")
    write_rows(pairs, [*PAIR_COLUMNS, "similarity", "difference", "copy"], _pairs(found))
    write_rows(copies, ["image_id", "split", "path", "group", "original"], _copies(found))
    seal(out, AUDIT)


def _pairs(found: Audit) -> Iterator[list[str]]:
    for pair in found.pairs:
        ends = [found.members[i] for i in (pair.query, pair.reference)]
        cells = [cell for m in ends for cell in (m.image_id, m.split or "", CLASSES[m.label], m.lesion_id, m.path)]
        yield [*cells, f"{pair.similarity:.4f}", f"{pair.difference:.3f}", str(int(pair.copy))]


def _copies(found: Audit) -> Iterator[list[str]]:
    for number, group in enumerate(found.copies):
        for i in group.images:
            member = found.members[i]
            yield [member.image_id, member.split or "", member.path, str(number), group.original]
