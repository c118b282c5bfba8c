"""What is no recording, or not the one that is meant, is told in a sentence; what is shown is numbered as it was."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from commands import TICKS, graph, omnistream, refused, ticks
from crafted import crafted
from disk import disk
from test_replay import recorded

from omnistream.record import RecordingWriter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("edges")
    assert omnistream("run", ticks(path), "--engine", "local", "--record", path / "live.mcap").code == 0
    return path


@pytest.mark.parametrize(
    "holes",
    [
        "[1]",
        "[null]",
        "[{}]",
        '[{"from_ns": "x", "to_ns": 1, "what": "", "why": ""}]',
        '[{"from_ns": 1, "to_ns": []}]',
        "[" * 9999,
    ],
)
def test_strange_words_about_holes(holes: str, folder: Path, tmp_path: Path) -> None:
    path = crafted(folder / "live.mcap", tmp_path / "crafted.mcap", run={"holes": holes})
    shown = omnistream("record", "info", path)
    assert shown.code == 0
    if holes[1] != "[":
        assert "not as recorded" in shown.out.replace("\n", " ")
        assert "does not say what is missing" in refused("replay", path, folder / "graph.yaml", "--as-recorded")


def test_a_pipe_and_nothing_are_no_recordings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mcap")
    for words in (["record", "info"], ["record", "cut"], ["replay"]):
        more = {"cut": [tmp_path / "part.mcap"], "replay": [ticks(tmp_path)]}.get(words[-1], [])
        assert "is no file" in refused(*words, tmp_path / "pipe.mcap", *more)
    assert "names no recording" in refused("record", "info", "")


def test_lists_that_are_empty_are_told_by_their_own_words(tmp_path: Path) -> None:
    for words, said in (("{streams: []}", "names no stream"), ("{path: a.mcap, black_box: {on: []}}", "names no event")):
        file = graph(tmp_path, TICKS.format(rate=10, count=3, use="passthrough") + f"record: {words}\n")
        assert said in refused("check", file)


def test_the_home_directory_is_known_in_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = graph(tmp_path, TICKS.format(rate=100, count=3, use="passthrough") + "record: ~/home.mcap\n")
    assert omnistream("run", file, "--engine", "local").code == 0
    assert (tmp_path / "home.mcap").exists()


def test_a_stream_that_is_not_there_is_named(folder: Path) -> None:
    said = refused("replay", f"{folder / 'live.mcap'}#nope", folder / "graph.yaml")
    assert "has no stream 'nope'; it has ticks.out" in said


def test_what_cannot_be_had_again_as_it_was_says_why(folder: Path, tmp_path: Path) -> None:
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    with RecordingWriter(pieces / "run.0001.mcap", start_ns=1):
        pass
    for words in (["--as-recorded"], ["--only", "same"]):
        said = refused("replay", pieces, folder / "graph.yaml", *words)
        assert f"name the run's first file, {pieces / 'run.0001.mcap'}" in said
        assert "leave '#ticks.out' out" in refused("replay", f"{folder / 'live.mcap'}#ticks.out", folder / "graph.yaml", *words)
        film = Path(__file__).parents[2] / "graphs" / "recordings" / "voice_robot.mcap"
        assert "holds no journal" in refused("replay", film, folder / "graph.yaml", *words)
    bag = tmp_path / "bag"
    bag.mkdir()
    recorded(bag / "bag_0.mcap")
    assert "holds no journal of a run" in refused("replay", bag, folder / "graph.yaml", "--as-recorded")


def test_a_firing_bears_its_number_wherever_it_begins_to_be_shown(folder: Path) -> None:
    whole = omnistream("replay", folder / "live.mcap", folder / "graph.yaml", "--as-recorded", "--step").out
    later = omnistream("replay", folder / "live.mcap", folder / "graph.yaml", "--as-recorded", "--step", "--from", "50ms").out
    shown = [line for line in later.splitlines() if ", firing " in line]
    assert 0 < len(shown) < whole.count(", firing ")
    assert set(shown) <= set(whole.splitlines())


@pytest.mark.parametrize("place", ["live.mcap/below", "ro"])
def test_where_nothing_can_be_made_nothing_can_be_removed(place: str, folder: Path, tmp_path: Path) -> None:
    """Below a file, and on a disk that is read only."""
    film = recorded(tmp_path / "film.mcap", stream="words.out")
    with disk(tmp_path / "ro", "64k", "ro") if place == "ro" else contextlib.nullcontext(folder / "live.mcap") as target:
        assert "cannot be written" in refused("record", "cut", film, target / "cut.mcap")
        shipped = Path(__file__).parents[2] / "graphs" / "recordings" / "voice_robot.mcap"
        assert "cannot be written" in refused("record", "export", shipped, target / "sound.wav")
        assert "cannot be written" in refused("record", "export", shipped, target / "film.vtt", "--only", "truth")
