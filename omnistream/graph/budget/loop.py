"""One process of a simulated run: an event loop and threads, which share Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator

from omnistream.graph.budget.cores import Cores, Events, Job, Lock

__all__ = ["Loop", "Task", "Turns"]

#: What the loop does: at once, or in pieces that each say how many nanoseconds of computing come before the next.
Task = Callable[[], Generator[float, None, None] | None]


class Loop:
    """`call_soon` as of asyncio. An idle loop needs `wake()` nanoseconds to be woken."""

    def __init__(self, events: Events, cores: Cores, wake: Callable[[], float], switch_ns: int) -> None:
        self.events, self.cores, self.wake = events, cores, wake
        self.lock = Lock(events, cores, switch_ns)
        self.busy_ns = 0.0
        self._queue: deque[Task] = deque()
        self._idle = True
        self._piece: Generator[float, None, None] | None = None
        self._job = Job(0.0, self._step)

    def call_soon(self, task: Task, *, woken: bool = False) -> None:
        """`woken`: what it takes to wake an idle loop is counted already."""
        self._queue.append(task)
        if self._idle:
            self._idle = False
            self.events.at(self.events.now + (0 if woken else int(self.wake())), self._begin)

    def _begin(self) -> None:
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
            elif cost >= 1.0:
                self.busy_ns += cost
                self.lock.go_on(self._job, cost)
                return

    def in_thread(self, held_ns: float, free_ns: float, times: int, done: Callable[[], None]) -> None:
        """A step in a thread, which takes Python's lock so many times: so much of it with the lock, so much without."""
        held, free = max(1.0, held_ns / times), free_ns / times
        left = times

        def again() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                done()
            else:
                self.lock.take(Job(held, freely))

        def freely() -> None:
            self.lock.release()
            if free >= 1.0:
                self.cores.start(Job(free, again))
            else:
                again()

        again()


class Turns:
    """One worker's nodes on a loop: all that are woken, and those that they wake, have their turn before anything else.

    With `limit_ns` a turn that takes so long goes on behind what has come meanwhile.
    """

    def __init__(self, loop: Loop, limit_ns: int = 0) -> None:
        self.loop, self.limit_ns = loop, limit_ns
        self._ready: deque[Callable[[], Generator[float, None, None]]] = deque()
        self._scheduled = False
        self._until = 0

    def over(self) -> bool:
        return self.limit_ns > 0 and self.loop.events.now > self._until

    def wake(self, advance: Callable[[], Generator[float, None, None]]) -> None:
        self._ready.append(advance)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> Generator[float, None, None]:
        self._until = self.loop.events.now + self.limit_ns
        while self._ready:
            yield from self._ready.popleft()()
            if self.over():
                self.loop.call_soon(self._turn)
                return
        self._scheduled = False
