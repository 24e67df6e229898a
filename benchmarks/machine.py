"""The machine that is measured: what goes beside the figures, and what decides which of them make sense here."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import ROOT
from mole_jax.workers import cores

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
    "scikit-learn",
    "pillow",
    "numpy",
)

# Dense peak in FLOP/s by the device's name as JAX gives it, from the makers' data sheets. float32 is TF32 on NVIDIA's
# tensor cores, which is what JAX and PyTorch's convolutions use there unless told otherwise.
PEAK_FLOPS = {
    "NVIDIA H100": {"float32": 494.7e12, "bfloat16": 989.4e12},
    "NVIDIA H100 PCIe": {"float32": 378e12, "bfloat16": 756e12},
    "NVIDIA H200": {"float32": 494.7e12, "bfloat16": 989.4e12},
    "NVIDIA A100": {"float32": 156e12, "bfloat16": 312e12},
    "NVIDIA L4": {"float32": 60e12, "bfloat16": 121e12},
    "TPU v4": {"bfloat16": 275e12},
    "TPU v5 lite": {"bfloat16": 197e12},
    "TPU v5": {"bfloat16": 459e12},
    "TPU v5p": {"bfloat16": 459e12},
    "TPU v6 lite": {"bfloat16": 918e12},
}


class Machine(NamedTuple):
    """What is measured on."""

    processor: str  # its name
    cores: int  # that this process may use
    memory_gb: float
    platform: str  # as JAX calls it: cpu, gpu, tpu
    device: str  # as JAX calls it

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The compute types worth measuring: bfloat16 too where an accelerator is at hand."""
        return ("float32",) if self.platform == "cpu" else ("float32", "bfloat16")

    def peak_flops(self, dtype: str) -> float | None:
        """The chip's peak; None where it is not known, as for a CPU."""
        found = [name for name in PEAK_FLOPS if re.match(rf"{re.escape(name)}\b", self.device)]
        return PEAK_FLOPS[max(found, key=len)].get(dtype) if found else None

    def describe(self) -> str:
        """One line."""
        device = "" if self.platform == "cpu" else f", {self.device}"
        return f"{self.processor}, {self.cores} cores, {self.memory_gb:.0f} GB{device}"


def this_machine() -> Machine:
    """Asks the operating system, and JAX in a child, so that this process stays small."""
    ask = "import jax; device = jax.devices()[0]; print(device.platform, device.device_kind, sep='\\t')"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    kind, _, device = answer.strip().splitlines()[-1].partition("\t")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(_processor(), cores(), memory / 1e9, kind, device)


def versions() -> dict[str, Any]:
    """Python, packages and commit."""
    found: dict[str, Any] = {"python": platform.python_version(), "commit": _commit()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def _commit() -> str:
    run = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return run.stdout.strip()
