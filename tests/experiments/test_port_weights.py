import hashlib
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.load import load_pretrained

ROOT = Path(__file__).parents[2]
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def port(*arguments, python=()):
    command = [sys.executable, *python, "-m", "experiments.port_weights", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def variables():
    return load_pretrained("random", architecture=BACKBONES["resnet18"]).variables


@pytest.fixture(scope="module")
def source(variables, tmp_path_factory):
    """A ResNet18 under torchvision's names: the smallest network that the command knows."""
    state = {}
    for name, array in flatten_dict(variables, sep="/").items():
        _, *modules, leaf = name.split("/")
        module = re.sub(r"layer(\d)_(\d)", r"layer\1.\2", ".".join(modules))
        module = module.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        state[f"{module}.{LEAVES[leaf]}"] = np.ascontiguousarray(array)
        if leaf == "var":
            state[f"{module}.num_batches_tracked"] = np.array(1, np.int64)
    path = tmp_path_factory.mktemp("source") / "resnet18.safetensors"
    save_file(state, path)
    return path


def test_the_report_and_the_file(source, variables, tmp_path):
    out = tmp_path / "new" / "ported.safetensors"
    done = port(f"--source={source}", f"--out={out}", "--backbone=resnet18")
    assert (done.returncode, done.stderr) == (0, "")
    assert dict(line.split(maxsplit=1) for line in done.stdout.replace("moving ", "moving_").splitlines()) == {
        "source": "resnet18.safetensors",
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "format": "torchvision/timm state dict",
        "network": "resnet18 v1.5",
        "classes": "no classifier",
        "preprocessing": "torchvision",
        "parameters": "11,176,512",
        "moving_statistics": "9,600",
        "ignored": "20 x num_batches_tracked",
        "written": str(out),
        "use": f"it: python -m experiments.run --model=transfer --backbone=resnet18 --weights={out}",
    }
    ported = load_pretrained(str(out), architecture=BACKBONES["resnet18"])
    jax.tree.map(np.testing.assert_array_equal, ported.variables, variables)
    assert (ported.variant, ported.preprocessing) == ("v1.5", "torchvision")


def test_another_networks_weights_are_refused_and_nothing_is_written(source, tmp_path):
    done = port(f"--source={source}", f"--out={tmp_path / 'ported.safetensors'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: resnet18.safetensors does not fit the network (")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_never_overwritten(source):
    before = source.read_bytes()
    done = port(f"--source={source}", f"--out={source.parent}/../{source.parent.name}/{source.name}")
    assert done.returncode == 2
    assert "is the source itself: give another name" in done.stderr
    assert source.read_bytes() == before


def test_help_imports_no_jax():
    done = port("--help", python=("-X", "importtime"))
    assert "--source" in done.stdout
    assert "experiments.cli" in done.stderr
    assert not re.search(r"\| +(jax|flax|h5py|numpy)$", done.stderr, re.MULTILINE)
