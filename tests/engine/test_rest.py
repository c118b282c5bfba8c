"""Whatever ends a run, what can move is at rest then, and stays so (law 15)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from law_nodes import LOGS
from test_live_laws import relay_chain

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.errors import RecordingError
from omnistream.flow.edge import Account


class SlowCrew(LocalCrew):
    """Takes a while to make a worker again, and keeps every worker that it ever made."""

    restart_s = 0.4

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made: list[Any] = []

    def _make(self, name: str, options: RunOptions) -> Any:
        worker = super()._make(name, options)
        self.made.append(worker)
        return worker

    async def restart(self, worker: str, accounts: dict[str, Account]) -> None:
        await asyncio.sleep(self.restart_s)
        await super().restart(worker, accounts)


def crew_of(run: str, kind: type[LocalCrew], **over: Any) -> Any:
    clock = SystemClock()
    options = RunOptions(offset_ns=clock.offset_ns, **over)
    return kind(relay_chain(run, 200, 5, 1), clock, options), clock


async def flowing(run: str) -> None:
    """Until what the run's sink collects has begun to come, and a little longer."""
    while not LOGS.get((run, "collected")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("by", ["hand", "time"])
async def test_a_sink_that_is_made_again_after_the_stop_writes_nothing(by: str) -> None:
    """What its sender has not had acknowledged would be sent again, to a new life that knows of no stop."""
    crew, clock = crew_of("late", SlowCrew)
    conductor = Conductor(crew.plan, crew, clock, fresh=False)
    run = asyncio.create_task(conductor.run(for_s=0.3 if by == "time" else None))
    await flowing("late")
    await crew.kill("k")
    if by == "hand":
        await asyncio.sleep(0.05)
        conductor.stop()
    await asyncio.sleep(0.3)
    assert conductor.down, "the stop is to fall into the restart"
    before = len(LOGS[("late", "collected")])
    await asyncio.wait_for(run, 20)
    assert len(LOGS.pop(("late", "collected"))) == before
    again = crew.made[-1]
    assert again.name == "k"
    assert again.nodes["k"].refusing


async def test_an_error_of_whoever_watches_leaves_no_robot_under_way() -> None:
    """A terminal that is gone, say: what prints fails, and the run ends."""
    crew, clock = crew_of("watched", SlowCrew)

    def watch(run: Conductor) -> None:
        if run.outcome.nodes["k"]["out"]:
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        await asyncio.wait_for(Conductor(crew.plan, crew, clock, fresh=False, watch=watch).run(), 20)
    sinks = [w.nodes["k"] for w in crew.made if w.name == "k"]
    assert all(s.refusing for s in sinks)
    LOGS.pop(("watched", "collected"))


async def test_a_worker_that_cannot_be_made_again_ends_the_run_whatever_the_reason(tmp_path: Path) -> None:
    """Here its node is gone; the robot must not wait for ever for a worker that nobody makes."""

    class Broken(LocalCrew):
        async def restart(self, worker: str, accounts: dict[str, Account]) -> None:
            del worker, accounts
            raise OSError(28, "No space left on device")

    crew, clock = crew_of("broken", Broken)
    conductor = Conductor(crew.plan, crew, clock, fresh=False)
    run = asyncio.create_task(conductor.run())
    await flowing("broken")
    await crew.kill("a")
    with pytest.raises(Exception, match="No space left"):
        await asyncio.wait_for(run, 10)
    LOGS.pop(("broken", "collected"))


async def test_a_disk_that_is_full_when_a_worker_is_made_again_ends_the_recording_and_not_the_run(tmp_path: Path) -> None:
    home = tmp_path / "run"
    home.mkdir()
    crew, clock = crew_of("full", LocalCrew, run_dir=str(home), record=True)
    conductor = Conductor(crew.plan, crew, clock, fresh=False)
    run = asyncio.create_task(conductor.run())
    await flowing("full")
    shutil.rmtree(home)
    await crew.kill("a")
    outcome = await asyncio.wait_for(run, 20)
    assert outcome.restarts == {"a": 1}
    assert len({origin for origin, _, _ in LOGS.pop(("full", "collected"))}) == 200


async def test_a_run_that_cannot_be_recorded_is_told_before_it_begins(tmp_path: Path) -> None:
    crew, clock = crew_of("nowhere", LocalCrew, run_dir=str(tmp_path / "nowhere"), record=True)
    with pytest.raises(RecordingError, match="nothing can be recorded there"):
        await Conductor(crew.plan, crew, clock, fresh=False).run()
