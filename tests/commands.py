"""Commands as people give them, each in a process of its own, without the seconds that importing JAX takes each time.

A server has imported the large libraries; for each command it forks, and the child runs the module as `python -m` does.
Where a test needs another environment when JAX is imported, it starts a process by itself.
"""

import functools
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARIES = (
    *("numpy", "scipy.optimize", "scipy.sparse.csgraph", "scipy.special", "PIL.Image", "cv2", "msgspec", "h5py"),
    *("jax", "flax.linen", "optax", "orbax.checkpoint", "grain", "tensorflow_datasets", "tensorboardX"),
    *("matplotlib.pyplot", "jinja2", "tqdm", "pooch", "safetensors"),
)


def command(name, *flags, cwd=ROOT):
    """What `python -m experiments.NAME FLAGS...` ends with, as `subprocess.run` gives it."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / stream for stream in ("out", "err"))
        asked = {"module": f"experiments.{name}", "flags": [str(flag) for flag in flags], "cwd": str(cwd)}
        server = _server()
        server.stdin.write(json.dumps(asked | {"out": str(out), "err": str(err), "environ": dict(os.environ)}) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess([name, *flags], status, out.read_text(), err.read_text())


@functools.cache
def _server():
    # JAX warns of forks, since they may copy locks that its threads hold; before a backend is made it has none.
    start = [sys.executable, "-W", "ignore", __file__]
    return subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _serve():
    sys.path[0] = str(ROOT)
    from mole_jax import xla

    xla.configure()  # before JAX is imported, which reads its settings then
    for library in LIBRARIES:
        importlib.import_module(library)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            return _run(asked)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return None


def _run(asked):
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    for number, path in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    sys.argv[1:] = asked["flags"]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
