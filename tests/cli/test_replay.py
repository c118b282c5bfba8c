"""`replay`: parts of a recording, at a pace, again and again, and compared with a digest."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graph, omnistream, refused, ticks

from omnistream.message import MS, Event, Text
from omnistream.record import RecordedMessage, RecordingWriter


def recorded(path: Path, count: int = 40, stream: str = "ticks.out") -> Path:
    """A message every 25 ms from 25 ms on, after a start at 1000 s."""
    with RecordingWriter(path, start_ns=1_000_000 * MS) as writer:
        for i in range(1, count + 1):
            at = (1_000_000 + i * 25) * MS
            writer.write(stream, RecordedMessage(at, None, Event("tick", {"i": i}), seq=i))
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recorded(tmp_path / "r.mcap")


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ([], 40),
        (["--from", "0"], 40),
        (["--from", "25ms"], 40),
        (["--from", "26ms"], 39),
        (["--to", "26ms"], 1),
        (["--to", "50ms"], 1),
        (["--from", "0.5s", "--to", "750ms"], 10),
        (["--from", "1s", "--to", "10min"], 1),
        (["--to", "25ms"], 0),
    ],
)
def test_a_part_is_half_open(words: list[str], count: int, recording: Path, tmp_path: Path) -> None:
    assert omnistream("replay", recording, ticks(tmp_path), *words).summary["outputs"] == {"show": count}


def test_a_clock_that_was_not_recorded_ticks_in_the_part_only(tmp_path: Path) -> None:
    both = graph(
        tmp_path,
        "graph: both\nnodes:\n  ticks: {use: tick}\n  clock: {use: tick, with: {rate_hz: 10}}\n"
        "  show: {use: console, inputs: {message: ticks}}\n  also: {use: console, inputs: {message: clock}}\n",
    )
    recording = recorded(tmp_path / "r.mcap", stream="ticks.out")
    whole = omnistream("replay", recording, both, "--set", "nodes.clock.use=hostile_nodes:Beat")
    assert whole.summary["outputs"] == {"show": 40, "also": 11}
    part = omnistream(
        "replay", recording, both, "--set", "nodes.clock.use=hostile_nodes:Beat", "--from", "0.3s", "--to", "0.6s"
    )
    assert part.summary["outputs"] == {"show": 12, "also": 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "2"], "with ns, us, ms, s or min"),
        (["--from", "-1s"], "is not a duration"),
        (["--from", "2s"], "ends after 1.000 s"),
        (["--from", "0.5s", "--to", "0.5s"], "the end must come after the beginning"),
        (["--to", "soon"], "is not a duration"),
        (["--pace", "0"], "leave it out for no limit"),
        (["--pace", "nan"], "leave it out for no limit"),
    ],
)
def test_what_is_no_part_or_pace_is_told(words: list[str], said: str, recording: Path, tmp_path: Path) -> None:
    assert said in refused("replay", recording, ticks(tmp_path), *words)


def test_neither_pace_nor_turns_nor_layout_change_the_digest(recording: Path, tmp_path: Path) -> None:
    file = ticks(tmp_path)
    first = omnistream("replay", recording, file).summary["digest"]
    assert omnistream("replay", recording, file, "--pace", "4", "--layout", "each").summary["digest"] == first
    again = omnistream("replay", recording, file, "--loop", "3", "--expect", first)
    assert again.code == 0
    assert "turn 3 of 3" in again.out
    assert again.summary["digest"] == first


def test_another_digest_than_expected_is_an_exit_code(recording: Path, tmp_path: Path) -> None:
    ended = omnistream("replay", recording, ticks(tmp_path), "--expect", "0" * 32)
    assert ended.code == 1
    assert f"the digest is {ended.summary['digest']}, and {'0' * 32} was expected" in ended.err


def test_a_node_that_gives_something_else_each_time_is_found_by_turns(recording: Path, tmp_path: Path) -> None:
    ended = omnistream("replay", recording, ticks(tmp_path, use="hostile_nodes:Fickle"), "--loop", "3")
    assert ended.code == 1
    assert "turn 2 has the digest" in ended.err


def test_as_recorded_has_parts_and_a_pace_too(tmp_path: Path) -> None:
    file, recording = ticks(tmp_path, rate=50, count=25), tmp_path / "live.mcap"
    live = omnistream("run", file, "--engine", "local", "--record", recording)
    whole = omnistream("replay", recording, file, "--as-recorded", "--pace", "8", "--loop", "2")
    assert whole.code == 0
    assert "equal to the run" in whole.out
    assert whole.summary["digest"] == live.summary["digest"]
    part = omnistream("replay", recording, file, "--as-recorded", "--to", "250ms")
    assert part.code == 0
    assert "each firing equal to the run's up to here" in part.out
    assert 0 < part.summary["outputs"]["show"] < live.summary["outputs"]["show"]


def test_as_recorded_has_the_firings_after_the_last_message(tmp_path: Path) -> None:
    """The last window of a run fires behind all that was recorded."""
    text = (
        "graph: sums\nnodes:\n  ticks: {use: tick, with: {rate_hz: 40, count: 30}}\n"
        '  sum: {use: "hostile_nodes:Sums", inputs: {events: {from: ticks, window: {size: 4s, hop: 4s}}}}\n'
        "  show: {use: console, inputs: {message: sum}}\n  each: {use: console, inputs: {message: ticks}}\n"
    )
    file = graph(tmp_path, text)
    live = omnistream("run", file, "--engine", "local", "--record", tmp_path / "live.mcap")
    assert live.summary["outputs"]["show"] > 0
    again = omnistream("replay", tmp_path / "live.mcap", file, "--as-recorded", "--from", "10ms")
    assert again.code == 0, again.err
    assert "\n  equal to the run" in again.out
    assert again.summary["digest"] == live.summary["digest"]
    assert "nothing is left from 100 s on" in refused("replay", tmp_path / "live.mcap", file, "--as-recorded", "--from", "100s")


def test_another_graph_is_played_where_the_streams_fit_it(tmp_path: Path) -> None:
    """By name, else by what is in them; what has no stream is silent, and that is said."""
    path = tmp_path / "r.mcap"
    with RecordingWriter(path, start_ns=0) as writer:
        for i in range(1, 9):
            writer.write("ears.out", RecordedMessage(i * 40 * MS, None, Text(f"word {i}")))
    other = graph(
        tmp_path,
        "graph: other\nnodes:\n  said: {use: console_commands}\n  typed: {use: hostile_nodes:Knob}\n"
        "  show: {use: console, inputs: {message: [said, typed]}}\n",
    )
    ended = omnistream("replay", path, other)
    assert ended.code == 0, ended.err
    assert ended.summary["outputs"] == {"show": 8}
    assert "no stream of Event for the node 'typed'; it has ears.out (Text); so 'typed' is silent" in ended.err
    assert "has no stream for any source" in refused("replay", path, graph(tmp_path, KNOB, "knob.yaml"))


KNOB = "graph: knob\nnodes:\n  typed: {use: hostile_nodes:Knob}\n  show: {use: console, inputs: {message: typed}}\n"
