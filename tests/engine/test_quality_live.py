"""A run whose node is too slow for the budget: it is switched, says so, and can be had again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from running import check_accounts, keep, replayed

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS, Event
from omnistream.node import Context, Node
from omnistream.observe.outcome import Outcome
from omnistream.record.evidence import RunEvidence
from omnistream.record.journal import Fired
from omnistream.record.reader import Recording


@dataclass(kw_only=True)
class Thinks(Node):
    """Far longer than the budget allows, or hardly at all."""

    blocking: ClassVar[bool] = True
    variants = ("full", "small")

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx

    async def step(self, item: Event) -> Event | None:
        if self._ctx.variant == "full":
            time.sleep(0.08)  # noqa: ASYNC251  in a thread of its own
        return Event("m", {"v": f"{item.data['v']} {self._ctx.variant}"})


def plan_of(layout: Iterable[tuple[str, ...]], variants: tuple[str, ...] = Thinks.variants) -> Plan:
    port = PortConfig("item", "each", Queue("drop_oldest", 2))
    script = {"stamps": [i * 20 * MS for i in range(2000)], "pace": True}
    nodes = {
        "s": NodeInfo("s", "", "law_nodes:Script", "source", script, (), ("out",)),
        "n": NodeInfo("n", "", "test_quality_live:Thinks", "node", {}, (Input(port, ("s.out",)),), ("out",), variants=variants),
        "k": NodeInfo("k", "", "law_nodes:Collect", "sink", {"run": "quality"}, (Input(port, ("n.out",), "message"),), ()),
    }
    workers = [WorkerPlan(f"w{i}", names) for i, names in enumerate(layout)]
    return Plan(Graph("quality", 60 * MS, nodes), tuple(workers))


async def run_until(plan: Plan, enough: str, run_dir: str = "") -> tuple[Outcome, Conductor, LocalCrew]:
    """A run until something in its events says `enough`."""
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns, run_dir=run_dir, record=bool(run_dir)))
    conductor = Conductor(plan, crew, clock, fresh=False)

    async def watch() -> None:
        while not any(enough in event for event in conductor.events):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        conductor.stop("enough")

    task = asyncio.create_task(watch())
    try:
        return await asyncio.wait_for(conductor.run(drain_s=0.2), 60), conductor, crew
    finally:
        task.cancel()


@pytest.mark.parametrize("layout", [[("s", "n", "k")], [("s",), ("n",), ("k",)]])
async def test_what_is_too_slow_is_switched_and_all_is_accounted_for(layout: list[tuple[str, ...]], tmp_path: Path) -> None:
    plan = plan_of(layout)
    outcome, conductor, _ = await run_until(plan, "full -> small", str(tmp_path))
    check_accounts(outcome)
    assert conductor.events[0].startswith("n full -> small: ")
    assert outcome.ledger["variant"] == outcome.switches >= 1
    rows = [r for r in outcome.rows if r.reason == "variant"]
    assert len(rows) == outcome.switches
    assert (rows[0].where, rows[0].detail) == ("n", conductor.events[0].removeprefix("n "))
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    with Recording(tmp_path / "run.mcap") as file:
        said = [r.variant for r in RunEvidence(file).rows()["n"] if isinstance(r, Fired)]
    assert said[0] == "full"
    assert "small" in said
    again, cut = await replayed(plan, tmp_path / "run.mcap")
    assert not cut
    assert again.digest == outcome.digest


async def test_where_quality_is_fixed_or_pinned_nothing_is_switched() -> None:
    plan = plan_of([("s", "n", "k")])
    clock = SystemClock()
    fixed = Plan(replace(plan.graph, quality="fixed"), plan.workers)
    for graph, options in ((fixed, RunOptions()), (plan, RunOptions(variants={"n": "full"}))):
        crew = LocalCrew(graph, clock, replace(options, offset_ns=clock.offset_ns))
        outcome = await asyncio.wait_for(Conductor(graph, crew, clock, fresh=False).run(for_s=1.5, drain_s=0), 60)
        assert outcome.switches == 0
        assert outcome.nodes["n"]["variant"] == "full"
        assert outcome.ledger["skipped"] + outcome.ledger["late"] > 0


async def test_a_worker_that_is_made_again_is_told_what_its_node_is_to_be() -> None:
    plan = plan_of([("s",), ("n",), ("k",)])
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(plan, crew, clock, fresh=False)

    async def watch() -> None:
        while not conductor.outcome.switches:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await crew.kill("w1")
        while "w1" not in crew.workers or crew.workers["w1"].nodes["n"].variant != "small":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        conductor.stop("enough")

    task = asyncio.create_task(watch())
    outcome = await asyncio.wait_for(conductor.run(drain_s=0), 60)
    await task
    assert outcome.restarts["w1"] == 1
    assert outcome.stopped_by == "enough"
