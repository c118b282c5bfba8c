"""What a black box is written for: things that happen in a run, SIGUSR1, and the key b."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any

from omnistream.engine.conductor import Conductor

__all__ = ["Happenings", "pressed"]

_KEY = b"b"


class Happenings:
    """Called with the run after each look; tells what of `events` has happened since the last one."""

    def __init__(self, events: Sequence[str], tell: Callable[[Sequence[str]], None]) -> None:
        self._events, self._tell = events, tell
        self._counts: dict[str, int] = {}
        self._stops: dict[str, int] = {}

    def __call__(self, run: Conductor) -> None:
        counts = {reason: n for reason, n in run.ledger().items() if reason in ("refused", "error")}
        counts["restart"] = sum(e.startswith("worker ") and " died " in e for e in run.events)
        found = [what for what, n in counts.items() if n > self._counts.get(what, 0)]
        self._counts = counts
        if self._stopped(run):
            found.append("stop")
        if found := [what for what in found if what in self._events]:
            self._tell(found)

    def _stopped(self, run: Conductor) -> bool:
        """Whether a sink was handed a stop."""
        found = False
        for sink, records in run.outcome.records.items():
            last = self._stops.get(sink, -1)
            for record in reversed(records):
                if record[0] <= last:
                    break
                found = found or record[4] in ("Action:stop", "Command:stop")
            if records:
                self._stops[sink] = records[-1][0]
        return found


@contextlib.contextmanager
def pressed(tell: Callable[[Sequence[str]], None], *, keys: bool) -> Generator[None]:
    """While it lasts, SIGUSR1 tells, and with `keys` the key b on a terminal. To be used where an event loop runs."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, tell, ["SIGUSR1"])
    before = _unbuffered() if keys else None
    if before is not None:
        loop.add_reader(sys.stdin.fileno(), _read, tell)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        if before is not None:
            import termios

            loop.remove_reader(sys.stdin.fileno())
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _unbuffered() -> Any:
    """Let the terminal give each key at once, unshown; how it was before, or None where there is no terminal."""
    import termios
    import tty

    try:
        if os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():  # in the background
            return None
        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin, termios.TCSADRAIN)
    except (OSError, ValueError, termios.error):
        return None
    return before


def _read(tell: Callable[[Sequence[str]], None]) -> None:
    data = b""
    with contextlib.suppress(OSError):
        data = os.read(sys.stdin.fileno(), 64)
    if not data:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    if _KEY in data.lower():
        tell(["key b"])
