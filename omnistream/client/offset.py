"""What a client knows of the sender's clock, so that it can tell in its own whether an action is still valid."""

from __future__ import annotations

from collections import deque

__all__ = ["ClockOffset"]


class ClockOffset:
    """Offset of run time to this client's clock, by request and answer as NTP does (RFC 5905, section 8).

    Of the last `keep` exchanges the one with the shortest round trip counts, because queues only ever add to it.
    The true offset is within half that round trip of the estimate, whatever the two ways share of it.
    """

    def __init__(self, keep: int = 16) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=keep)
        self._asked: deque[int] = deque(maxlen=keep)
        self._best: tuple[int, int] | None = None

    def asked(self, t0_ns: int) -> None:
        """A request left at `t0_ns` of this clock; only answers to such are believed."""
        self._asked.append(t0_ns)

    def answered(self, t0_ns: int, t1_ns: int, t2_ns: int, t3_ns: int) -> bool:
        """Take an answer: sent back `t0_ns`, arrived there `t1_ns`, left there `t2_ns`, here `t3_ns`. False: not believed."""
        if t0_ns not in self._asked or not t0_ns <= t3_ns or not 0 <= t2_ns - t1_ns <= t3_ns - t0_ns:
            return False
        self._asked.remove(t0_ns)
        round_trip = (t3_ns - t0_ns) - (t2_ns - t1_ns)
        self._samples.append((round_trip, ((t1_ns - t0_ns) + (t2_ns - t3_ns)) // 2))
        self._best = min(self._samples)
        return True

    def reset(self) -> None:
        """Forget all: there is another clock at the other end."""
        self._samples.clear()
        self._best = None

    @property
    def known(self) -> bool:
        return self._best is not None

    @property
    def uncertainty_ns(self) -> int:
        """Half the shortest round trip; 0 before the first answer."""
        return self._best[0] // 2 if self._best else 0

    def latest_run_time(self, local_ns: int) -> int | None:
        """The latest that run time can be at `local_ns`, so that nothing is taken for valid that may not be. None: unknown."""
        if self._best is None:
            return None
        return local_ns + self._best[1] + (self._best[0] + 1) // 2
