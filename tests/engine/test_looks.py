"""Laws of looking on: it changes nothing, it is the same each time, and one node alone gives what it gave in the run."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from law_graphs import layouts, random_graph
from law_nodes import LOGS
from running import replayed
from test_as_recorded import clear, recorded, watched_graph

from omnistream.clock import SystemClock
from omnistream.engine.as_recorded import AsRecorded
from omnistream.engine.conductor import Conductor
from omnistream.engine.only import OnlyOne
from omnistream.engine.options import RunOptions
from omnistream.engine.seen import Seen
from omnistream.engine.watched import WatchedCrew
from omnistream.graph.graph import Graph
from omnistream.record.evidence import RunEvidence
from omnistream.record.reader import Recording


class Notes:
    """Writes down what it sees; with `enough`, so many firings."""

    def __init__(self, enough: int = 1 << 30) -> None:
        self.seen: list[Any] = []
        self.enough = enough

    @property
    def over(self) -> bool:
        return len(self.seen) >= self.enough

    def fired(self, seen: Seen) -> None:
        reads = [(port, [(m.stream, m.epoch, m.seq) for m in messages]) for port, messages in seen.reads]
        self.seen.append((seen.t, seen.node, seen.life, reads, [(m.stream, m.seq, m.stamp_ns) for m in seen.outs], seen.fate))


def steps_of(run: str) -> dict[str, int]:
    return {n: len(log) for (r, n), log in LOGS.items() if r == run}


async def watched(graph: Graph, notes: Notes) -> Any:
    clock = SystemClock()
    crew = WatchedCrew(graph, clock, RunOptions(fresh=True), notes)
    conductor = Conductor(crew.plan, crew, clock, fresh=True)
    crew.enough = conductor.stop
    return await asyncio.wait_for(conductor.run(), 30)


@pytest.mark.parametrize("block", range(4))
async def test_a_fresh_replay_is_shown_whole_and_alike_each_time(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        graph = random_graph(seed, "looks", feedback=seed % 3 == 0, policies=("block", "newest", "drop_oldest"))
        notes, again = Notes(), Notes()
        outcome = await watched(graph, notes)
        logs = {n: LOGS.pop((r, n)) for r, n in list(LOGS) if r == "looks"}
        await watched(graph, again)
        clear("looks")
        assert notes.seen == again.seen, seed
        assert [s[0] for s in notes.seen] == sorted(s[0] for s in notes.seen), "by t"
        assert {n: [t for t, _ in log] for n, log in logs.items()} == {
            n: [s[0] for s in notes.seen if s[1] == n] for n in logs
        }, (seed, "each firing of each node, in its order")
        assert len(notes.seen) == sum(n.get("firings", 0) for n in outcome.nodes.values())


async def test_an_onlooker_who_has_seen_enough_ends_it() -> None:
    notes = Notes(5)
    outcome = await watched(random_graph(3, "enough"), notes)
    stepped = steps_of("enough")
    await asyncio.sleep(0.05)
    assert steps_of("enough") == stepped, "no node steps that is closed"
    clear("enough")
    assert len(notes.seen) == 5
    assert outcome.stopped_by == "stopped"


@pytest.mark.parametrize("seed", range(6))
async def test_each_node_alone_gives_what_it_gave(seed: int, tmp_path: Path) -> None:
    """In a run that dropped, forced and was killed; feedback and all."""
    plan = layouts(watched_graph(seed, "only"), seed)["some"]
    r = random.Random(seed)
    kills = sorted((r.uniform(0.01, 0.2), r.choice(plan.workers).name) for _ in range(2))
    path, digest = await recorded(plan, kills, tmp_path)
    clear("only")
    with Recording(path) as file:
        notes = Notes()
        outcome = await AsRecorded(plan, RunEvidence(file), watch=notes).run()
        assert outcome.digest == digest
        for info in plan.graph.nodes.values():
            if info.role == "node" and any(s[1] == info.name for s in notes.seen):
                mine = Notes()
                only = OnlyOne(plan, RunEvidence(file), info.name, watch=mine)
                await only.run()
                assert not only.apart, (info.name, only.apart[:2])
                assert not only.cut
                assert [s for s in mine.seen if s[1] == info.name] == [s for s in notes.seen if s[1] == info.name]
    clear("only")
    assert (await replayed(plan, path))[0].digest == digest
    clear("only")
