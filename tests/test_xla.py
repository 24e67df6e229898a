"""The environment that is set up before JAX is imported."""

import os
import subprocess
import sys

import pytest

from mole_jax import xla


@pytest.fixture
def environment(monkeypatch):
    for name in (
        "XLA_FLAGS",
        "JAX_PLATFORMS",
        "JAX_COMPILATION_CACHE_DIR",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(xla, "_jaxlib_knows", lambda flag: True)
    monkeypatch.setattr(xla, "_runs_on_cpu", lambda: True)
    monkeypatch.setattr(xla, "keep_freed_memory", lambda: None)  # of the process that runs the tests
    return monkeypatch


def test_the_flag_is_added_to_the_users_others(environment):
    environment.setenv("XLA_FLAGS", "--xla_dump_to=x")
    xla.configure()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=x --xla_cpu_experimental_ynn_fusion_type="


def test_the_users_own_setting_stays(environment):
    environment.setenv("XLA_FLAGS", "--xla_cpu_experimental_ynn_fusion_type=all")
    environment.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    xla.configure()
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_experimental_ynn_fusion_type=all"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"


@pytest.mark.parametrize("function", ["_jaxlib_knows", "_runs_on_cpu"])
def test_no_flag_where_it_is_unknown_or_of_no_use(environment, function):
    environment.setattr(xla, function, lambda *_: False)
    xla.configure()
    assert "XLA_FLAGS" not in os.environ


def test_the_platform_decides(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    assert not xla._runs_on_cpu()
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert xla._runs_on_cpu()


def test_an_unknown_flag_is_found_unknown():
    assert xla._jaxlib_knows("xla_cpu_enable_fast_math")
    assert not xla._jaxlib_knows("xla_cpu_flag_that_was_never_there")


def test_this_jaxlib_starts_with_what_is_set_up(tmp_path):
    code = "from mole_jax import xla; xla.configure(); import jax; print(jax.numpy.ones(2).sum())"
    own = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    environment = {**own, "XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "2.0"
    assert any((tmp_path / "mole_jax" / "xla").iterdir()), "the smallest program is cached"
