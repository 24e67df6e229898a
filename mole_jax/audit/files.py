"""An audit as files: audit.json for programs, near_duplicates.csv and copies.csv for people and programs."""

import json
from collections.abc import Iterator
from pathlib import Path

from mole_jax.audit.audit import Audit
from mole_jax.data.records import CLASSES
from mole_jax.errors import UserError
from mole_jax.files.csv_table import write_rows
from mole_jax.files.writing import write_text

PAIR_COLUMNS = [
    f"{name}_{which}" for which in ("a", "b") for name in ("image_id", "split", "class", "lesion_id", "path")
]


def write_files(found: Audit, out: Path) -> None:
    """Writes the three files into a folder, which is made if it is missing.

    Raises:
        UserError: the folder cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "audit.json", json.dumps(found.result, indent=1) + "\n")
        write_rows(out / "near_duplicates.csv", [*PAIR_COLUMNS, "similarity", "difference", "copy"], _pairs(found))
        write_rows(out / "copies.csv", ["image_id", "split", "path", "group", "original"], _copies(found))
    except OSError as error:
        raise UserError(f"cannot write to {str(out)!r}: {error.strerror}; give another --out") from error


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
