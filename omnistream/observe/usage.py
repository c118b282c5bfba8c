"""What a process has taken of its host so far, and what all have."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

from omnistream.clock import cpu_ns

__all__ = ["host_busy_s", "process_usage"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM, _STAT = Path("/proc/self/statm"), Path("/proc/stat")


def process_usage() -> dict[str, Any]:
    """Its number, its processor time in nanoseconds and its resident memory in bytes."""
    return {"pid": os.getpid(), "cpu_ns": cpu_ns(), "rss": _resident()}


def _resident() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):  # no Linux: the most it has had
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def host_busy_s() -> float:
    """Seconds that all cores of the host have been busy, in steps of 10 ms; 0 where nobody tells."""
    try:
        words = _STAT.read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft = (int(w) for w in words[:7])
    return (user + nice + system + irq + soft) / 100.0
