"""Workers that die again: one while it is made again, and both ends of an edge, whose accounts stay true."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from law_nodes import LOGS, WAVES
from running import check_accounts
from test_live_laws import relay_chain

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.flow.edge import Account
from omnistream.graph.graph import WorkerPlan


class DiesAgain(LocalCrew):
    """Drops a worker the moment it has been made again, before anybody can be told."""

    again = 2

    async def restart(self, worker: str, accounts: dict[str, Account]) -> None:
        await super().restart(worker, accounts)
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


@pytest.mark.parametrize("together", [False, True])
async def test_what_was_done_before_both_ends_died_is_not_counted_as_lost(together: bool) -> None:
    """Rule 19: all is at rest and told whenever a worker is killed, so nothing can have been lost."""
    plan, clock = relay_chain("told", 0, 5, 1), SystemClock()
    waves = 7
    script = plan.graph.nodes["s"]

    plan.graph.nodes["s"] = dataclasses.replace(script, target="law_nodes:Waves", options={"count": waves * 8})  # type: ignore[index]
    if together:  # `a` and `b` on one worker
        plan = dataclasses.replace(plan, workers=tuple(WorkerPlan(n, tuple(n)) for n in ("s", "ab", "k")))
    WAVES.clear()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(plan, crew, clock, fresh=False)

    async def at_rest(wave: int) -> None:
        """Until every edge has told of all that was sent by the end of this wave."""
        async with asyncio.timeout(20):
            while True:
                edges = conductor.outcome.edges.values()
                told = [e["sent"] == wave * 8 and not e["held"] and not e["pending"] for e in edges]
                if len(told) == 3 and all(told) and not conductor.down:
                    return
                await asyncio.sleep(0.01)

    async def killer() -> None:
        for wave, victims in enumerate((["a"], ["b"], ["a", "b"], ["k"], ["b"], ["a", "k"], []), 1):
            WAVES.add(wave)
            await at_rest(wave)
            for victim in victims:
                await crew.kill("ab" if together and victim in "ab" else victim)
                await asyncio.sleep(0.02)

    task = asyncio.create_task(killer())
    outcome = await asyncio.wait_for(conductor.run(), 60)
    await task
    assert outcome.restarts == ({"ab": 6, "k": 2} if together else {"a": 3, "b": 3, "k": 2})
    check_accounts(outcome)
    assert {key: (edge["sent"], edge["fates"]) for key, edge in outcome.edges.items()} == {
        key: (waves * 8, {"consumed": waves * 8}) for key in ("s.out->a.item", "a.out->b.item", "b.out->k.item")
    }
    assert outcome.ledger.get("crash", 0) == 0
    assert len(LOGS.pop(("told", "collected"))) == waves * 8
