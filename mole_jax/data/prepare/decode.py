"""Every candidate's pixels, decoded on all cores straight into rows of a scratch file, never through a pipe."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from mole_jax.data.image_file import LoadedImage, UnusableImageError
from mole_jax.data.prepare.scratch import masks_beside, write_mask, write_row
from mole_jax.data.records import Example, Quarantined, Record
from mole_jax.workers import map_in_workers

# Why a file is quarantined of which the decoder dies, and its process with it.
KILLS: Final = "kills the process that decodes it"
Load = Callable[[Record], LoadedImage]
_Job = tuple[Load, Path, int, Record]


def decode_all(
    records: Sequence[Record], load: Load, scratch: Path, *, workers: int, reads_files: bool = True
) -> list[Example | Quarantined]:
    """Decodes every record once.

    Args:
        records: the records to decode.
        load: called with each record, in another process; must be picklable and its module light to import.
        scratch: file to write to; row i holds the pixels of record i, uint8 [224, 224, 3]. Where records have masks,
            row i of the file beside it holds that of record i.
        workers: number of processes; the result does not depend on it.
        reads_files: whether `load` decodes files from elsewhere. They are then never decoded in this process, since a
            damaged file may crash the decoder.

    Returns:
        For each record the example, or why there is none.
    """
    scratch.write_bytes(b"")
    if any(record.mask_path for record in records):
        masks_beside(scratch).write_bytes(b"")
    jobs: Iterable[_Job] = ((load, scratch, row, record) for row, record in enumerate(records))
    return map_in_workers(
        _decode_one,
        jobs,
        total=len(records),
        workers=workers,
        desc="decoding",
        name_of=_source_path,
        died=_died if reads_files else None,
    )


def _died(job: _Job) -> Quarantined:
    return Quarantined(job[3].source_path, KILLS)


def _source_path(job: _Job) -> str:
    return job[3].source_path


def _decode_one(job: _Job) -> Example | Quarantined:
    load, scratch, row, record = job
    try:
        loaded = load(record)
    except UnusableImageError as error:
        return Quarantined(record.source_path, str(error))
    write_row(scratch, row, loaded.image)
    if loaded.mask is not None:
        write_mask(masks_beside(scratch), row, loaded.mask)
    return Example.from_record(record, sha256=loaded.sha256, width=loaded.width, height=loaded.height, row=row)
