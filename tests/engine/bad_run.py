"""A live run in which everything goes wrong that may: it drops, forces bounds, skips what is late, and loses a worker twice.

Its recording is for replays as recorded, of the tests and of launch/soak_replay.py.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from law_nodes import LOGS
from running import keep, run_live

from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS
from omnistream.record.evidence import RunEvidence
from omnistream.record.journal import Fired
from omnistream.record.reader import Recording

__all__ = ["BadRun", "bad_plan", "bad_run"]


@dataclass(frozen=True)
class BadRun:
    """The recording, the digest of what the sinks were given, and how often each thing went wrong."""

    path: Path
    digest: str
    wrongs: Counter[str]

    @property
    def lacks(self) -> list[str]:
        """What did not go wrong."""
        return [what for what in ("dropped", "forced", "skipped", "killed twice") if not self.wrongs[what]]


def bad_plan() -> Plan:
    """Two sources, two relays that are too slow for them, a join that will not wait for the slower one."""

    def reads(name: str, stream: str, queue: Queue, wait_ms: int = 20, form: str = "one") -> Input:
        return Input(PortConfig(name, "each", queue, wait_ns=wait_ms * MS), (stream,), form, True)  # type: ignore[arg-type]

    def script(every_ms: int, count: int) -> dict[str, object]:
        return {"stamps": [i * every_ms * MS for i in range(1, count + 1)], "pace": True}

    def said(stream: str) -> Input:
        return reads("item", stream, Queue("block", 4), form="message")

    block, few, newest = Queue("block", 4), Queue("drop_oldest", 8), Queue("newest")
    join = (reads("p0", "s1.out", block, 3, "message"), reads("p1", "late.out", few, 3, "message"))
    nodes = {
        "s0": NodeInfo("s0", "", "law_nodes:Script", "source", script(4, 200), (), ("out",)),
        "s1": NodeInfo("s1", "", "law_nodes:Script", "source", script(10, 80), (), ("out",)),
        "late": NodeInfo("late", "", "law_nodes:Relay", "node", {"busy_ms": 8}, (reads("item", "s0.out", few),), ("out",)),
        "shed": NodeInfo("shed", "", "law_nodes:Relay", "node", {"busy_ms": 9}, (reads("item", "s0.out", newest),), ("out",)),
        "join": NodeInfo("join", "", "law_nodes:Mixer", "node", {"run": "bad"}, join, ("a",)),
        "k0": NodeInfo("k0", "", "law_nodes:Collect", "sink", {"run": "bad"}, (said("join.a"),), ()),
        "k1": NodeInfo("k1", "", "law_nodes:Collect", "sink", {"run": "bad"}, (said("shed.out"),), ()),
    }  # fmt: skip
    return Plan(Graph("bad", 40 * MS, nodes), tuple(WorkerPlan(n, (n,)) for n in nodes))


async def bad_run(folder: Path, seed: int = 0) -> BadRun:
    """Such a run, recorded into `folder`. On a host that is too fast or too slow something may not go wrong: see `lacks`."""
    r = random.Random(seed)
    victim = r.choice(["join", "late", "shed", "k0"])
    kills = [(r.uniform(0.1, 0.3), victim), (r.uniform(0.4, 0.6), victim)]
    outcome = await run_live(bad_plan(), kills, record_in=str(folder))
    for key in [k for k in LOGS if k[0] == "bad"]:
        del LOGS[key]
    path = folder / "bad.mcap"
    keep(bad_plan(), str(folder), path, outcome)
    assert outcome.digest is not None
    with Recording(path) as file:
        rows = [row for found in RunEvidence(file).rows().values() for row in found if isinstance(row, Fired)]
    wrongs = Counter(
        {
            "dropped": outcome.ledger["dropped"],
            "forced": sum(n.get("forced", 0) for n in outcome.nodes.values()),
            "skipped": sum(row.fate == "skipped" for row in rows),
            "killed twice": int(max(outcome.restarts.values(), default=0) == 2),
            "late": outcome.ledger["late"],
            "firings": len(rows),
        }
    )
    return BadRun(path, outcome.digest, wrongs)
