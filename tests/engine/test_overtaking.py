"""Rule 14: stops and commands overtake frames between nodes and between edges, and never inside one of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from law_nodes import LOGS
from running import run_live

from omnistream.clock import SystemClock
from omnistream.engine.options import RunOptions
from omnistream.engine.worker import Worker
from omnistream.flow.config import PortConfig, Queue
from omnistream.flow.rank import COMMAND, FLOW, RANKS, URGENT
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS, Event, Message
from omnistream.node import Node


@dataclass(kw_only=True)
class Logs(Node):
    """Passes on what it is given, and writes down that it did."""

    name: str

    async def step(self, item: Event) -> Event | None:
        LOGS.setdefault(("overtaking", "steps"), []).append(f"{self.name}{item.data['v'].rpartition('.')[2]}")
        return item


def _node(name: str, stream: str, queue: Queue, urgent: bool = False) -> NodeInfo:
    port = Input(PortConfig("item", "each", queue, urgent=urgent), (stream,))
    return NodeInfo(name, "", "test_overtaking:Logs", "node", {"name": name}, (port,), ("out",))


def _plan(each: bool) -> Plan:
    """A source at once to a node that takes frames; what it gives goes to one that takes commands, and to an urgent one."""
    nodes = {
        "s": NodeInfo("s", "", "law_nodes:Script", "source", {"stamps": [1, 2, 3, 4, 5, 6]}, (), ("out",)),
        "f": _node("f", "s.out", Queue("drop_oldest", 64)),
        "c": _node("c", "f.out", Queue("block", 8)),
        "u": _node("u", "f.out", Queue("block", 8), urgent=True),
        "g": _node("g", "f.out", Queue("drop_oldest", 64)),
    }
    for name in "cug":
        port = Input(PortConfig("item", "each", Queue("block", 8)), (f"{name}.out",), "message")
        nodes[f"k{name}"] = NodeInfo(f"k{name}", "", "law_nodes:Collect", "sink", {"run": "overtaking"}, (port,), ())
    workers = [WorkerPlan(n, (n,)) for n in nodes] if each else [WorkerPlan("main", tuple(nodes))]
    return Plan(Graph("overtaking", 10_000 * MS, nodes), tuple(workers))


async def test_what_is_urgent_runs_between_two_firings_of_a_node_that_has_more_to_do() -> None:
    await run_live(_plan(each=False))
    steps = LOGS.pop(("overtaking", "steps"))
    LOGS.pop(("overtaking", "collected"))
    for name in "fcug":
        assert [s for s in steps if s[0] == name] == [f"{name}{i}" for i in range(6)], "the order inside a node stays"
    for i in range(5):  # "f" has all six before it begins
        assert steps.index(f"u{i}") < steps.index(f"c{i}") < steps.index(f"f{i + 1}")


class Posted:
    """A post that keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[tuple[Any, ...]]]] = []

    def connect(self, peer: str, incarnation: int, address: str) -> None: ...

    def disconnect(self, peer: str) -> None: ...

    def send(self, peer: str, items: list[tuple[Any, ...]]) -> None:
        self.batches.append((peer, items))

    def send_all(self, outbox: dict[str, list[tuple[Any, ...]]]) -> None:
        for peer, items in outbox.items():
            self.send(peer, items)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["p", "q"]), st.integers(0, 8)), max_size=40))
async def test_a_batch_has_what_is_urgent_first_and_every_edge_in_its_order(said: list[tuple[str, int]]) -> None:
    post = Posted()
    worker = Worker(_plan(each=True), "f", SystemClock(), RunOptions(), post)
    for peer in ("p", "q"):
        worker.exchange.connect(peer, 0, "")
    post.batches.clear()
    for number, (peer, edge) in enumerate(said):
        worker.exchange.put(peer, ("b", edge, number), edge % 3)
    worker.exchange.flush()
    for peer, items in post.batches:
        assert [i[1] % 3 for i in items] == sorted(i[1] % 3 for i in items)
        for edge in range(9):
            assert [i[2] for i in items if i[1] == edge] == [n for n, s in enumerate(said) if s == (peer, edge)]
    firsts = [items[0][1] % 3 for _, items in post.batches]
    assert firsts == sorted(firsts), "and the peer for whom there is something urgent comes first"


