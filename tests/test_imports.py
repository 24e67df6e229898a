"""Imports go downwards only: experiments -> studies -> report, training -> classifier -> models -> data -> files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What each room may import of this project, besides itself; a room is a folder or a file directly below mole_jax/.
GROUND = {
    *("mole_jax.augmentation", "mole_jax.config", "mole_jax.errors", "mole_jax.files", "mole_jax.memory"),
    "mole_jax.vocabulary",
    "mole_jax.workers",
}
DATA = GROUND | {"mole_jax.looks", "mole_jax.data"}
NETWORKS = DATA | {
    "mole_jax.chunks",
    "mole_jax.placement",
    "mole_jax.processes",
    "mole_jax.inputs",
    "mole_jax.backbones",
    "mole_jax.models",
}
RUNS = DATA | {"mole_jax.evaluation", "mole_jax.runs"}
SWEEPS = RUNS | {"mole_jax.executors", "mole_jax.sweeps"}
CLASSIFIER = NETWORKS | RUNS | {"mole_jax.classifier"}
TRAINING = CLASSIFIER | {"mole_jax.training"}
ALLOWED = {
    "mole_jax.errors": set(),
    "mole_jax.memory": set(),
    "mole_jax.augmentation": {"mole_jax.errors"},
    "mole_jax.config": {"mole_jax.augmentation", "mole_jax.errors"},
    "mole_jax.files": {"mole_jax.errors"},
    "mole_jax.vocabulary": {"mole_jax.errors"},
    "mole_jax.workers": {"mole_jax.errors", "mole_jax.memory"},
    "mole_jax.xla": {"mole_jax.memory"},
    "mole_jax.chunks": set(),
    "mole_jax.placement": {"mole_jax.config", "mole_jax.errors"},
    "mole_jax.processes": {"mole_jax.errors"},
    "mole_jax.looks": {"mole_jax.workers"},
    "mole_jax.artefacts": set(),
    "mole_jax.data": GROUND | {"mole_jax.looks"},
    "mole_jax.inputs": GROUND | {"mole_jax.chunks"},
    "mole_jax.backbones": GROUND | {"mole_jax.chunks", "mole_jax.inputs"},
    "mole_jax.models": GROUND | {"mole_jax.chunks", "mole_jax.inputs", "mole_jax.backbones"},
    "mole_jax.evaluation": GROUND,
    "mole_jax.audit": DATA | {"mole_jax.evaluation"},
    "mole_jax.runs": DATA | {"mole_jax.evaluation"},
    "mole_jax.classifier": NETWORKS | RUNS,
    "mole_jax.training": CLASSIFIER,
    "mole_jax.explain": CLASSIFIER,
    "mole_jax.executors": {"mole_jax.errors", "mole_jax.files"},
    "mole_jax.sweeps": SWEEPS,
    "mole_jax.report": SWEEPS | {"mole_jax.audit"},
    "mole_jax.studies": TRAINING
    | SWEEPS
    | {"mole_jax.artefacts", "mole_jax.explain", "mole_jax.report", "mole_jax.audit"},
}
JAX = {"jax", "flax", "optax", "orbax", "grain"}
LIGHT = (
    *("mole_jax.looks", "mole_jax.evaluation", "mole_jax.runs", "mole_jax.report", "mole_jax.audit"),
    *("mole_jax.artefacts", "mole_jax.executors", "mole_jax.sweeps"),
)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def room(module):
    return ".".join(module.split(".")[:2])


FILES = sorted((ROOT / "mole_jax").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_lies_below_it(path):
    here = room(str(path.relative_to(ROOT).with_suffix("")).replace("/", "."))
    if here == "mole_jax.__init__":
        return  # the front door hands on a few names of all rooms
    for module in imports(path):
        assert module.split(".")[0] not in ("experiments", "benchmarks", "tests"), module
        if module.startswith("mole_jax.") and room(module) != here:
            assert room(module) in ALLOWED[here], f"{here} imports {module}"
        if here in LIGHT:
            assert module.split(".")[0] not in JAX, f"{here} imports {module}"
        assert module != "absl" and not module.startswith("absl."), "flags are defined in experiments only"


@pytest.mark.parametrize("package", LIGHT)
def test_evaluation_report_and_audit_load_no_jax(package):
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if ".".join(path.relative_to(ROOT).parts).startswith(package)
    ]
    code = f"import sys; import {', '.join(modules)}; print(sorted({JAX!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", sorted(path.stem for path in (ROOT / "experiments").glob("*.py") if "cli.main(" in path.read_text())
)
def test_help_needs_no_jax(command):
    heavy = sorted(JAX | {"tensorflow_datasets", "sklearn"})
    code = (
        "import atexit, runpy, sys; sys.argv = ['x', '--help'];"
        f"atexit.register(lambda: print('LOADED', sorted(set({heavy}) & set(sys.modules))));"
        f"runpy.run_module('experiments.{command}', run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stdout.strip().endswith("LOADED []"), run.stdout[-500:] + run.stderr[-500:]
    assert "--[no]" in run.stdout or "--" in run.stdout


def test_the_end_of_a_run_waits_for_no_large_library():
    heavy = ("pandas", "scipy.stats", "sklearn", "torch")
    code = (
        "import sys, mole_jax.runs.predictions, mole_jax.evaluation.summary, mole_jax.report.page; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


CHANGES = ROOT / "mole_jax" / "files" / "changes.py"


def changes_files(path):
    """The calls in a module that remove, rename or replace a file or a folder."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, keywords = node.func.attr, {keyword.arg for keyword in node.keywords}
        # str.replace takes two arguments, dataclasses.replace keywords, Path.replace one argument.
        if name in {"rmtree", "unlink", "rename", "rmdir", "remove", "renames", "move", "truncate", "removedirs"} or (
            name == "replace" and len(node.args) == 1 and not keywords
        ):
            yield f"line {node.lineno}: {name}"


@pytest.mark.parametrize(
    "path",
    [p for p in [*FILES, *sorted((ROOT / "experiments").rglob("*.py"))] if p != CHANGES],
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_only_one_module_removes_and_replaces(path):
    assert list(changes_files(path)) == []


def test_that_module_is_seen_to_do_so():
    found = {call.split(": ")[1] for call in changes_files(CHANGES)}
    assert found == {"replace", "unlink", "rename", "rmtree", "rmdir"}
