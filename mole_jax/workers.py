"""Work on many images in several processes, with a progress bar, in order."""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

from tqdm import tqdm

from mole_jax.errors import UserError
from mole_jax.memory import keep_freed_memory

WORTH_A_POOL: Final = 100  # images
# A fork would copy JAX's threads in a broken state.
_CONTEXT: Final = multiprocessing.get_context("spawn")

Job = TypeVar("Job")
Result = TypeVar("Result")

_in_work: Any = None  # in a worker: a byte a job, 1 while the job is being done


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_workers(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    total: int,
    workers: int,
    desc: str,
    name_of: Callable[[Job], str],
    unit: str = " images",
    worth_a_pool: int | None = None,
) -> list[Result]:
    """`function` of every job, in the order of the jobs.

    Args:
        function: called in another process; must be picklable and its module light to import.
        jobs: what to call it with, picklable.
        total: how many.
        workers: processes; 1 for this one.
        desc: of the progress bar.
        name_of: a job's name for people, of the file that it reads.
        unit: of the progress bar, what a job is.
        worth_a_pool: with fewer jobs, starting processes takes longer than the work; None for WORTH_A_POOL.

    Raises:
        UserError: a worker was killed; names the job that did it.
    """
    progress = functools.partial(tqdm, total=total, unit=unit, desc=desc, disable=None)
    if workers == 1 or total < (WORTH_A_POOL if worth_a_pool is None else worth_a_pool):
        return list(progress(map(function, jobs)))
    numbered, in_work = list(enumerate(jobs)), _CONTEXT.RawArray("b", total)
    do = functools.partial(_do, function)
    with _pool(workers, in_work) as pool:
        try:
            return list(progress(pool.map(do, numbered, chunksize=min(16, 1 + total // (16 * workers)))))
        except BrokenProcessPool as error:
            if suspects := [job for job in numbered if in_work[job[0]]]:
                raise UserError(_why_a_worker_died(do, suspects, name_of)) from error
            raise
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _why_a_worker_died(do: Callable[[Any], Any], suspects: list[tuple[int, Job]], name_of: Callable[[Job], str]) -> str:
    """Does each job that was being done once more, in a process of its own."""
    for number, job in suspects:
        with _pool(1, _CONTEXT.RawArray("b", number + 1)) as pool:
            try:
                pool.submit(do, (number, job)).result()
            except BrokenProcessPool:
                return (
                    f"the process that works on {name_of(job)!r} dies of it, alone too; "
                    "take that file out of the source, or give the machine more memory"
                )
    names = " or ".join(repr(name_of(job)) for _, job in suspects)
    return f"a process that worked on {names} was killed; give fewer --workers if memory ran out"


def _pool(workers: int, in_work: Any) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=_CONTEXT, initializer=_start_worker, initargs=(in_work,))


def _do(function: Callable[[Any], Result], numbered: tuple[int, Any]) -> Result:
    """Notes in memory that is shared with the parent what it is at: the note outlives the process."""
    number, job = numbered
    _in_work[number] = 1
    result = function(job)
    _in_work[number] = 0
    return result


def _start_worker(in_work: Any) -> None:
    """Leaves Ctrl-C to the parent, and dies with it even when it is killed."""
    global _in_work
    _in_work = in_work
    keep_freed_memory()  # the same few arrays for each image: decoding takes up to a third less
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"
    parent.join()
    os._exit(1)
