"""A worker that dies while it is made again is made once more."""

from __future__ import annotations

import asyncio

from law_nodes import LOGS
from running import check_accounts
from test_live_laws import relay_chain

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions


class DiesAgain(LocalCrew):
    """Drops a worker the moment it has been made again, before anybody can be told."""

    again = 2

    async def restart(self, worker: str, losses: dict[str, int]) -> None:
        await super().restart(worker, losses)
        if self.again:
            self.again -= 1
            await self.kill(worker)


async def test_a_worker_that_dies_in_its_restart_is_made_once_more() -> None:
    plan, clock = relay_chain("again", 40, 5, 1), SystemClock()
    crew = DiesAgain(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(plan, crew, clock, fresh=False)

    async def killer() -> None:
        while not conductor.outcome.started_ns:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await crew.kill("a")

    task = asyncio.create_task(killer())
    outcome = await asyncio.wait_for(conductor.run(), 20)
    await task
    assert outcome.restarts == {"a": 3}
    assert len({origin for origin, _, _ in LOGS.pop(("again", "collected"))}) == 40
    check_accounts(outcome)
