"""`omnistream record cut`: parts of a live run's recording, replayed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graph, omnistream, refused

TICKS = """graph: beat
nodes:
  t: {use: tick, with: {rate_hz: 200}}
  same: {use: passthrough, inputs: {message: t}}
  shown: {use: console, inputs: {message: same}}
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of 0.8 s of a live run, beside its graph."""
    folder = tmp_path_factory.mktemp("live")
    ended = omnistream(
        "run", graph(folder, TICKS), "--engine", "local", "--layout", "each", "--for", "800ms", "--record", folder / "r.mcap"
    )
    assert ended.code == 0, ended.err
    return folder


def test_a_part_from_the_very_beginning_can_be_had_again_as_it_was(live: Path, tmp_path: Path):
    part = tmp_path / "part.mcap"
    said = omnistream("record", "cut", live / "r.mcap", part, "--to", "400ms")
    assert said.code == 0, said.err
    again = omnistream("replay", part, live / "graph.yaml", "--as-recorded")
    assert again.code == 0, again.err
    assert "each firing equal to the run's" in again.out
    whole = omnistream("replay", live / "r.mcap", live / "graph.yaml", "--as-recorded")
    assert 20 < again.summary["outputs"]["shown"] < whole.summary["outputs"]["shown"]


def test_any_other_part_is_replayed_fresh_and_refused_as_recorded(live: Path, tmp_path: Path):
    part, same = tmp_path / "part.mcap", tmp_path / "same.mcap"
    for out in (part, same):
        assert omnistream("record", "cut", live / "r.mcap", out, "--from", "300ms", "--only", "t").code == 0
    assert "is a part of r.mcap, without the journal" in refused("replay", part, live / "graph.yaml", "--as-recorded")
    assert "a part of r.mcap: 0.300 s to" in omnistream("record", "info", part).out
    digests = {
        omnistream("replay", file, live / "graph.yaml", "--engine", "local", "--layout", layout).summary["digest"]
        for file in (part, same)
        for layout in ("one", "each")
    }
    assert len(digests) == 1
    assert None not in digests


def test_mistakes_are_sentences(live: Path, tmp_path: Path):
    out = tmp_path / "part.mcap"
    assert "is not a duration" in refused("record", "cut", live / "r.mcap", out, "--from", "soon")
    assert "no part of a recording" in refused("record", "cut", live / "r.mcap", out, "--from", "2s", "--to", "1s")
    assert "has no stream 'nose'" in refused("record", "cut", live / "r.mcap", out, "--only", "nose")
    assert "cannot be opened" in refused("record", "cut", tmp_path / "no.mcap", out)
    assert not out.exists()
