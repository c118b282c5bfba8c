"""Runs of a plan on the local engine, for law tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnistream.clock import SystemClock
from omnistream.engine.as_recorded import AsRecorded
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.graph.graph import Plan
from omnistream.observe.outcome import Outcome
from omnistream.record.about import About
from omnistream.record.evidence import RunEvidence
from omnistream.record.join import join_parts
from omnistream.record.reader import Recording


async def run_fresh(plan: Plan, start_ns: int = 0, within_s: float = 30) -> Outcome:
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(fresh=True, start_ns=start_ns))
    return await asyncio.wait_for(Conductor(plan, crew, clock, fresh=True, start_ns=start_ns).run(), within_s)


async def kill_at(conductor: Conductor, crew: LocalCrew, kills: Sequence[tuple[float, str]]) -> None:
    """Drop workers at these seconds after the run's start, or when they live again."""
    while not conductor.outcome.started_ns:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    start = asyncio.get_running_loop().time()
    for at, name in kills:
        await asyncio.sleep(max(0.0, start + at - asyncio.get_running_loop().time()))
        while name not in crew.workers:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await crew.kill(name)


async def run_live(
    plan: Plan, kills: Sequence[tuple[float, str]] = (), for_s: float | None = None, record_in: str = ""
) -> Outcome:
    """A live run in which workers are dropped at the given seconds after its start; `record_in` is where to record it."""
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns, run_dir=record_in, record=bool(record_in)))
    conductor = Conductor(plan, crew, clock, fresh=False)
    task = asyncio.create_task(kill_at(conductor, crew, kills))
    try:
        return await asyncio.wait_for(conductor.run(for_s=for_s), 60)
    finally:
        task.cancel()


def keep(plan: Plan, run_dir: str, path: Path, outcome: Outcome) -> None:
    """The parts of a run as one recording."""
    about = About.of(plan.graph, str(path), 0, plan.threads())
    join_parts(run_dir, about, outcome.started_ns, outcome.rows, {"digest": outcome.digest or ""})


async def replayed(plan: Plan, path: Path) -> tuple[Outcome, dict[str, int]]:
    """A recording as it was recorded, and what its journal's end left undone."""
    with Recording(path) as file:
        replay = AsRecorded(plan, RunEvidence(file))
        return await asyncio.wait_for(replay.run(), 60), replay.cut


def check_accounts(outcome: Outcome) -> None:
    """One fate for every message of every edge, by the sender's account and by the receiver's (rule 19)."""
    for key, edge in outcome.edges.items():
        total = edge["pending"] + edge["held"] + sum(edge["fates"].values())
        assert edge["sent"] == total, (key, edge)
        there: dict[str, Any] = outcome.received[key]
        assert there["received"] == sum(there["fates"].values()) + there["held"], (key, there)
