"""Of code a recording may name what is installed, and nothing else that the user's own command does not name."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graph, omnistream, refused
from crafted import crafted

from omnistream.engine.replay import Again
from omnistream.errors import GraphError
from omnistream.record.reader import Recording
from omnistream.testing import replay

TEXT = """graph: counts
nodes:
  ticks: {use: tick, with: {rate_hz: 50, count: 6}}
  count: {use: passthrough, inputs: {message: ticks}}
  show: {use: console, inputs: {message: count}}
"""
STRANGER = """import pathlib
pathlib.Path(__file__).with_name("imported").write_text("")
from omnistream_nodes.passthrough import PassThrough as Strange
"""
#: Ways to write `use: stranger:Strange`.
NAMED = (
    "nodes.count.use=stranger:Strange",
    "nodes.count.use='stranger:Strange'",
    "nodes.count.use=${NOT_SET_ANYWHERE:-stranger:Strange}",
    '''nodes.count.use="${NOT_SET_ANYWHERE:-stranger:}Strange"''',
    r'''nodes.count.use="str\x61nger\u003aStrange"''',
    "nodes.count={use: 'stranger:Strange', inputs: {message: ticks}}",
    r"""nodes.count={"u\x73e": "stranger:Strange", inputs: {message: ticks}}""",
    "nodes.count={inputs: {message: ticks}, ? use : stranger:Strange}",
    "nodes.count=\n  inputs: {message: ticks}\n  use: >-\n    stranger:Strange",
    "nodes.count={use: !!str stranger:Strange, inputs: {message: ticks}}",
    "nodes.count={use: &a stranger:Strange, inputs: {message: ticks}}",
    "nodes.count={<<: {use: stranger:Strange}, inputs: {message: ticks}}",
    "nodes.count=!!python/object/apply:stranger.Strange {}",
    "nodes.count.use=!!python/name:stranger.Strange",
    "nodes.ticks={use: stranger:Strange}",
    "nodes.show={use: stranger:Strange, inputs: {message: count}}",
    "nodes.count.use=/stranger:Strange",
    "nodes.count.use=stranger:Strange ",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code")
    graph(path, TEXT)
    graph(path, STRANGER, "stranger.py")
    assert omnistream("run", path / "graph.yaml", "--engine", "local", "--record", path / "live.mcap").code == 0
    return path


@pytest.mark.parametrize("named", NAMED)
def test_an_override_of_the_recording_imports_nothing(named: str, folder: Path, tmp_path: Path) -> None:
    with Recording(crafted(folder / "live.mcap", tmp_path / "crafted.mcap", sets=[named])) as file:
        for partial in (False, True):
            with pytest.raises(GraphError, match="--set nodes"):
                Again.of(file, folder / "graph.yaml", partial=partial)
    assert not (folder / "imported").exists()


def test_neither_command_follows_such_an_override(folder: Path, tmp_path: Path) -> None:
    path = crafted(folder / "live.mcap", tmp_path / "crafted.mcap", sets=[NAMED[2]])
    for words in (["--as-recorded"], ["--only", "count"]):
        said = refused("replay", path, folder / "graph.yaml", *words)
        assert "'stranger:Strange' is named by the recording, which is not trusted to name code" in said
    with pytest.raises(GraphError, match="not trusted"):
        replay(path, folder / "graph.yaml", as_recorded=True)
    assert not (folder / "imported").exists()


@pytest.mark.parametrize(
    "use",
    [
        "use: stranger:Strange",
        '''use: "${NOT_SET_ANYWHERE:-stranger:Strange}"''',
        r'''"u\x73e": "str\u0061nger:Strange"''',
        "<<: {use: stranger:Strange}",
        "use: &a stranger:Strange",
        "use: !!str stranger:Strange",
    ],
)
def test_the_graph_in_the_recording_imports_nothing(use: str, folder: Path, tmp_path: Path) -> None:
    path = crafted(folder / "live.mcap", tmp_path / "crafted.mcap", text=TEXT.replace("use: passthrough", use))
    with Recording(path) as file:
        assert Again.of(file, folder / "graph.yaml", partial=True).then is None
    assert not (folder / "imported").exists()


def test_what_is_installed_or_named_by_the_command_itself_serves(folder: Path, tmp_path: Path) -> None:
    installed = "nodes.count.use=omnistream_nodes.passthrough:PassThrough"
    path = crafted(folder / "live.mcap", tmp_path / "installed.mcap", sets=[installed])
    assert omnistream("replay", path, folder / "graph.yaml", "--as-recorded").code == 0
    mine = graph(folder, TEXT.replace("passthrough", "mine:Mine"), "mine.yaml")
    graph(folder, STRANGER.replace("Strange", "Mine"), "mine.py")
    for text in ("nodes.count.use=mine:Mine", "nodes.count={use: mine:Mine, inputs: {message: ticks}}"):
        path = crafted(folder / "live.mcap", tmp_path / "mine.mcap", sets=[text])
        assert omnistream("replay", path, mine, "--as-recorded").code == 0
        assert "give that --set yourself" in refused("replay", path, folder / "graph.yaml", "--as-recorded")
        given = ["--as-recorded", "--set", "nodes.count.use=mine:Mine"]
        assert omnistream("replay", path, folder / "graph.yaml", *given).code == 0
