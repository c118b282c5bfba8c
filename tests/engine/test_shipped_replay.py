"""The main job on real input: fresh replays of the shipped recording have one digest, on both engines, loaded or not."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from processes import load

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.ray import RayCrew
from omnistream.engine.rundir import RunDir
from omnistream.graph.load import load_graph
from omnistream.graph.plan import Layout, make_plan
from omnistream.observe.outcome import Outcome
from omnistream.record.reader import Recording

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "graphs" / "recordings"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first seven seconds: a person says "go forward ten meters"."""
    from cut import cut

    path = tmp_path_factory.mktemp("clip") / "clip.mcap"
    cut(ROOT / "graphs" / "recordings" / "voice_robot.mcap", path, 7)
    return path


async def replay(clip: Path, engine: str, layout: Layout) -> Outcome:
    with Recording(clip) as file:
        start, end = file.start_ns, file.end_ns
    graph = load_graph(ROOT / "graphs" / "voice_robot.yaml", (), [f"mic={clip}", f"camera={clip}"])
    plan = make_plan(graph, layout)
    clock, home = SystemClock(), RunDir()
    try:
        options = RunOptions(fresh=True, start_ns=start, end_ns=end, offset_ns=clock.offset_ns, run_dir=home.path)
        crew = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, clock, options)
        return await asyncio.wait_for(Conductor(plan, crew, clock, fresh=True, start_ns=start).run(), 200)
    finally:
        home.remove()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_fresh_replay_has_one_digest(clip: Path) -> None:
    first = await replay(clip, "local", "one")
    assert first.nodes["glasses"]["out"] >= 1
    assert first.nodes["robot"]["out"] > 20, "the robot is told to move"
    assert not first.ledger
    with load(1):
        others = await asyncio.gather(replay(clip, "local", "each"), replay(clip, "ray", "each"))
    assert {first.digest} == {other.digest for other in others}
