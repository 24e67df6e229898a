"""Pages that were freed and allocated again are not fresh ones."""

import ctypes
import os
import subprocess
import sys

import pytest

WITHOUT = {name: v for name, v in os.environ.items() if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"}
MEASURE = """
import resource
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * 2**26; before = faults(); b"x" * 2**26; print(faults() - before)
"""

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="the C library is not glibc"
)


def is_kept(code, **users):
    run = subprocess.run(
        [sys.executable, "-c", code + MEASURE], env={**WITHOUT, **users}, capture_output=True, text=True, check=True
    )
    return int(run.stdout) < 2**26 / os.sysconf("SC_PAGE_SIZE") / 10


@pytest.mark.parametrize(("users", "kept"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "100000"}, False)])
def test_freed_memory_is_kept_unless_the_user_has_settings(users, kept):
    assert is_kept("from mole_jax.memory import keep_freed_memory; keep_freed_memory()", **users) == kept


@pytest.mark.parametrize("wanted", [True, False])
def test_training_keeps_it_for_the_models_that_gain(tmp_path, wanted):
    settings = {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    assert is_kept(f"from mole_jax import xla; xla.configure(keep_memory={wanted})", **settings) == wanted