@pytest.mark.parametrize("ready", [[FLOW, COMMAND, URGENT], [COMMAND, FLOW, URGENT, FLOW]])
async def test_nodes_run_by_rank_and_the_last_of_them_gets_a_share(ready: list[int]) -> None:
    worker = Worker(_plan(each=False), "main", SystemClock(), RunOptions(), Posted())
    worker.build()
    by_rank = {URGENT: ["u"], COMMAND: ["c", "kc"], FLOW: ["f", "g"]}
    assert {n: worker.nodes[n].rank for names in by_rank.values() for n in names} == {
        n: r for r, names in by_rank.items() for n in names
    }
    names = {rank: iter(by_rank[rank]) for rank in RANKS}
    for rank in ready:
        worker.wake(worker.nodes[next(names[rank])])
    order = [h.rank for h in iter(worker._next, None)]
    assert order == sorted(ready)
    waiting = {worker.nodes["f"], worker.nodes["c"]}
    for node in waiting:
        worker.ready[node.rank].append(node)
    for _ in range(16):  # beside a node that always has something urgent to do
        worker.ready[URGENT].append(worker.nodes["u"])
        waiting.discard(worker._next())
    assert not waiting


async def test_the_first_message_of_a_turn_goes_at_once_and_the_others_with_the_batch() -> None:
    post = Posted()
    exchange = Worker(_plan(each=True), "f", SystemClock(), RunOptions(), post).exchange
    exchange.connect("p", 0, "")
    post.batches.clear()

    def sent() -> list[list[int]]:
        return [[i[2] for i in items] for _, items in post.batches]

    exchange.put("p", ("b", 0, 0), COMMAND)
    exchange.send("p", ("m", 0, 1))
    exchange.send("p", ("m", 0, 2))
    assert sent() == [[0, 1]], "with what had gathered before it"
    exchange.flush()
    assert sent() == [[0, 1], [2]]
    for n in range(3, 12):
        exchange.send("p", ("m", 0, n))
    exchange.flush()
    assert sent()[2:] == [[3], list(range(4, 12))]
    exchange.send("p", ("m", 0, 12))
    assert len(post.batches) == 4, "while there are many, none goes alone"
    exchange.flush()
    exchange.send("p", ("m", 0, 13))
    assert sent()[4:] == [[12], [13]]


async def test_what_a_dead_life_of_a_receiver_had_said_is_not_gone_by() -> None:
    """A sender that was made again has heard one receiver, which dies while the other is waited for."""
    post = Posted()
    plan = _plan(each=True)
    worker = Worker(plan, "f", SystemClock(), RunOptions(incarnation=1, accounts={}), post)
    worker.build()
    numbers = {entry.peer: number for number, entry in worker.exchange.outbound.items()}
    assert numbers.keys() == {"c", "u", "g"}
    for peer in ("s", *numbers):
        worker.exchange.connect(peer, 0, "")

    def greets(peer: str, received: int) -> None:
        said = {numbers[peer]: (received, received, 0, {"consumed": received}, 0, False)} if peer in numbers else {}
        worker.exchange.receive(peer, [("h", said)])

    greets("s", 0)
    greets("c", 7)
    worker.exchange.lost("c")
    worker.exchange.connect("c", 1, "")
    greets("c", 0)
    greets("u", 9)
    greets("g", 9)
    for peer, number in numbers.items():
        counts = worker.exchange.outbound[number].edge.counts()
        assert counts["sent"] == counts["pending"] + counts["held"] + sum(counts["fates"].values()) == 9, (peer, counts)
        assert worker.exchange.outbound[number].edge.credits == worker.exchange.outbound[number].edge.capacity


async def test_what_leaves_a_worker_at_once_is_packed_before() -> None:
    class Looks(Posted):
        def send(self, peer: str, items: list[tuple[Any, ...]]) -> None:
            packed.extend((peer, item[4].packed is not None) for item in items if item[0] == "m")

    packed: list[tuple[str, bool]] = []
    worker = Worker(_plan(each=True), "c", SystemClock(), RunOptions(), Looks())
    worker.build()
    (come,), (go,) = worker.exchange.inbound, worker.exchange.outbound
    for peer, said in (("f", {}), ("kc", {go: (0, 0, 0, {}, 0, False)})):
        worker.exchange.connect(peer, 0, "")
        worker.exchange.receive(peer, [("h", said)])
    await worker.start(0)
    await asyncio.sleep(0)
    now = worker.clock.now()
    message = Message("f.out", 0, 0, ("s.out", 0, 0), now, now, now + 10_000 * MS, {"s.out": now}, Event("law", {"v": "s.0"}))
    worker.receive("f", [("m", come, now + 1, False, message)])
    assert packed == [("kc", True)], "though the turn has not ended"
    assert LOGS.pop(("overtaking", "steps")) == ["c0"]
