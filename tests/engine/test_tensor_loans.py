"""Tensors lent between workers in a whole graph, through deaths: files stand for a GPU's memory, and bytes for the sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from running import check_accounts, run_fresh
from shown_files import FileSharing
from tensor_nodes import GIVEN
from test_tensors import planned

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.worker import Worker
from omnistream.graph.graph import Plan
from omnistream.link.batch import decode_batch, encode_batch
from omnistream.link.loans import Loans


class LendingCrew(LocalCrew):
    """Workers of one process that lend as those of several do."""

    def __init__(self, plan: Plan, clock: SystemClock, options: RunOptions, blind: Sequence[str] = ()) -> None:
        super().__init__(plan, clock, options)
        self.blind = blind
        self.sharings: list[FileSharing] = []
        self.loans: list[Loans] = []

    def _make(self, name: str, options: RunOptions) -> Worker:
        worker = super()._make(name, options)
        sharing = FileSharing(blind=name in self.blind)
        self.sharings.append(sharing)
        worker.exchange.loans = Loans(sharing, worker.exchange.say)
        self.loans.append(worker.exchange.loans)
        post: Any = worker.exchange.post
        send = post.send
        post.send = lambda peer, items: send(peer, decode_batch(encode_batch(name, 0, 0, items))[3])
        return worker


def gpus(plan: Plan) -> Plan:
    return dataclasses.replace(plan, workers=tuple(dataclasses.replace(w, gpu=0.1) for w in plan.workers))


@pytest.fixture(autouse=True)
def _none_given():
    GIVEN.clear()


async def run(plan: Plan, blind: Sequence[str] = ()) -> tuple[Any, LendingCrew]:
    clock = SystemClock()
    crew = LendingCrew(plan, clock, RunOptions(fresh=True), blind)
    return await Conductor(plan, crew, clock, fresh=True).run(), crew


async def test_the_digest_is_that_of_arrays_and_nothing_stays_lent() -> None:
    expected = (await run_fresh(planned("one"))).digest
    GIVEN.clear()
    outcome, crew = await run(gpus(planned("each")))
    assert outcome.digest == expected
    assert not outcome.ledger
    shown = sum(s.shown for s in crew.sharings)
    assert shown > 2, "tensors were lent, beyond the trials"
    assert any(t.is_shared() for t in GIVEN if isinstance(t, torch.Tensor))
    GIVEN.clear()
    gc.collect()
    check_accounts(outcome)


async def test_who_cannot_look_gets_arrays_and_the_same_digest() -> None:
    outcome, crew = await run(gpus(planned("each")), blind=("h",))
    assert outcome.digest == (await run_fresh(planned("one"))).digest
    assert sum(s.shown for s in crew.sharings) == 2  # the trials of s to e, and of e to h
    assert not outcome.ledger


async def test_no_tensor_is_lent_without_a_gpu() -> None:
    _, crew = await run(planned("each"))
    assert sum(s.shown for s in crew.sharings) == 0


@pytest.mark.parametrize("victim", ["e", "h"])
async def test_a_death_loses_only_what_a_crash_loses(victim: str) -> None:
    plan, clock = gpus(planned("each")), SystemClock()
    crew = LendingCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(plan, crew, clock, fresh=False)

    async def killer() -> None:
        while conductor.outcome.started_ns == 0 or len(GIVEN) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await crew.kill(victim)

    task = asyncio.create_task(killer())
    try:
        outcome = await asyncio.wait_for(conductor.run(), 60)
    finally:
        task.cancel()
    assert outcome.restarts == {victim: 1}
    assert outcome.nodes["k"]["in"] >= 12
    assert "garbage" not in outcome.ledger
    check_accounts(outcome)
