"""Two small bounds on what the world may make us do: how often a peer is served, and how often a fault is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from omnistream.message import SECOND

__all__ = ["Bucket", "Reports"]


@dataclass(slots=True)
class Bucket:
    """A token bucket: `burst` at once, `per_second` in the long run. Times in ns on any one clock."""

    per_second: float
    burst: float
    tokens: float = -1.0
    at_ns: int = 0

    def allow(self, now_ns: int) -> bool:
        """Whether one more may pass now; if so it has."""
        if self.tokens < 0:
            self.tokens, self.at_ns = self.burst, now_ns
        self.tokens = min(self.burst, self.tokens + max(0, now_ns - self.at_ns) * self.per_second / SECOND)
        self.at_ns = now_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Reports:
    """Reports a fault at once, and its repetitions in one row a second with their number.

    For faults that come in floods (no client, garbage); what befalls one action is reported one by one.
    """

    def __init__(self, report: Callable[[str, str], None], every_ns: int = SECOND) -> None:
        self._report = report
        self._every_ns = every_ns
        self._next_ns: dict[str, int] = {}
        self._more: dict[str, tuple[int, str]] = {}

    def add(self, reason: str, text: str, now_ns: int) -> None:
        self.flush(now_ns)
        if now_ns < self._next_ns.get(reason, now_ns):
            self._more[reason] = (self._more.get(reason, (0, ""))[0] + 1, text)
            return
        self._next_ns[reason] = now_ns + self._every_ns
        self._report(reason, text)

    def flush(self, now_ns: int | None = None) -> None:
        """Report what was held back and is due; without a time, all of it."""
        for reason in [r for r in self._more if now_ns is None or now_ns >= self._next_ns[r]]:
            count, text = self._more.pop(reason)
            self._report(reason, text if count == 1 else f"{text} ({count} times)")
            if now_ns is not None:
                self._next_ns[reason] = now_ns + self._every_ns
