"""XLA settings that must be in the environment before JAX is imported."""

import importlib.util
import mmap
import os
from pathlib import Path

from mole_jax.memory import keep_freed_memory

# XLA's default fusion into the YNN library makes CPU convolutions slow and single-threaded: without it the CNN trains
# about 1.8 times as fast (jaxlib 0.10.2).
FAST_CPU_CONVOLUTIONS = "--xla_cpu_experimental_ynn_fusion_type="


def configure(*, keep_memory: bool = False) -> None:
    """Sets up fast CPU convolutions and a compilation cache that outlives the process; call before importing JAX.

    Leaves alone whatever the user has set. The XLA flag is added only where JAX will run on CPU and only where this
    jaxlib knows it, since an unknown XLA flag aborts the process.

    Args:
        keep_memory: whether a CPU's memory is kept from step to step, for models on plain pixels: a third of the MLP's
            step, a quarter of logistic regression's. Networks with larger arrays gain nothing and leave holes that
            nothing else fits into: the CNN then holds 3.6 GB instead of 1.8.
    """
    if (home := _cache_home()) is not None:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(home / "mole_jax" / "xla"))
    # JAX keeps what took a second to compile; the many small programs of a start take more than that together.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    flags = os.environ.get("XLA_FLAGS", "")
    name = FAST_CPU_CONVOLUTIONS.removesuffix("=")
    if name not in flags and _runs_on_cpu() and _jaxlib_knows(name.removeprefix("--")):
        os.environ["XLA_FLAGS"] = f"{flags} {FAST_CPU_CONVOLUTIONS}".strip()
    if keep_memory and _runs_on_cpu():
        keep_freed_memory()


def _cache_home() -> Path | None:
    """The user's cache folder; None where the user has no home, as in a container that runs under a bare number."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None


def _runs_on_cpu() -> bool:
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms.split(",")[0] == "cpu"
    return importlib.util.find_spec("jax_plugins") is None and importlib.util.find_spec("libtpu") is None


def _jaxlib_knows(flag: str) -> bool:
    spec = importlib.util.find_spec("jaxlib")
    if spec is None or spec.origin is None:
        return False
    folder = Path(spec.origin).parent
    # The name stands as text in the library that holds XLA. Looking it up takes milliseconds, asking XLA would abort.
    for library in (*folder.glob("libjax_common*"), *folder.glob("xla_extension*")):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if text.find(flag.encode()) >= 0:
                return True
    return False
