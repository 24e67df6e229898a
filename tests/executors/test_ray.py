"""A real Ray of two workers, in a network namespace that has the loopback device alone."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from mole_jax.errors import UserError
from mole_jax.executors.on_ray import RayExecutor, parse_resources

SCENARIOS = Path(__file__).with_name("on_ray.py")
# Ray binds other addresses than the loopback device's otherwise.
ALONE = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


@pytest.fixture(scope="module")
def alone():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed (240 MB): pip install 'mole-jax[ray]'")
    try:
        subprocess.run([*ALONE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(
            f"no network namespace can be made here ({error}); it takes root, or a kernel that lets users do so"
        )
    return ALONE


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["same_as_local", "worker_killed", "driver_killed", "stops", "refusals", "sweep"])
def test_it(alone, scenario, tmp_path):
    command = [*alone, sys.executable, str(SCENARIOS), scenario, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_resources_are_read():
    assert parse_resources("cpu=2,TPU=4") == {"cpu": 2.0, "TPU": 4.0}
    for text in ("cpu", "cpu=x", "=1", "cpu=0"):
        with pytest.raises(UserError, match=f"--resources: '{text}' is not name=number"):
            parse_resources(text)


def test_an_address_that_is_none_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", object())
    with pytest.raises(UserError, match="--address=cluster is no address of a Ray cluster: give auto, HOST:PORT or"):
        RayExecutor("cluster", {})


def test_a_ray_that_does_not_start_is_a_sentence(monkeypatch):
    class Busy:
        def init(self, **_):
            raise Exception("The current node timed out during startup.\nThis could happen because")

    monkeypatch.setitem(sys.modules, "ray", Busy())
    with pytest.raises(UserError, match=r"Ray at 'this machine' cannot be joined \(The current node timed out during"):
        RayExecutor("", {"cpu": 1})


def test_without_the_package_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--executor=ray needs the package ray, .*: pip install 'mole-jax\[ray\]'"):
        RayExecutor("", {"cpu": 1})
