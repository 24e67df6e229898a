"""Work on many images in several processes, with a progress bar, in order."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Final, TypeVar

from tqdm import tqdm

# Below this many images, starting processes takes longer than the work.
WORTH_A_POOL: Final = 100

Job = TypeVar("Job")
Result = TypeVar("Result")


def map_in_workers(
    function: Callable[[Job], Result], jobs: Iterable[Job], *, total: int, workers: int, desc: str
) -> list[Result]:
    """`function` of every job, in the order of the jobs.

    Args:
        function: called in another process; must be picklable and its module light to import.
        jobs: what to call it with, picklable.
        total: how many.
        workers: processes; 1 for this one.
        desc: of the progress bar.
    """
    if workers == 1 or total < WORTH_A_POOL:
        return list(tqdm(map(function, jobs), total=total, unit=" images", desc=desc, disable=None))
    # spawn: a fork would copy JAX's threads in a broken state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        try:
            results = pool.map(function, jobs, chunksize=16)
            return list(tqdm(results, total=total, unit=" images", desc=desc, disable=None))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and dies with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"
    parent.join()
    os._exit(1)
