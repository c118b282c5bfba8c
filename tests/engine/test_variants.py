"""Which variant a step was is a choice: it is recorded, had again as recorded, and never made in a fresh replay."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
from law_graphs import layouts, random_graph
from law_nodes import Varied
from running import check_accounts, keep, kill_at, replayed, run_fresh

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.crew import Crew
from omnistream.engine.hosted import Hosted
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.ray import RayCrew
from omnistream.engine.rundir import RunDir
from omnistream.errors import RecordingError
from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan
from omnistream.message import MS
from omnistream.observe.outcome import Outcome
from omnistream.record.evidence import RunEvidence
from omnistream.record.journal import Fired, firings
from omnistream.record.reader import Recording


def varied_plan(seed: int, run: str, layout: str = "some", scale: int = MS) -> Plan:
    """A random graph under pressure of nodes with variants, and a sink for every output of them."""
    graph = random_graph(seed, run, policies=("block", "newest"), scale=scale, wait_ns=3 * MS, pace=True)
    nodes: dict[str, NodeInfo] = {}
    for name, info in graph.nodes.items():
        nodes[name] = info
        if info.role == "node":
            nodes[name] = replace(info, target="law_nodes:Varied", variants=Varied.variants)
            for out in info.outputs:
                port = PortConfig("item", "each", Queue("block", 4))
                inputs = (Input(port, (f"{name}.{out}",), "message"),)
                nodes[f"k_{name}{out}"] = NodeInfo(f"k_{name}{out}", "", "law_nodes:Collect", "sink", {"run": run}, inputs, ())
    return layouts(Graph("varied", 200 * MS, nodes), seed)[layout]


async def switched(conductor: Conductor, crew: Crew, seed: int) -> Outcome:
    """A run in which nodes are switched all the time."""
    r = random.Random(seed)
    able = {w.name: [n for n in w.nodes if conductor.plan.graph.nodes[n].variants] for w in conductor.plan.workers}

    async def switch() -> None:
        while True:
            await asyncio.sleep(0.004)
            if conductor.outcome.started_ns:
                worker = r.choice([w for w, nodes in able.items() if nodes])
                names = {n: r.choice(Varied.variants) for n in able[worker]}
                try:
                    await crew.call(worker, "vary", names)
                except Exception:  # noqa: BLE001  it is dead just now
                    await asyncio.sleep(0.01)

    task = asyncio.create_task(switch())
    try:
        return await asyncio.wait_for(conductor.run(), 60)
    finally:
        task.cancel()


def variants_in(path: Path) -> set[str]:
    with Recording(path) as file:
        return {r.variant for rows in RunEvidence(file).rows().values() for r in rows if isinstance(r, Fired)}


@pytest.mark.parametrize("seed", range(6))
async def test_a_run_through_switches_can_be_had_again_through_kills_too(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = varied_plan(seed, "switched")
    choice = random.Random(seed)

    def fire(self: Hosted, t: int, whole: Callable[[Hosted, int], bool] = Hosted.fire) -> bool:
        """Every firing may be another variant, in blocks: one that is kept for a while, too."""
        if self.variants and not choice.randrange(2):
            self.worker.vary({self.name: choice.choice(self.variants)})
        return whole(self, t)

    monkeypatch.setattr(Hosted, "fire", fire)
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns, run_dir=str(tmp_path), record=True))
    conductor = Conductor(plan, crew, clock, fresh=False)
    r = random.Random(seed)
    kills = [(r.uniform(0.02, 0.06) * n, r.choice(plan.workers).name) for n in range(1, 1 + 2 * (seed % 2))]
    killer = asyncio.create_task(kill_at(conductor, crew, kills))
    outcome = await asyncio.wait_for(conductor.run(), 60)
    killer.cancel()
    assert bool(outcome.restarts) == bool(kills)
    check_accounts(outcome)
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    assert len(variants_in(tmp_path / "run.mcap") & set(Varied.variants)) > 1
    again, cut = await replayed(plan, tmp_path / "run.mcap")
    assert not cut
    assert again.digest == outcome.digest is not None


@pytest.mark.ray
async def test_on_ray_with_killed_processes_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    plan = varied_plan(3, "on_ray", scale=10 * MS)
    clock = SystemClock()
    home = RunDir()
    crew = RayCrew(plan, RunOptions(offset_ns=clock.offset_ns, run_dir=home.path, record=True))
    conductor = Conductor(plan, crew, clock, fresh=False)

    async def kill() -> None:
        while not conductor.outcome.started_ns:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        victim = next(w.name for w in plan.workers if any(plan.graph.nodes[n].variants for n in w.nodes))
        os.kill(crew.pids[victim], signal.SIGKILL)

    killer = asyncio.create_task(kill())
    try:
        outcome = await switched(conductor, crew, 3)
        await killer
        keep(plan, home.path, tmp_path / "run.mcap", outcome)
    finally:
        home.remove()
    assert outcome.restarts
    assert variants_in(tmp_path / "run.mcap") & set(Varied.variants)
    again, cut = await replayed(plan, tmp_path / "run.mcap")
    assert not cut
    assert again.digest == outcome.digest is not None


async def test_a_fresh_replay_has_the_first_variant_whatever_is_asked_for() -> None:
    plan = varied_plan(2, "fresh", "one", scale=1)
    digest = (await run_fresh(plan)).digest
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(fresh=True, variants=dict.fromkeys(plan.graph.nodes, "tiny")))
    conductor = Conductor(plan, crew, clock, fresh=True)
    assert (await switched(conductor, crew, 2)).digest == digest


async def test_a_pinned_variant_is_so_from_the_first_firing_on(tmp_path: Path) -> None:
    plan = varied_plan(1, "pinned", "one")
    clock = SystemClock()
    pins = {n: "tiny" for n, info in plan.graph.nodes.items() if info.variants}
    options = RunOptions(offset_ns=clock.offset_ns, run_dir=str(tmp_path), record=True, variants=pins)
    outcome = await Conductor(plan, LocalCrew(plan, clock, options), clock, fresh=False).run()
    assert {outcome.nodes[n]["variant"] for n in pins} == {"tiny"}
    keep(plan, str(tmp_path), tmp_path / "run.mcap", outcome)
    assert variants_in(tmp_path / "run.mcap") == {"tiny", ""}, "sinks have none"
    again, _ = await replayed(plan, tmp_path / "run.mcap")
    assert again.digest == outcome.digest
    nodes = {n: replace(i, variants=("full",) if i.variants else ()) for n, i in plan.graph.nodes.items()}
    with pytest.raises(RecordingError, match="was its variant 'tiny' in the run, and there is none such; it has full"):
        await replayed(Plan(replace(plan.graph, nodes=nodes), plan.workers), tmp_path / "run.mcap")


def test_rows_of_before_there_were_variants_are_read() -> None:
    old, new = ["f", "n", 5, [], [], "consumed"], ["f", "n", 6, [], [], "skipped", "small"]
    rows = list(firings([msgpack.packb(old), msgpack.packb(new)], 0))
    assert [r.variant for r in rows if isinstance(r, Fired)] == ["", "small"]
    for bad in (7, "a", "b"), (7,):
        with pytest.raises(RecordingError, match="damaged row"):
            list(firings([msgpack.packb([*old, *bad])], 0))
