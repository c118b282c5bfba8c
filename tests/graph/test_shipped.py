"""The graphs that ship with the repository, as `omnistream check` sees them on a small computer."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from omnistream.graph.draw_text import draw_text
from omnistream.graph.host import Host
from omnistream.graph.load import load_graph
from omnistream.graph.plan import make_plan
from omnistream.graph.schema import graph_schema

GRAPHS = Path(__file__).parents[2] / "graphs"
FILES = [f for f in sorted(GRAPHS.rglob("*.yaml")) if "nodes:" in f.read_text(encoding="utf-8")]
VOICE_ROBOT = GRAPHS / "voice_robot.yaml"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_every_graph_is_sound_and_runs_on_two_cores_without_a_gpu(file: Path) -> None:
    plan = make_plan(load_graph(file), host=Host(cpus=2, gpus=0))
    assert not any("nobody reads" in n or "no node is" in n for n in plan.notices)
    assert draw_text(plan.graph, plan)
    jsonschema.Draft202012Validator(graph_schema()).validate(YAML(typ="safe").load(file.read_text(encoding="utf-8")))


def test_voice_robot_plays_its_recording() -> None:
    clip = GRAPHS / "recordings" / "voice_robot.mcap"
    graph = load_graph(VOICE_ROBOT, sources=[f"mic={clip}", f"camera={clip}"])
    bare = load_graph(VOICE_ROBOT)
    for name in ("mic", "camera"):
        assert graph.nodes[name].use == "recording"
        assert graph.nodes[name].make().path == str(clip)
        assert graph.nodes[name].types == bare.nodes[name].types
    assert {n: i.inputs for n, i in graph.nodes.items()} == {n: i.inputs for n, i in bare.nodes.items()}
