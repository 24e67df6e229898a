"""A map over all cores for work inside OpenCV and NumPy, which let other Python threads run."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import cv2
from threadpoolctl import threadpool_limits

from mole_jax.workers import cores

# Items taken ahead of the slowest; limits the images in memory.
AHEAD: Final = 64

T = TypeVar("T")
R = TypeVar("R")


def threaded_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results in the order of the items; an item is taken only when it is needed."""
    of_opencv = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one item a thread; threads below these would only get in their way, up to fiftyfold
    try:
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores()) as pool:
            waiting: deque[Future[R]] = deque()
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        cv2.setNumThreads(of_opencv)
