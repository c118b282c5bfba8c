"""Captions word by word, which the fused reasoner says between its decisions, are the same on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.ray import RayCrew
from omnistream.engine.rundir import RunDir
from omnistream.graph.load import load_graph
from omnistream.graph.plan import make_plan
from omnistream.record.reader import Recording

ROOT = Path(__file__).parents[2]


@pytest.mark.ray
@pytest.mark.slow
async def test_captions_word_by_word_are_the_same_on_ray(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    with Recording("graphs/recordings/table.mcap") as recording:
        start = recording.start_ns
    graph = load_graph(ROOT / "graphs" / "examples" / "object_looks.yaml", ("nodes.reason.with.captions=words",), [])
    digests = set()
    for engine in ("local", "ray"):
        plan, clock, home = make_plan(graph, "one"), SystemClock(), RunDir()
        try:
            options = RunOptions(fresh=True, start_ns=start, offset_ns=clock.offset_ns, run_dir=home.path)
            crew = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, clock, options)
            ended = await Conductor(plan, crew, clock, fresh=True, start_ns=start).run()
        finally:
            home.remove()
        assert ended.nodes["reason"]["out"] > 4
        digests.add(ended.digest)
    assert len(digests) == 1
