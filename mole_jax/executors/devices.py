"""What each of several processes on one machine may use: a device of its own, or a share of the cores. Asks no JAX,
which would take the devices.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Share:
    """What one process gets.

    Attributes:
        environment: variables that name its device.
        cores: the cores that it may use; empty: all.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    cores: frozenset[int] = frozenset()


def count_accelerators(system: Path = Path("/")) -> tuple[str, int]:
    """("gpu" | "tpu" | "", how many), by the devices that the system shows and JAX_PLATFORMS, CUDA_VISIBLE_DEVICES.

    Args:
        system: the root of the file system.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms.split(",")[0] == "cpu":
        return "", 0
    if chips := len([*system.glob("dev/accel[0-9]*")] or [*system.glob("dev/vfio/[0-9]*")]):
        return "tpu", chips
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        gpus = len([name for name in visible.split(",") if name.strip()])
    else:
        gpus = len([*system.glob("proc/driver/nvidia/gpus/*")])
    return ("gpu", gpus) if gpus else ("", 0)


def shares(parallel: int, kind: str, devices: int) -> list[Share]:
    """What each of `parallel` processes gets.

    Args:
        parallel: how many processes run at once.
        kind: "gpu", "tpu" or "" (the CPU).
        devices: how many accelerators there are.
    """
    if not kind:
        cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
        if parallel == 1 or parallel > len(cores):
            return [Share() for _ in range(parallel)]
        return [Share(cores=frozenset(cores[i::parallel])) for i in range(parallel)]
    return [Share(_only(kind, i % devices, crowd=-(-parallel // devices))) for i in range(parallel)]


def _only(kind: str, device: int, crowd: int) -> dict[str, str]:
    """Variables with which a process sees one device, of which `crowd` processes share the memory."""
    if kind == "tpu":  # as in JAX's documentation for several processes on one TPU host
        bounds = {"TPU_PROCESS_BOUNDS": "1,1,1", "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1"}
        return {"TPU_VISIBLE_CHIPS": str(device), **bounds}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = [part.strip() for part in visible.split(",") if part.strip()][device] if visible else str(device)
    memory = {} if crowd == 1 else {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / crowd:.3f}"}
    return {"CUDA_VISIBLE_DEVICES": name, **memory}
