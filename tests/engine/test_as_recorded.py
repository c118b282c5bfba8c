"""Laws 6 and 14: a live run can be had again exactly, whatever it dropped, forced or lost; of a cut journal, its beginning."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from law_graphs import layouts, random_graph
from law_nodes import LOGS
from running import check_accounts, keep, replayed, run_live

from omnistream.errors import RecordingError
from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan
from omnistream.message import MS
from omnistream.record.evidence import RunEvidence
from omnistream.record.journal import Fired
from omnistream.record.reader import Recording


def watched_graph(seed: int, run: str) -> Graph:
    """A random graph under pressure, and a sink for every output of its mixers."""
    graph = random_graph(
        seed, run, policies=("block", "newest", "drop_oldest"), scale=MS, wait_ns=3 * MS, pace=True, feedback=seed % 3 == 0
    )
    nodes = dict(graph.nodes)
    for name, info in graph.nodes.items():
        for out in info.outputs if info.role == "node" else ():
            port = PortConfig("item", "each", Queue("block", 4))
            inputs = (Input(port, (f"{name}.{out}",), "message"),)
            nodes[f"k_{name}{out}"] = NodeInfo(f"k_{name}{out}", "", "law_nodes:Collect", "sink", {"run": run}, inputs, ())
    return Graph("watched", 200 * MS, nodes)


def clear(run: str) -> dict[str, list[object]]:
    return {n: LOGS.pop((r, n)) for r, n in list(LOGS) if r == run and n != "collected"}


async def recorded(plan: Plan, kills: list[tuple[float, str]], tmp_path: Path) -> tuple[Path, str | None]:
    outcome = await run_live(plan, kills, record_in=str(tmp_path))
    check_accounts(outcome)
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    return tmp_path / "run.mcap", outcome.digest


@pytest.mark.parametrize("seed", range(8))
async def test_a_run_with_drops_and_forced_bounds_can_be_had_again(seed: int, tmp_path: Path) -> None:
    plan = layouts(watched_graph(seed, "again"), seed)["some"]
    path, digest = await recorded(plan, [], tmp_path)
    live = clear("again")
    again, cut = await replayed(plan, path)
    assert not cut
    assert clear("again") == live
    assert again.digest == digest


@pytest.mark.parametrize("seed", range(8))
async def test_a_run_with_killed_workers_can_be_had_again(seed: int, tmp_path: Path) -> None:
    """Any worker, sources and sinks among them, at any moment."""
    plan = layouts(watched_graph(seed, "killed"), seed)["some"]
    r = random.Random(seed)
    kills = sorted((r.uniform(0.01, 0.2), r.choice(plan.workers).name) for _ in range(3))
    path, digest = await recorded(plan, kills, tmp_path)
    again, cut = await replayed(plan, path)
    assert not cut
    assert digest is not None, "the digest goes on through the lives of a sink"
    assert again.digest == digest
    clear("killed")


@pytest.mark.parametrize("seed", range(8))
async def test_a_cut_or_damaged_journal_gives_a_beginning_or_a_refusal(seed: int, tmp_path: Path) -> None:
    plan = layouts(watched_graph(seed, "cut"), seed)["some"]
    outcome = await run_live(plan, [], record_in=str(tmp_path))
    keep(plan, str(tmp_path), tmp_path / "whole.mcap", outcome)
    with Recording(tmp_path / "whole.mcap") as file:
        rows = RunEvidence(file).rows()
    chains = {n: ["", *(r.chain for r in found if isinstance(r, Fired))] for n, found in rows.items()}
    r = random.Random(seed)
    parts = {p: p.read_bytes() for p in tmp_path.glob("*.part")}
    endings = 0
    for case in range(100):
        if case >= 12 and endings:
            break
        victim, data = r.choice([(p, d) for p, d in parts.items() if d])
        at = r.randrange(len(data))
        victim.write_bytes(data[:at] if case % 2 else data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        (tmp_path / "cut.mcap").unlink(missing_ok=True)
        keep(plan, str(tmp_path), tmp_path / "cut.mcap", outcome)
        try:
            again, cut = await replayed(plan, tmp_path / "cut.mcap")
        except RecordingError as error:
            assert "hole" in str(error)
        else:
            endings += bool(cut)
            assert all(chain in chains[sink] for sink, chain in again.sinks.items() if chain)
        victim.write_bytes(data)
    assert endings, "no cut was met: the test shows nothing"
    clear("cut")


async def test_another_recording_or_another_node_is_told(tmp_path: Path) -> None:
    plan = layouts(watched_graph(1, "other"), 1)["some"]
    path, _ = await recorded(plan, [], tmp_path)
    clear("other")
    nodes = {n: i for n, i in plan.graph.nodes.items() if n != "n0" and "n0" not in n}
    smaller = layouts(Graph("watched", 200 * MS, {n: i for n, i in nodes.items() if i.role == "source"}), 1)["one"]
    with pytest.raises(RecordingError, match="another graph"):
        await replayed(smaller, path)
