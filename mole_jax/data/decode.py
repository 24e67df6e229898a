"""Every candidate's pixels, decoded on all cores straight into rows of a scratch file, never through a pipe."""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from mole_jax.data.preprocess import IMAGE_SIZE, LoadedImage, UnusableImageError
from mole_jax.data.records import Example, Quarantined, Record

IMAGE_SHAPE: Final = (IMAGE_SIZE, IMAGE_SIZE, 3)
IMAGE_BYTES: Final = IMAGE_SIZE * IMAGE_SIZE * 3
# Below this many images, starting processes takes longer than decoding.
WORTH_A_POOL: Final = 100

Load = Callable[[Record], LoadedImage]
_Job = tuple[Load, Path, int, Record]


def decode(records: Sequence[Record], load: Load, scratch: Path, *, workers: int) -> list[Example | Quarantined]:
    """Decodes every record once.

    Args:
        records: what to decode.
        load: called with each record, in another process; must be picklable and its module light to import.
        scratch: file to write to; row i holds the pixels of record i, uint8 [224, 224, 3].
        workers: processes; the result does not depend on it.

    Returns:
        For each record the example, or why there is none.
    """
    scratch.write_bytes(b"")
    jobs: Iterable[_Job] = ((load, scratch, row, record) for row, record in enumerate(records))
    progress = functools.partial(tqdm, total=len(records), unit=" images", desc="decoding", disable=None)
    if workers == 1 or len(records) < WORTH_A_POOL:
        return list(progress(map(_decode_one, jobs)))
    # spawn: a fork would copy JAX's threads in a broken state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        try:
            return list(progress(pool.map(_decode_one, jobs, chunksize=16)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read_row(scratch: Path, row: int) -> UInt8[np.ndarray, "224 224 3"]:
    """The pixels of one row of the scratch file."""
    return np.fromfile(scratch, dtype=np.uint8, count=IMAGE_BYTES, offset=row * IMAGE_BYTES).reshape(IMAGE_SHAPE)


def _decode_one(job: _Job) -> Example | Quarantined:
    load, scratch, row, record = job
    try:
        loaded = load(record)
    except UnusableImageError as error:
        return Quarantined(record.source_path, str(error))
    with scratch.open("r+b") as file:
        file.seek(row * IMAGE_BYTES)
        file.write(loaded.image.tobytes())
    return Example.from_record(record, sha256=loaded.sha256, width=loaded.width, height=loaded.height, row=row)


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and dies with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"
    parent.join()
    os._exit(1)
