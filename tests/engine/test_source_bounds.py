"""What a source promises to those who wait (rules 3 and 21)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import law_nodes
from running import run_fresh
from test_more_laws import _collect, _plan, _relay, _source

from omnistream.clock import SystemClock
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.flow.config import Queue
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import Layout, make_plan
from omnistream.message import MS, SECOND


async def test_who_waits_for_an_early_bound_has_it_though_another_waits_for_a_late_one() -> None:
    """A window's end in ten seconds must not keep a join of now waiting."""
    plan = _plan(
        {"s": _source("s", 0, 1), "a": _relay("a", "s.out", 0, Queue("block", 4)), "k": _collect("a.out", "b")}, each=False
    )
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    await crew.begin()
    worker = crew.workers["main"]
    await worker.start(clock.now())
    source = worker.sources["s"]
    source.node.delay_ns = 30 * MS
    edge, t = source.out.edges[0], clock.now()
    assert not source.need(edge, t + 10 * SECOND)
    assert not source.need(edge, t)
    await asyncio.sleep(0.1)
    assert source.out.bound > t
    assert edge.asks == [t + 10 * SECOND]
    assert source.timer is not None, "the other is still waited for"
    await worker.close()


async def test_a_source_whose_first_message_is_far_ahead_keeps_no_replay_waiting() -> None:
    """It may not be so far ahead, but those who wait for its bound can be told that nothing of it comes before."""
    often = [n * 100 * MS for n in range(40)]
    text = f"""
graph: late
nodes:
  often: {{use: "law_nodes:Script", with: {{stamps: {often}}}}}
  late: {{use: "law_nodes:Script", with: {{stamps: [{2550 * MS}]}}}}
  both: {{use: "law_nodes:Relay", inputs: {{item: {{from: [often, late]}}}}}}
  k: {{use: "law_nodes:Collect", with: {{run: late}}, inputs: {{item: both}}}}
"""
    layouts: tuple[Layout, ...] = ("one", "each")
    file = str(Path(law_nodes.__file__).parent / "late.yaml")
    outcomes = [await run_fresh(make_plan(parse_graph(text, file), layout)) for layout in layouts]
    assert [o.nodes["k"]["in"] for o in outcomes] == [41, 41]
    assert outcomes[0].digest == outcomes[1].digest
