"""The Ray engine: the local engine's answers, through SIGKILL, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from law_graphs import layouts, random_graph
from law_nodes import LOGS
from running import check_accounts, keep, replayed, run_fresh
from test_live_laws import relay_chain

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.options import RunOptions
from omnistream.engine.ray import RayCrew
from omnistream.engine.rundir import RunDir
from omnistream.graph.graph import Plan
from omnistream.observe.outcome import Outcome

pytestmark = pytest.mark.ray


OURS: set[psutil.Process] = set()


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Every process that descended from this one while the test ran, Ray's included, is gone; so is the run's directory."""
    OURS.clear()
    yield
    _, left = await asyncio.to_thread(psutil.wait_procs, list(OURS), timeout=5)
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
    mine = [p for p in Path(tempfile.gettempdir()).glob("omnistream-*/owner") if p.read_text() == str(os.getpid())]
    assert not mine


async def _watch() -> None:
    while True:
        OURS.update(psutil.Process().children(recursive=True))
        await asyncio.sleep(0.2)


async def on_ray(
    plan: Plan, *, fresh: bool, kills: list[tuple[float, str]] | None = None, recording: Path | None = None
) -> Outcome:
    clock, home = SystemClock(), RunDir()
    try:
        options = RunOptions(fresh=fresh, offset_ns=clock.offset_ns, run_dir=home.path, record=recording is not None)
        crew = RayCrew(plan, options)
        conductor = Conductor(plan, crew, clock, fresh=fresh)

        async def killer() -> None:
            while not conductor.outcome.started_ns:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            start = asyncio.get_running_loop().time()
            for at, name in kills or []:
                await asyncio.sleep(max(0.0, start + at - asyncio.get_running_loop().time()))
                while name in conductor.down:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                os.kill(crew.pids[name], signal.SIGKILL)

        task, watch = asyncio.create_task(killer()), asyncio.create_task(_watch())
        try:
            outcome = await asyncio.wait_for(conductor.run(), 60)
        finally:
            task.cancel()
            watch.cancel()
        if recording is not None:
            keep(plan, home.path, recording, outcome)
        return outcome
    finally:
        home.remove()


async def test_fresh_on_ray_equals_fresh_in_one_process(nothing_left: None) -> None:
    graph = random_graph(7, "ray", feedback=True)
    plans = layouts(graph, 7)
    here = await run_fresh(plans["one"])
    there = await on_ray(plans["each"], fresh=True)
    assert {n: s["out"] for n, s in here.nodes.items()} == {n: s["out"] for n, s in there.nodes.items()}
    assert not there.ledger
    check_accounts(there)
    for key in [k for k in LOGS if k[0] == "ray"]:
        del LOGS[key]


async def test_commands_survive_killed_processes(nothing_left: None, tmp_path: Path) -> None:
    r = random.Random(5)
    kills = [(0.3, "a"), (1.0, "b"), (1.6 + r.random() / 10, "a")]  # each once the one before is back
    plan = relay_chain("rayrun", 300, 20, 2)
    outcome = await on_ray(_to_file(plan, tmp_path / "effects"), fresh=False, kills=kills)
    effects = Counter(line.split()[-1] for line in (tmp_path / "effects").read_text().splitlines())
    assert outcome.restarts == {"a": 2, "b": 1}
    assert effects == {f"s.{i}": 1 for i in range(300)}, outcome.ledger
    check_accounts(outcome)


async def test_a_run_through_killed_processes_can_be_had_again(nothing_left: None, tmp_path: Path) -> None:
    """Law 6, with SIGKILL of a source, a node and a sink."""
    kills = [(0.3, "a"), (1.0, "k"), (1.6, "s"), (2.2, "b")]
    plan = _to_file(relay_chain("rayrec", 300, 12, 2), tmp_path / "effects")
    outcome = await on_ray(plan, fresh=False, kills=kills, recording=tmp_path / "run.mcap")
    assert sum(outcome.restarts.values()) == 4
    again, cut = await replayed(plan, tmp_path / "run.mcap")
    assert not cut
    assert outcome.digest is not None
    assert again.digest == outcome.digest


async def test_a_stop_while_workers_are_opened_brings_to_rest_what_was(nothing_left: None, tmp_path: Path) -> None:
    import dataclasses

    said = tmp_path / "said"
    plan = relay_chain("early", 10, 10, 1)
    nodes = dict(plan.graph.nodes)
    nodes["b"] = dataclasses.replace(nodes["b"], target="law_nodes:SlowToOpen", options={})
    nodes["k"] = dataclasses.replace(nodes["k"], target="law_nodes:Rests", options={"path": str(said)})
    plan = dataclasses.replace(plan, graph=dataclasses.replace(plan.graph, nodes=nodes))
    clock, home = SystemClock(), RunDir()
    try:
        crew = RayCrew(plan, RunOptions(offset_ns=clock.offset_ns, run_dir=home.path))
        conductor = Conductor(plan, crew, clock, fresh=False)
        run = asyncio.ensure_future(conductor.run())
        while not said.exists() or len(crew.addresses()) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        conductor.stop()
        await asyncio.wait_for(run, 20)
    finally:
        home.remove()
    assert said.read_text().splitlines() == ["open", "the run has ended"]


def _to_file(plan: Plan, path: Path) -> Plan:
    """The same plan with a sink that writes to a file, since its process is another one."""
    import dataclasses

    nodes = dict(plan.graph.nodes)
    nodes["k"] = dataclasses.replace(nodes["k"], target="law_nodes:Append", options={"path": str(path)})
    return dataclasses.replace(plan, graph=dataclasses.replace(plan.graph, nodes=nodes))
