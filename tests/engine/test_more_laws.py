"""Laws on overload, idleness and stopping; and that taking a rule away breaks one (DESIGN laws 12, 15, 16, 17)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from law_graphs import batch, layouts, random_graph
from law_nodes import LOGS
from running import check_accounts, run_fresh, run_live
from test_live_laws import relay_chain

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.flow.config import PortConfig, Queue
from omnistream.flow.typical import Typical
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import INFINITY, MS, Event
from omnistream.node import Context, Emit, Node, Source


@dataclass(kw_only=True)
class Fast(Source):
    """`count` events, one each `every_ms`; 0 is for ever, without one."""

    count: int
    every_ms: float
    is_device = False

    async def run(self, ctx: Context) -> AsyncIterator[Event]:
        for i in range(self.count):
            await ctx.clock.sleep_until(ctx.start_ns + int(i * self.every_ms * MS))
            yield Emit(Event("m", {"v": f"{ctx.name}.{i}"}))  # type: ignore[misc]
        if not self.count:
            await asyncio.sleep(3600)


@dataclass(kw_only=True)
class Pair(Node):
    async def step(self, fast: Event | None, slow: Event | None) -> Event | None:
        return fast


def _plan(nodes: dict[str, NodeInfo], *, each: bool = True) -> Plan:
    groups = tuple(WorkerPlan(n, (n,)) for n in nodes) if each else (WorkerPlan("main", tuple(nodes)),)
    return Plan(Graph("law", 200 * MS, nodes), groups)


def _in(name: str, stream: str, queue: Queue, form: str = "one", wait_ns: int = INFINITY) -> Input:
    return Input(PortConfig(name, "each", queue, wait_ns=wait_ns), (stream,), form, True)  # type: ignore[arg-type]


def _source(name: str, count: int, every_ms: float) -> NodeInfo:
    options = {"count": count, "every_ms": every_ms}
    return NodeInfo(name, "", "test_more_laws:Fast", "source", options, (), ("out",))


def _relay(name: str, stream: str, busy_ms: float, queue: Queue) -> NodeInfo:
    return NodeInfo(name, "", "law_nodes:Relay", "node", {"busy_ms": busy_ms}, (_in("item", stream, queue),), ("out",))


def _collect(stream: str, run: str, queue: Queue = Queue("block", 64)) -> NodeInfo:  # noqa: B008
    return NodeInfo("k", "", "law_nodes:Collect", "sink", {"run": run}, (_in("item", stream, queue, "message"),), ())


async def test_a_join_never_waits_for_a_dropped_message() -> None:
    """Law 12: `wait: inf` on both ports, and most of what one of them sends is dropped on its way."""
    join = (_in("fast", "relay.out", Queue("block", 4)), _in("slow", "slow.out", Queue("block", 4)))
    plan = _plan({
        "fast": _source("fast", 200, 1), "slow": _source("slow", 20, 10),
        "relay": _relay("relay", "fast.out", 10, Queue("newest")),
        "pair": NodeInfo("pair", "", "test_more_laws:Pair", "node", {}, join, ("out",)),
        "k": _collect("pair.out", "join"),
    })  # fmt: skip
    outcome = await run_live(plan)
    assert outcome.ledger["dropped"] > 50
    assert outcome.nodes["pair"]["forced"] == 0
    assert outcome.edges["slow.out->pair.slow"]["fates"] == {"consumed": 20}
    check_accounts(outcome)
    LOGS.pop(("join", "collected"), None)


@pytest.mark.parametrize("each", [True, False])
async def test_a_node_whose_trigger_is_idle_keeps_little_of_what_it_is_shown(each: bool) -> None:
    """A robot's state at 50 Hz beside a person who says nothing all night: only the newest can ever be read."""
    shown = Input(PortConfig("slow", "latest", Queue("block", 64)), ("state.out",), "one", True)
    pair = NodeInfo("pair", "", "test_more_laws:Pair", "node", {}, (_in("fast", "t.out", Queue("block", 4)), shown), ("out",))
    nodes = {"t": _source("t", 0, 1), "state": _source("state", 1500, 0.5), "pair": pair, "k": _collect("pair.out", "night")}
    clock = SystemClock()
    crew = LocalCrew(_plan(nodes, each=each), clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(crew.plan, crew, clock, fresh=False)
    task = asyncio.create_task(conductor.run())
    try:
        async with asyncio.timeout(20):
            while not (edges := [w.in_edges.get("state.out->pair.slow") for w in crew.workers.values()]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            edge = next(e for e in edges if e is not None)
            while edge.received < 1500:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(edge.items) < 600
    finally:
        conductor.stop()
        outcome = await task
    check_accounts(outcome)


async def test_an_idle_graph_is_silent() -> None:
    """Law 16: nothing crosses between workers while no source brings anything and nobody waits."""
    plan = _plan({"s": _source("s", 0, 1), "a": _relay("a", "s.out", 0, Queue("block", 4)), "k": _collect("a.out", "idle")})
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(plan, crew, clock, fresh=False)
    task = asyncio.create_task(conductor.run())
    await asyncio.sleep(0.2)
    before = {n: w.exchange.sent for n, w in crew.workers.items()}
    await asyncio.sleep(0.5)
    assert {n: w.exchange.sent for n, w in crew.workers.items()} == before
    conductor.stop()
    await task


async def test_nothing_leaves_a_sink_after_a_stop_and_the_rest_is_in_the_ledger() -> None:
    """Law 15, and the account of what a stop cuts off (rule 26)."""
    plan = relay_chain("stop", 100, 4, 3)
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(plan, crew, clock, fresh=False)
    task = asyncio.create_task(conductor.run(drain_s=0.5))
    await asyncio.sleep(0.25)
    conductor.stop()
    began = time.monotonic()
    while not crew.workers["k"].nodes["k"].refusing:  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    at_stop = len(LOGS.get(("stop", "collected"), []))
    outcome = await task
    assert time.monotonic() - began < 3
    assert len(LOGS.pop(("stop", "collected"))) <= at_stop + 1  # one may have been in the hands of `write`
    assert outcome.ledger["stopped"] > 0
    check_accounts(outcome)


# -- law 17: each rule taken away breaks a law ----------------------------------------------------


async def _differs(seeds: range, policies: tuple[str, ...] = ("block",)) -> bool:
    """Whether a fresh run of one of the graphs is stuck or gives other firings than the rules."""
    for seed in seeds:
        graph = random_graph(seed, "mutant", policies=policies)
        expected = {n: log for n, log in batch(graph).items() if log}
        for plan in layouts(graph, seed).values():
            try:
                await run_fresh(plan, within_s=2)  # a hundred times what it takes
            except Exception:  # noqa: BLE001  whatever it is, it is no answer
                return True
            finally:
                got = {n: LOGS.pop((r, n)) for r, n in list(LOGS) if r == "mutant"}
            if got != expected:
                return True
    return False


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnistream.engine.lead._STUCK_POLLS", 5)


async def test_without_bounds_from_filters_a_graph_is_stuck(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    from omnistream.flow.cell import Cell

    monkeypatch.setattr(Cell, "publish", lambda self: None)
    assert await _differs(range(6))


async def test_with_credits_held_by_windows_a_live_graph_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of ten messages over an edge with room for four never fills."""
    from omnistream.flow.config import WindowConfig
    from omnistream.flow.windowed import WindowPort

    window = PortConfig("p0", "window", Queue("block", 4), WindowConfig(50 * MS, 50 * MS), wait_ns=INFINITY)
    mixer = NodeInfo("n", "", "law_nodes:Mixer", "node", {"run": "held"}, (Input(window, ("s.out",), "window", True),), ("a",))
    plan = _plan({"s": _source("s", 20, 5), "n": mixer})
    assert (await run_live(plan)).nodes["n"]["firings"] >= 2

    class Silent:
        def __init__(self, back: Any) -> None:
            self.back = back

        def credit(self, n: int) -> None:
            del n

        def need(self, t: int) -> bool:
            return self.back.need(t)

    enter = WindowPort.enter

    def hoarding(self: WindowPort, edge: Any, item: Any) -> None:
        edge.back = edge.back if isinstance(edge.back, Silent) else Silent(edge.back)
        enter(self, edge, item)

    monkeypatch.setattr(WindowPort, "enter", hoarding)
    outcome = await run_live(plan, for_s=0.6)
    LOGS.clear()
    assert outcome.stopped_by == "time", "it must not come to its end"


async def test_dropping_what_is_late_loses_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command behind a forced bound is lifted; with `late` meaning dropped it is gone."""
    from omnistream.flow.port import InEdge

    async def lost() -> int:
        join = (_in("fast", "relay.out", Queue("block", 64), wait_ns=2 * MS), _in("slow", "slow.out", Queue("block", 4)))
        plan = _plan({
            "fast": _source("fast", 20, 10), "slow": _source("slow", 40, 5),
            "relay": _relay("relay", "fast.out", 9, Queue("block", 64)),
            "pair": NodeInfo("pair", "", "test_more_laws:Pair", "node", {}, join, ("out",)),
            "k": _collect("pair.out", "late"),
        })  # fmt: skip
        outcome = await run_live(plan)
        LOGS.pop(("late", "collected"), None)
        assert outcome.nodes["pair"]["forced"] > 0
        return outcome.edges["relay.out->pair.fast"]["fates"].get("late", 0)

    assert await lost() == 0
    make = InEdge.__init__

    def strict(self: InEdge, *args: Any) -> None:
        make(self, *args)
        self.lift = False

    monkeypatch.setattr(InEdge, "__init__", strict)
    assert await lost() > 0


async def test_acknowledging_after_the_step_loses_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 23's cascade taken away: a crash downstream of an acknowledged step loses what was on its way."""
    from omnistream.flow.token import Token

    kills = [(0.08 + 0.09 * i, name) for i, name in enumerate("baba")]
    count = 80

    async def missing(run: str) -> int:
        await run_live(relay_chain(run, count, 5, 1, slow_ms=12), kills)
        return count - len({value for _, value, _ in LOGS.pop((run, "collected"))})

    assert await missing("cascade") == 0
    monkeypatch.setattr(Token, "hold", lambda self: lambda fate: None)
    assert sum(await asyncio.gather(*(missing(f"eager{i}") for i in range(3)))) > 0


@dataclass(kw_only=True)
class Hangs(Node):
    async def step(self, item: Event) -> Event | None:
        await asyncio.sleep(3600)
        return item


@pytest.mark.parametrize("each", [True, False])
async def test_a_node_that_hangs_is_not_asked_more_and_more(each: bool) -> None:
    """A join beside it is forced at each firing; what it asked for is of no use to it then."""
    ports = {t: Input(PortConfig(t, take, queue, wait_ns=0), (s,), "one", True)
             for t, take, queue, s in (
                 ("fast", "each", Queue("block", 8), "f.out"), ("slow", "latest", Queue("newest"), "h.out"))}  # fmt: skip
    hangs = NodeInfo("h", "", "test_more_laws:Hangs", "node", {}, (_in("item", "s.out", Queue("newest")),), ("out",))
    pair = NodeInfo("pair", "", "test_more_laws:Pair", "node", {}, tuple(ports.values()), ("out",))
    nodes = {
        "f": _source("f", 2000, 0.5),
        "s": _source("s", 3, 1),
        "h": hangs,
        "pair": pair,
        "k": _collect("pair.out", "hangs"),
    }
    clock = SystemClock()
    crew = LocalCrew(_plan(nodes, each=each), clock, RunOptions(offset_ns=clock.offset_ns))
    conductor = Conductor(crew.plan, crew, clock, fresh=False)
    task = asyncio.create_task(conductor.run(drain_s=0))
    key = "h.out->pair.slow"
    while conductor.outcome.nodes.get("pair", {"firings": 0})["firings"] < 1000:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    asked = [len(w.edges[key].asks) for w in crew.workers.values() if key in w.edges]
    asked += [len(w.in_edges[key].asks) for w in crew.workers.values() if key in w.in_edges]
    conductor.stop()
    await task
    LOGS.pop(("hangs", "collected"))
    assert len(asked) == 2
    assert max(asked) <= 300


async def test_the_estimate_by_which_firings_are_skipped_is_told_of_each_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 22, in whatever way a step is run; of those that may not be skipped it is not told."""
    told: list[int] = []
    took = Typical.took
    monkeypatch.setattr(Typical, "took", lambda self, ns: (told.append(ns), took(self, ns)))
    queue, port = Queue("drop_oldest", 8), "message"
    direct = NodeInfo(
        "direct", "", "omnistream_nodes.passthrough:PassThrough", "node", {}, (_in(port, "waits.out", queue),), ("out",)
    )
    waits = _relay("waits", "s.out", 1, queue)
    sure = _relay("sure", "direct.out", 1, Queue("block", 8))
    nodes = {"s": _source("s", 5, 10), "waits": waits, "direct": direct, "sure": sure, "k": _collect("sure.out", "told")}
    outcome = await run_live(_plan(nodes))
    LOGS.pop(("told", "collected"))
    skipped = outcome.ledger.get("skipped", 0)
    assert len(told) == outcome.nodes["waits"]["firings"] + outcome.nodes["direct"]["firings"] - skipped > 0
