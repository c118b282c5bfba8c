"""What a process has taken of its host so far."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

from omnistream.clock import cpu_ns

__all__ = ["process_usage"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def process_usage() -> dict[str, Any]:
    """Its number, its processor time in nanoseconds and its resident memory in bytes."""
    return {"pid": os.getpid(), "cpu_ns": cpu_ns(), "rss": _resident()}


def _resident() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):  # no Linux: the most it has had
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
