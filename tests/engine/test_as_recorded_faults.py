"""Steps that fail, and what a recording may hold, in a run that is had again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest
from law_nodes import LOGS
from running import keep, replayed, run_live

from omnistream.errors import RecordingError
from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS, Event
from omnistream.node import Context, Node
from omnistream.record.journal import firings
from omnistream.record.writer import RecordingWriter


@dataclass(kw_only=True)
class Stray(Node):
    """Gives for every third event something that cannot leave the worker."""

    count: int = 0

    async def step(self, item: Event) -> Event | None:
        self.count += 1
        return Event("m", {"v": object() if self.count % 3 == 0 else item.data["v"]})


@dataclass(kw_only=True)
class Oracle(Stray):
    """The same, and no function of what it is given."""

    external = True


@dataclass(kw_only=True)
class Breaks(Node):
    """Says each thing, waits and fails."""

    async def step(self, item: Event) -> AsyncIterator[Event]:
        yield item
        await asyncio.sleep(0.02)
        raise ValueError("it always does")


@dataclass(kw_only=True)
class Shut(Node):
    """Can be opened once."""

    async def open(self, ctx: Context) -> None:
        del ctx
        if LOGS.setdefault(("shut", "opened"), []):
            raise KeyError("weights")
        LOGS["shut", "opened"].append(1)

    async def step(self, item: Event) -> Event | None:
        return item


def plan_of(node: str, *, count: int = 9, apart: bool = True) -> Plan:
    def reads(stream: str, form: str = "one") -> tuple[Input, ...]:
        return (Input(PortConfig("item", "each", Queue("block", 4)), (stream,), form),)  # type: ignore[arg-type]

    stamps = [i * 5 * MS for i in range(1, count + 1)]
    nodes = {
        "s": NodeInfo("s", "", "law_nodes:Script", "source", {"stamps": stamps, "pace": True}, (), ("out",)),
        "n": NodeInfo("n", "", f"test_as_recorded_faults:{node}", "node", {}, reads("s.out"), ("out",)),
        "k": NodeInfo("k", "", "law_nodes:Collect", "sink", {"run": "faults"}, reads("n.out", "message"), ()),
    }
    graph = Graph("faults", 200 * MS, nodes)
    return Plan(graph, tuple(WorkerPlan(n, (n,)) for n in nodes) if apart else (WorkerPlan("all", tuple(nodes)),))


async def recorded(plan: Plan, tmp_path: Path, kills: list[tuple[float, str]] | None = None) -> tuple[Path, Any]:
    outcome = await run_live(plan, kills or [], record_in=str(tmp_path))
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    LOGS.pop(("faults", "collected"), None)
    return tmp_path / "run.mcap", outcome


@pytest.mark.parametrize("node", ["Stray", "Oracle"])
@pytest.mark.parametrize("apart", [True, False])
async def test_what_could_not_leave_a_worker_is_refused_again(node: str, apart: bool, tmp_path: Path) -> None:
    plan = plan_of(node, apart=apart)
    path, outcome = await recorded(plan, tmp_path)
    again, cut = await replayed(plan, path)
    assert outcome.ledger["error"] == 3
    assert not cut
    assert again.digest == outcome.digest


async def test_a_step_that_was_killed_on_its_way_to_an_error(tmp_path: Path) -> None:
    plan = plan_of("Breaks")
    path, outcome = await recorded(plan, tmp_path, [(0.03 + 0.011 * i, "n") for i in range(4)])
    assert outcome.restarts["n"] >= 2
    again, cut = await replayed(plan, path)
    assert not cut
    assert again.digest == outcome.digest


async def test_a_node_that_cannot_be_opened_in_the_replay_is_told(tmp_path: Path) -> None:
    LOGS.pop(("shut", "opened"), None)
    plan = plan_of("Shut")
    path, _ = await recorded(plan, tmp_path)
    with pytest.raises(RecordingError, match="nodes.n: Shut cannot be opened: KeyError"):
        await replayed(plan, path)


@pytest.mark.parametrize(
    "row",
    [
        ["f", "n", 1 << 63, [], [], "consumed"],
        ["f", "n", 1, [], [["out", 0]], "consumed"],
        ["f", "n", 1, [], [7], "consumed"],
        ["f", "n", 1, [], [["out", 0, 1 << 63]], "consumed"],
        ["f", "n", 1, [[0, False, [[0, 0]]]], [], "consumed"],
        ["g", "n", [["out", 0, 1]]],
        ["s", "k", 1, [], "consumed", b"", [[]]],
        ["e", "n", "consumed"],
        ["o", 7],
        7,
    ],
)
def test_a_damaged_row_is_told(row: Any) -> None:
    with pytest.raises(RecordingError, match="the journal holds"):
        list(firings([msgpack.packb(row)], 0))


@pytest.mark.parametrize("rows", [7, None, {"a": 1}, "x"])
async def test_a_journal_that_is_no_list_is_told(rows: Any, tmp_path: Path) -> None:
    plan = plan_of("Stray")
    path, _ = await recorded(plan, tmp_path)
    with RecordingWriter(path, start_ns=0, resume=True) as file:
        file.write_record("journal/n.0", "Journal", 1 << 60, 0, msgpack.packb(rows))
    with pytest.raises(RecordingError, match=r"the journal of n\.0 is damaged"):
        await replayed(plan, path)


async def test_a_sink_with_a_port_that_the_graph_has_not_is_told(tmp_path: Path) -> None:
    plan = plan_of("Stray")
    path, _ = await recorded(plan, tmp_path)
    row = msgpack.packb(["s", "k", 1, [], "consumed", b"", [5]])
    with RecordingWriter(tmp_path / "strange.mcap", start_ns=0, metadata={"sets": "[]"}) as file:
        file.metadata("run", {"seed": "0", "start_ns": "0"})
        file.write_record("journal/k.0", "Journal", 1, 0, msgpack.packb([row]))
    path = tmp_path / "strange.mcap"
    with pytest.raises(RecordingError, match="has no input 5"):
        await replayed(plan, path)
