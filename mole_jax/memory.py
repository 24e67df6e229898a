"""The C library's memory: whether a process gives back what it frees."""

import ctypes
import os
from typing import Final

# Parameters of glibc's mallopt (malloc.h): one heap for all threads, no mappings outside of it, and up to 2 GB of free
# memory kept at its end.
M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD = -8, -4, -1
KEEP_FREED: Final = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}


def keep_freed_memory() -> None:
    """Keeps what this process frees for its next arrays, which would otherwise get fresh pages, zeroed by the kernel.

    For work that needs arrays of the same sizes again and again. Leaves alone whatever the user has set, and C
    libraries other than glibc, which have no such parameters.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in KEEP_FREED.items():
            mallopt(parameter, value)
