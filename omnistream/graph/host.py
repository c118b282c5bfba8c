"""What the host offers to a plan: CPU cores and GPUs, found without importing torch or Ray."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Host"]


@dataclass(frozen=True, slots=True)
class Host:
    """CPU cores and GPUs that workers may ask for; of a cluster, the sum of its hosts."""

    cpus: float
    gpus: int = 0

    @classmethod
    def here(cls) -> Host:
        """This host: the cores this process may use, and the NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves it."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(cores, _gpus())


def _gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip().lower() in ("", "-1", "none", "nodevfiles"):
        return 0
    devices = [p for p in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia[0-9]+", p.name)]
    if not devices and Path("/dev/dxg").exists() and Path("/usr/lib/wsl/lib/libcuda.so.1").exists():
        return 1  # WSL shows its GPU under another name
    return min(len(devices), len(visible.split(","))) if visible is not None else len(devices)
