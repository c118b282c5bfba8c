"""What an external node said is played from the file named, however that is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from omnistream.graph.external import play_external
from omnistream.graph.problems import Problems
from omnistream.graph.tree import parse_tree


@pytest.mark.parametrize("path", ["run.mcap", 'it\'s "mine".mcap', "back\\slash.mcap", "a, b: {c} #d.mcap", "中 🙂.mcap"])
def test_any_path_is_the_one_that_is_played(path: str) -> None:
    graph: Any = SimpleNamespace(nodes={"a": SimpleNamespace(name="a", external=True)})
    (word,) = play_external(graph, path, ["a.out"])
    problems = Problems("set")
    tree = parse_tree(word.partition("=")[2], problems, {})
    assert not problems.found
    assert tree.value == {"use": "recording", "with": {"path": path, "stream": "a.out"}}
