"""How long a thread was ready to run and had no core: what others on the host cost it (Linux; elsewhere nobody tells)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["others_of", "waited_ns"]

_STAT = Path("/proc/thread-self/schedstat")
#: So much computing is needed for a ratio to say something.
_LEAST_NS = 2_000_000


def waited_ns() -> int:
    """Nanoseconds that the calling thread has waited for a core since it began; 0 where that is not known."""
    try:
        return int(_STAT.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def others_of(cpu_ns: int, waited: int, cores: float) -> float | None:
    """How many others shared the cores with a thread that computed and waited so long; None where that was too short.

    One of n + 1 that share c cores equally waits (n + 1) / c - 1 times as long as it computes.
    """
    if cpu_ns < _LEAST_NS:
        return None
    ratio = waited / cpu_ns
    return 0.0 if ratio < 0.03 else max(0.0, min(64.0, cores * (1 + ratio) - 1))
