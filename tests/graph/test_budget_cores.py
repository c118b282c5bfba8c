"""Cores and Python's lock in virtual time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.graph.budget.cores import Cores, Events, Job, Lock

MS = 1_000_000


def ends(count: float, jobs: list[tuple[int, int]]) -> list[int]:
    """When jobs end that start at a time and compute for so long."""
    events = Events()
    cores = Cores(events, count)
    done = [0] * len(jobs)

    def start(i: int, ns: int) -> None:
        def ended() -> None:
            done[i] = events.now

        cores.start(Job(float(ns), ended))

    for i, (at, ns) in enumerate(jobs):
        events.at(at, lambda i=i, ns=ns: start(i, ns))
    events.run(1 << 60, lambda: False)
    return done


def test_two_jobs_on_one_core_take_turns() -> None:
    found = ends(1, [(0, 10 * MS), (0, 20 * MS)])
    assert [round(t / MS) for t in found] == [20, 30]


@given(st.lists(st.tuples(st.integers(0, 50 * MS), st.integers(1000, 20 * MS)), min_size=1, max_size=12), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_work_is_conserved_and_nobody_is_faster_than_alone(jobs: list[tuple[int, int]], cores: int) -> None:
    found = ends(cores, jobs)
    for (at, ns), end in zip(jobs, found, strict=True):
        assert end >= at + ns
    busy = sum(ns for _, ns in jobs)
    assert max(found) <= max(at for at, _ in jobs) + busy + 1000 * len(jobs)  # a nanosecond of rounding for each event
    assert max(found) * cores >= busy


def test_who_waits_for_the_lock_is_given_it_after_the_interval() -> None:
    events = Events()
    cores = Cores(events, 2)
    lock = Lock(events, cores, 5 * MS)
    ended: dict[str, int] = {}

    def job(name: str, ns: float) -> Job:
        def done() -> None:
            ended[name] = events.now
            lock.release()

        return Job(ns, done)

    lock.take(job("long", 50.0 * MS))
    lock.take(job("short", 1.0 * MS))
    events.run(1 << 60, lambda: False)
    assert abs(ended["short"] - 6 * MS) < 1000
    assert abs(ended["long"] - 51 * MS) < 1000
