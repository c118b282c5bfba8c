"""What the host offers to a plan: CPU cores and GPUs, found without importing torch or Ray."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Host", "Member"]


@dataclass(frozen=True, slots=True)
class Member:
    """One host: its cores, and the labels by which a worker chooses it; None: it takes every worker."""

    cpus: float
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """CPU cores and GPUs that workers may ask for; of a cluster, the sum of its hosts, which `cluster` then names."""

    cpus: float
    gpus: int = 0
    cluster: tuple[Member, ...] = ()

    @classmethod
    def here(cls) -> Host:
        """This host: the cores this process may use, and the NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves it."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(min(cores, _quota()), _gpus())

    def members(self) -> tuple[Member, ...]:
        """The hosts. A single one takes every worker, whatever its labels."""
        return self.cluster or (Member(self.cpus),)

    def __str__(self) -> str:
        cores = f"{self.cpus:g} core{'' if self.cpus == 1 else 's'}"
        return f"{cores} and {self.gpus or 'no'} GPU{'' if self.gpus <= 1 else 's'}"


def _quota() -> float:
    """The cores that a container is given time for, at least one; infinity where nobody has set a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            folder = Path("/sys/fs/cgroup/cpu")
            quota, period = ((folder / f"cpu.cfs_{what}_us").read_text().strip() for what in ("quota", "period"))
        except OSError:
            return float("inf")
    return max(1, int(quota) // int(period)) if quota.isdecimal() and period.isdecimal() and int(period) else float("inf")


def _gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip().lower() in ("", "-1", "none", "nodevfiles"):
        return 0
    devices = [p for p in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia[0-9]+", p.name)]
    if not devices and Path("/dev/dxg").exists() and Path("/usr/lib/wsl/lib/libcuda.so.1").exists():
        return 1  # WSL shows its GPU under another name
    return min(len(devices), len(visible.split(","))) if visible is not None else len(devices)
