"""Cores that threads share, and Python's lock that threads of one process share: virtual time for the simulation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

__all__ = ["Cores", "Events", "Job", "Lock"]

#: Who finds his core taken when he has the lock again has one after so long: half of a tick of the kernel's clock.
_CORE_AGAIN_NS = 500_000


class Events:
    """What happens when. `run` goes on until nothing is left, or `until`."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: int, what: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._heap, (when if when > self.now else self.now, self._count, what))

    def run(self, until: int, enough: Callable[[], bool]) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until and not enough():
            self.now, _, what = heappop(heap)
            what()


class Job:
    """So much computing; `left` is brought up to date when it is interrupted."""

    __slots__ = ("done", "ends", "left", "running")

    def __init__(self, ns: float, done: Callable[[], None]) -> None:
        self.left, self.done = ns, done
        self.ends = 0.0
        self.running = False


class Cores:
    """`count` cores, equally shared by all jobs that run and `others`, who always do; a job has at most one.

    All run at the same speed, so a job ends when the work done for each since the beginning reaches its mark.
    """

    def __init__(self, events: Events, count: float) -> None:
        self.events = events
        self.count = count
        self.others = 0.0
        self.busy_ns = 0.0
        self._jobs = 0
        self._work = 0.0
        self._since = 0
        self._marks: list[tuple[float, int, Job]] = []
        self._number = 0
        self._next = 0

    def _catch_up(self) -> None:
        now = self.events.now
        passed = now - self._since
        if passed:
            self._since = now
            if self._jobs:
                rate = self._rate()
                self._work += passed * rate
                self.busy_ns += passed * rate * self._jobs

    def _rate(self) -> float:
        """How much of a core each job has."""
        sharing = self._jobs + self.others
        return 1.0 if sharing <= self.count else self.count / sharing

    def beside(self, others: float) -> None:
        """From now on there are so many others."""
        self._catch_up()
        self.others = others
        self._plan()

    @property
    def full(self) -> bool:
        """Whether one more job would share a core."""
        return self._jobs + self.others >= self.count

    def start(self, job: Job) -> None:
        self._catch_up()
        self._jobs += 1
        job.running = True
        job.ends = self._work + job.left
        self._number += 1
        heappush(self._marks, (job.ends, self._number, job))
        self._plan()

    def pause(self, job: Job) -> None:
        """Take a job off its core; what is left of it can be started again."""
        self._catch_up()
        job.left = max(0.0, job.ends - self._work)
        job.running = False
        self._jobs -= 1
        self._plan()

    def _plan(self) -> None:
        marks = self._marks
        while marks and (not marks[0][2].running or marks[0][2].ends != marks[0][0]):
            heappop(marks)
        self._next += 1
        if not marks:
            return
        rate = self._rate()
        number = self._next
        when = self._since + int((marks[0][0] - self._work) / rate) + 1
        self.events.at(when, lambda: self._end(number))

    def _end(self, number: int) -> None:
        if number != self._next:
            return
        self._catch_up()
        marks = self._marks
        ended: list[Job] = []
        while marks and marks[0][0] <= self._work + 1.0:
            ends, _, job = heappop(marks)
            if job.running and job.ends == ends:
                job.running = False
                self._jobs -= 1
                ended.append(job)
        self._plan()
        for job in ended:
            job.done()


class Lock:
    """Python's lock of one process: one thread computes at a time, until it has no more to do or another has waited so long."""

    def __init__(self, events: Events, cores: Cores, switch_ns: int) -> None:
        self.events, self.cores, self.switch_ns = events, cores, switch_ns
        self._holder: Job | None = None
        self._waiting: deque[Job] = deque()
        self._interrupted: set[Job] = set()
        #: Called, and forgotten, when somebody takes the lock: those who compute without it, and will want it soon.
        self.told: list[Callable[[], None]] = []

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._waiting)

    def take(self, job: Job) -> None:
        if self._holder is None:
            self._holder = job
            self.cores.start(job)
            told, self.told = self.told, []
            for tell in told:
                tell()
        else:
            self._waiting.append(job)
            self._ask(self._holder)

    def _ask(self, holder: Job) -> None:
        first = self._waiting[0]
        self.events.at(self.events.now + self.switch_ns, lambda: self._switch(holder, first))

    def _switch(self, holder: Job, first: Job) -> None:
        """Who has waited for the whole interval gets it, if nobody has given it up meanwhile."""
        if self._holder is holder and self._waiting and self._waiting[0] is first:
            self.cores.pause(holder)
            self._interrupted.add(holder)
            self._waiting.append(holder)
            self._give()

    def go_on(self, job: Job, ns: float) -> None:
        """Who has it computes some more, without giving it up between."""
        job.left = ns
        self.cores.start(job)

    def release(self) -> None:
        """Who has it computes no more."""
        self._give()

    def _give(self) -> None:
        self._holder = None
        while self._waiting:
            job = self._waiting.popleft()
            if job in self._interrupted:
                self._interrupted.discard(job)
                if self.cores.full:  # its core has been taken meanwhile; the lock is free until it has one again
                    self.events.at(self.events.now + _CORE_AGAIN_NS, lambda j=job: self.take(j))
                    continue
            self._holder = job
            self.cores.start(job)
            if self._waiting:
                self._ask(job)
            return
