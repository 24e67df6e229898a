"""Work on many files in other processes, with a progress bar, in order. A file that kills its process is told apart."""

import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from tqdm import tqdm

from mole_jax.errors import UserError
from mole_jax.memory import keep_freed_memory

WORTH_A_POOL: Final = 100  # jobs
# A fork of this process would copy JAX's threads in a broken state; a server that forks has none, and has what workers
# need imported already.
_CONTEXT: Final = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":
    _CONTEXT.set_forkserver_preload(["numpy", "PIL.Image", "mole_jax.workers"])

# SIGALRM: what `experiments` repeats an interruption with that came while Python was cleaning up.
_INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, *((signal.SIGALRM,) if hasattr(signal, "SIGALRM") else ()))

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
    died: Callable[[Job], Result] | None = None,
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
        died: what stands for the result of a job that kills its process, alone too. With it no job is done in this
            process, whatever `workers`. None: such a job is an error.
        unit: of the progress bar, what a job is.
        worth_a_pool: with fewer jobs, starting processes takes longer than the work; None for WORTH_A_POOL.

    Raises:
        UserError: a worker was killed, and not by a job that `died` is for; names the jobs that it was at.
    """
    with tqdm(total=total, unit=unit, desc=desc, disable=None) as bar:
        results = in_workers(
            function,
            jobs,
            workers=workers if total >= (WORTH_A_POOL if worth_a_pool is None else worth_a_pool) else 1,
            name_of=name_of,
            died=died,
        )
        return [_counted(bar, result) for result in results]


def in_workers(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    name_of: Callable[[Job], str],
    died: Callable[[Job], Result] | None = None,
) -> Iterator[Result]:
    """Yields `function` of every job, in the order of the jobs; see `map_in_workers`."""
    if workers == 1 and died is None:
        yield from map(function, jobs)
        return
    left = list(enumerate(jobs))
    in_work = _CONTEXT.RawArray("b", max(1, len(left)))
    do = functools.partial(_do, function)
    while left:
        done = 0
        try:
            with _pool(workers, in_work) as pool:
                try:
                    with _main_hidden(), _whole():
                        results = pool.map(do, left, chunksize=min(16, 1 + len(left) // (16 * workers)))
                    for result in results:
                        done += 1
                        yield result
                except BrokenProcessPool:
                    raise
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
            return
        except BrokenProcessPool as error:
            left = left[done:]
            suspects = [job for job in left if in_work[job[0]]]
            if not suspects:
                raise
            deadly = _deadly(do, suspects)
            if deadly is None or died is None:
                raise UserError(_why_a_worker_died(deadly, suspects, name_of)) from error
            # What comes before it is done again; it is not. The rest follows in a new pool.
            place = left.index(deadly)
            yield from in_workers(
                function, [job for _, job in left[:place]], workers=workers, name_of=name_of, died=died
            )
            yield died(deadly[1])
            left = left[place + 1 :]


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keeps workers from importing the program that runs: a script without a guard would run again in each of them."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {
        name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__
    }
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)


@contextmanager
def _whole() -> Iterator[None]:
    """Lets an interruption wait until a pool's processes are started: one in the middle would leave half of them.

    By handlers that only remember, since to block signals in this thread would leave them to another one, and Python
    handles them in this one all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _INTERRUPTIONS}
    for number, handler in before.items():
        if handler is not None:  # None: one that Python did not install
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _counted(bar: Any, result: Result) -> Result:
    bar.update()
    return result


def _deadly(do: Callable[[Any], Any], suspects: Sequence[tuple[int, Job]]) -> tuple[int, Job] | None:
    """The first job that kills a process of its own, too."""
    for number, job in suspects:
        with _pool(1, _CONTEXT.RawArray("b", number + 1)) as pool:
            try:
                with _main_hidden(), _whole():
                    future = pool.submit(do, (number, job))
                future.result()
            except BrokenProcessPool:
                return number, job
    return None


def _why_a_worker_died(
    deadly: tuple[int, Job] | None, suspects: Sequence[tuple[int, Job]], name_of: Callable[[Job], str]
) -> str:
    if deadly is not None:
        return (
            f"the process that works on {name_of(deadly[1])!r} dies of it, alone too; "
            "take that file out of the source, or give the machine more memory"
        )
    names = " or ".join(repr(name_of(job)) for _, job in suspects)
    return f"a process that worked on {names} was killed; give fewer --workers if memory ran out"


def _pool(workers: int, in_work: Any) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=_CONTEXT, initializer=_start_worker, initargs=(in_work,))


def _do(function: Callable[[Job], Result], numbered: tuple[int, Job]) -> Result:
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
