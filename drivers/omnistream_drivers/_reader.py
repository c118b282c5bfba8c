"""A thread that reads a device, and the bounded hand-over of what it reads to one coroutine."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from omnistream.message import SECOND
from omnistream.node import Context

__all__ = ["Backoff", "Reader"]

T = TypeVar("T")

_POLL_SECONDS = 0.05
_REPORT_EVERY_NS = SECOND


class Backoff:
    """Pauses before the next attempt: 0.25 s, doubled up to 8 s, from the start again after a success."""

    def __init__(self, first_s: float = 0.25, most_s: float = 8.0) -> None:
        self._first, self._most = first_s, most_s
        self._next = first_s

    def pause_s(self) -> float:
        pause, self._next = self._next, min(self._most, 2 * self._next)
        return pause

    def reset(self) -> None:
        self._next = self._first


class Reader(Generic[T]):
    """Runs `work(reader)` in a thread; the coroutine takes what the thread puts, in order, at most `room` items behind.

    Without `wait` the oldest item makes room for a new one and is counted as ``device_drop``; with it the thread waits.
    `counted` gives, per reason, the sentence of a ledger row: losses are added up and reported once a second ("{n}").
    An exception in the thread is raised again by `next`.
    """

    def __init__(
        self, ctx: Context, work: Callable[[Reader[T]], None], *, room: int, wait: bool, counted: Mapping[str, str]
    ) -> None:
        self.clock = ctx.clock
        self._ctx = ctx
        self._work = work
        self._room, self._wait = room, wait
        self._sentences = counted
        self._counts: dict[str, int] = {}
        self._reported_ns = 0
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._ended = False
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name=f"omnistream-{ctx.name}", daemon=True)
        self._thread.start()

    # In the thread.

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def put(self, item: T) -> None:
        """Hand over one item; returns at once unless the reader was made to wait for room."""
        with self._changed:
            while self._wait and len(self._items) >= self._room and not self.stopping:
                self._changed.wait()
            while len(self._items) >= self._room:
                self._items.popleft()
                self.count("device_drop")
            self._items.append(item)
        self._call(self._wake.set)
        self.flush()

    def pause(self, seconds: float) -> bool:
        """Sleep; False as soon as the reader is to stop."""
        return not self._stop.wait(seconds)

    def sleep_until(self, when_ns: int) -> bool:
        """Sleep until that run time; False as soon as the reader is to stop."""
        while (left := when_ns - self.clock.now()) > 0:
            if self._stop.wait(min(left / SECOND, _POLL_SECONDS)):
                return False
        return not self.stopping

    def report(self, reason: str, sentence: str) -> None:
        self._call(self._ctx.report, reason, sentence)

    def count(self, reason: str, n: int = 1) -> None:
        """Add to a loss that is reported at most once a second."""
        self._counts[reason] = self._counts.get(reason, 0) + n

    def flush(self, *, now: bool = False) -> None:
        """Report what was counted, if a second has passed since the last time."""
        at = self.clock.now()
        if not self._counts or not (now or at - self._reported_ns >= _REPORT_EVERY_NS):
            return
        self._reported_ns = at
        counts, self._counts = self._counts, {}
        for reason, n in counts.items():
            self.report(reason, self._sentences[reason].format(n=n))

    def _call(self, function: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: nobody is left to take or to be told
            self._stop.set()

    def _main(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # noqa: BLE001 (raised again where it is awaited)
            self._error = error
        finally:
            self.flush(now=True)
            self._ended = True
            self._call(self._wake.set)

    # On the event loop.

    async def next(self) -> T | None:
        """The next item, or None when the thread has ended and everything is taken."""
        while True:
            self._wake.clear()
            ended = self._ended  # read before the items: what was put before the end is seen
            with self._changed:
                if self._items:
                    item = self._items.popleft()
                    self._changed.notify()
                    return item
            if ended:
                if self._error is not None:
                    raise self._error
                return None
            await self._wake.wait()

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        self._stop.set()
        with self._changed:
            self._items.clear()
            self._changed.notify_all()

    async def close(self, patience_s: float = 10.0) -> None:
        """Stop the thread and wait until it has let go of its device, for at most `patience_s`."""
        self.stop()
        await asyncio.to_thread(self._thread.join, patience_s)
        if self._thread.is_alive():
            text = f"the device did not return from a read in {patience_s:g} s; its thread is left behind"
            self._ctx.report("stuck", f"{self._ctx.name}: {text}")
