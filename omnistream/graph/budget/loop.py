"""One process of a simulated run: an event loop and threads, which share Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import NamedTuple

from omnistream.graph.budget.cores import Cores, Events, Job, Lock

__all__ = ["Loop", "Pieces", "Task", "Turns", "Work"]


class Work(NamedTuple):
    """Nanoseconds of computing: so many with Python's lock, which is taken so many times, and so many without."""

    held: float
    free: float
    times: int


#: Each piece of a task, or what it computes before the next one; a number holds the lock all the time.
Pieces = Generator["float | Work", None, None]
#: What the loop does: at once, or in pieces.
Task = Callable[[], Pieces | None]


class Loop:
    """`call_soon` as of asyncio. An idle loop needs `wake()` nanoseconds to be woken."""

    def __init__(self, events: Events, cores: Cores, wake: Callable[[], float], switch_ns: int) -> None:
        self.events, self.cores, self.wake = events, cores, wake
        self.lock = Lock(events, cores, switch_ns)
        self.busy_ns = 0.0
        self._queue: deque[Task] = deque()
        self._idle = True
        self._piece: Pieces | None = None
        self._job = Job(0.0, self._step)

    def call_soon(self, task: Task, *, woken: bool = False) -> None:
        """`woken`: what it takes to wake an idle loop is counted already."""
        self._queue.append(task)
        if self._idle:
            self._idle = False
            self.events.at(self.events.now + (0 if woken else int(self.wake())), self._begin)

    def _begin(self) -> None:
        """Take the lock, and go on."""
        self._job.left = 1.0
        self.lock.take(self._job)

    def _step(self) -> None:
        while True:
            piece = self._piece
            if piece is None:
                if not self._queue:
                    self._idle = True
                    self.lock.release()
                    return
                piece = self._queue.popleft()()
                if piece is None:
                    continue
                self._piece = piece
            cost = next(piece, None)
            if cost is None:
                self._piece = None
            elif isinstance(cost, Work):
                self.busy_ns += cost.held + cost.free
                self.lock.release()
                self.compute(cost, self._begin)
                return
            elif cost >= 1.0:
                self.busy_ns += cost
                self.lock.go_on(self._job, cost)
                return

    def compute(self, work: Work, done: Callable[[], None]) -> None:
        """In a thread that begins without the lock, and ends without it."""
        _Computing(self, work, done).take()


class _Computing:
    """Now with the lock, now without. While nobody else has the lock the rest is one piece, however often it is taken; while
    somebody has, each time is waited for."""

    def __init__(self, loop: Loop, work: Work, done: Callable[[], None]) -> None:
        self._lock, self._cores, self._done = loop.lock, loop.cores, done
        self._held, self._free = max(1.0, work.held / work.times), work.free / work.times
        self._left = (self._held + self._free) * work.times
        self._job = Job(0.0, self._worked)
        self._alone = False

    def take(self) -> None:
        self._lock.take(Job(self._held, self._had))

    def _had(self) -> None:
        self._left -= self._held
        if self._left < 1.0:
            self._lock.release()
            self._done()
        elif self._free < 1.0:
            self._lock.release()
            self.take()
        else:
            self._alone = not self._lock.wanted
            if self._alone:
                self._lock.told.append(self._taken)
            self._compute(self._left if self._alone else self._free)
            self._lock.release()

    def _taken(self) -> None:
        """Somebody has the lock from now on."""
        if self._alone and self._job.running:
            self._alone = False
            self._cores.pause(self._job)
            self._left += self._job.left
            self._compute(self._free)

    def _compute(self, ns: float) -> None:
        self._job.left = min(ns, self._left)
        self._left -= self._job.left
        self._cores.start(self._job)

    def _worked(self) -> None:
        self._alone = False
        if self._left < 1.0:
            self._held = 1.0
        self.take()


class Turns:
    """One worker's nodes on a loop: all that are woken, and those that they wake, have their turn before anything else.

    With `limit_ns` a turn that takes so long goes on behind what has come meanwhile.
    """

    def __init__(self, loop: Loop, limit_ns: int = 0) -> None:
        self.loop, self.limit_ns = loop, limit_ns
        self._ready: deque[Callable[[], Pieces]] = deque()
        self._scheduled = False
        self._until = 0

    def over(self) -> bool:
        return self.limit_ns > 0 and self.loop.events.now > self._until

    def wake(self, advance: Callable[[], Pieces]) -> None:
        self._ready.append(advance)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> Pieces:
        self._until = self.loop.events.now + self.limit_ns
        while self._ready:
            yield from self._ready.popleft()()
            if self.over():
                self.loop.call_soon(self._turn)
                return
        self._scheduled = False
