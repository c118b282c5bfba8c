"""What a node is told of its place in the graph, so that it opens what it can need and no more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from law_nodes import LOGS
from running import keep, replayed

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS, Detections, Event, Gesture
from omnistream.node import Context, Node, Recent

Told = tuple[tuple[str, ...], frozenset[str]]


@dataclass(kw_only=True)
class Asks(Node):
    """What it is told when it is opened is what it says."""

    variants = ("full", "half", "small")

    async def open(self, ctx: Context) -> None:
        LOGS.setdefault(("contexts", ctx.name), []).append((ctx.variants, ctx.unconnected))
        self._ctx = ctx

    async def step(
        self, item: Event | None, also: Event | None = None, seen: Detections | None = None, hands: Recent[Gesture] = Recent()  # noqa: B008
    ) -> Event:  # fmt: skip
        return Event("told", {"v": self._ctx.variant})


def plan_of(quality: Literal["adaptive", "fixed"] = "adaptive") -> Plan:
    port = PortConfig("item", "each", Queue("block", 4))
    nodes = {
        "s": NodeInfo("s", "", "law_nodes:Script", "source", {"stamps": [MS]}, (), ("out",)),
        "n": NodeInfo(
            "n", "", "test_contexts:Asks", "node", {}, (Input(port, ("s.out",)), Input(replace(port, name="also"), ("s.out",))),
            ("out",), variants=Asks.variants,
        ),
        "k": NodeInfo("k", "", "law_nodes:Collect", "sink", {"run": "contexts"}, (Input(port, ("n.out",), "message"),), ()),
    }  # fmt: skip
    return Plan(Graph("contexts", 100 * MS, nodes, quality=quality), (WorkerPlan("w", tuple(nodes)),))


async def told(plan: Plan, **options: Any) -> Told:
    """What the node was told, which is opened once."""
    LOGS.clear()
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns, **options))
    await asyncio.wait_for(Conductor(plan, crew, clock, fresh=options.get("fresh", False)).run(), 20)
    (once,) = LOGS["contexts", "n"]
    return once


@pytest.mark.parametrize(
    ("quality", "options", "variants"),
    [
        ("adaptive", {}, Asks.variants),
        ("fixed", {}, ("full",)),
        ("adaptive", {"variants": {"n": "half"}}, ("half",)),
        ("fixed", {"variants": {"n": "half"}}, ("half",)),
        ("adaptive", {"fresh": True}, ("full",)),
    ],
)
async def test_a_node_knows_which_variants_the_run_can_ask_for_and_which_ports_are_open(
    quality: Any, options: dict[str, Any], variants: tuple[str, ...]
) -> None:
    assert await told(plan_of(quality), **options) == (variants, {"seen", "hands"})


async def test_a_run_that_is_had_again_asks_for_those_that_it_asked_for(tmp_path: Path) -> None:
    plan, clock = plan_of(), SystemClock()
    options = RunOptions(offset_ns=clock.offset_ns, run_dir=str(tmp_path), record=True, variants={"n": "small"})
    outcome = await Conductor(plan, LocalCrew(plan, clock, options), clock, fresh=False).run()
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    LOGS.clear()
    again, _ = await replayed(plan, tmp_path / "run.mcap")
    assert again.digest == outcome.digest
    assert LOGS["contexts", "n"] == [(("small",), {"seen", "hands"})]
