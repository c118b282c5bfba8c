"""`replay` looked at: step by step, against a golden file, and one node on what the run gave it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import graph, omnistream, refused, start, ticks
from test_replay import recorded

COUNTS = """graph: counts
nodes:
  ticks: {use: tick, with: {rate_hz: 50, count: 12}}
  count: {use: "hostile_nodes:Counts", inputs: {message: ticks}}
  show: {use: console, inputs: {message: count}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("looks")


@pytest.fixture(scope="module")
def counts(folder: Path) -> Path:
    return graph(folder, COUNTS)


@pytest.fixture(scope="module")
def recording(folder: Path) -> Path:
    return recorded(folder / "r.mcap", 12)


@pytest.fixture(scope="module")
def live(counts: Path, folder: Path) -> Path:
    """A live run, recorded."""
    path = folder / "live.mcap"
    assert omnistream("run", counts, "--engine", "local", "--record", path).code == 0
    return path


# -- step by step ----------------------------------------------------------------------------------


def test_every_firing_is_shown_with_what_it_read_and_gave(recording: Path, counts: Path) -> None:
    ended = omnistream("replay", recording, counts, "--step")
    assert ended.code == 0, ended.err
    at = ended.out.index("0.075 s  count, firing 3")
    assert ended.out[at:].splitlines()[:5] == [
        "0.075 s  count, firing 3",
        "    reads  message: ticks.out 2 at 0.075 s  Event(kind='tick', data={i: 3})",
        "    gives  count.out 2 at 0.075 s  Event(kind='count', data={n: 3})",
        "0.075 s  show, firing 3",
        "    reads  message: count.out 2 at 0.075 s  Event(kind='count', data={n: 3})",
    ]
    assert ended.out.count("firing") == 24
    assert omnistream("replay", recording, counts, "--step").out.split("counts on")[0] == ended.out.split("counts on")[0]
    assert ended.summary["digest"] == omnistream("replay", recording, counts).summary["digest"]


def test_as_recorded_is_shown_alike(live: Path, counts: Path) -> None:
    ended = omnistream("replay", live, counts, "--as-recorded", "--step", "--node", "show", "--from", "100ms")
    assert ended.code == 0, ended.err
    assert "equal to the run" in ended.out
    assert 0 < ended.out.count("  show, firing") <= 12
    assert "  count, firing" not in ended.out


def test_a_node_that_is_not_there_is_told(recording: Path, counts: Path) -> None:
    assert "did you mean 'count'?" in refused("replay", recording, counts, "--step", "--node", "counts")
    assert "add --step" in refused("replay", recording, counts, "--node", "count")


@pytest.mark.parametrize("words", [[], ["--as-recorded"]])
def test_on_a_terminal_it_waits_for_each_word(words: list[str], live: Path, counts: Path) -> None:
    """Enter, a node, a time, nonsense, and Ctrl-C."""
    command = [sys.executable, "-m", "omnistream.cli.main", "replay", str(live), str(counts), "--step", *words]
    asked, answers = pty.openpty()
    screen = _Screen(asked)
    process = subprocess.Popen(command, stdin=answers, stdout=answers, stderr=answers, env=os.environ | {"TERM": "dumb"})
    os.close(answers)
    try:
        assert "count, firing 1" in screen.until_asked()
        assert "show, firing 1" in screen.told("")
        assert "show, firing 2" in screen.told("show")
        assert "no node 'shov'" in screen.told("shov")
        assert "count, firing" in screen.told("150ms")
        for _ in range(5):  # one that comes between the prompt and the reading of the answer is not seen by readline
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):  # a second one would kill what is about to end
                assert process.wait(8) == 0
                break
        else:
            pytest.fail("Ctrl-C did not end it")
        assert "Traceback" not in screen.rest()
    finally:
        process.kill()
        process.wait()
        os.close(asked)


@pytest.mark.parametrize("words", [[], ["--as-recorded"]])
def test_what_is_quit_before_its_end_was_not_compared(words: list[str], live: Path, counts: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    asks = ["--step", *words, "--write-golden", str(golden)]
    command = [sys.executable, "-m", "omnistream.cli.main", "replay", str(live), str(counts), *asks]
    asked, answers = pty.openpty()
    screen = _Screen(asked)
    process = subprocess.Popen(command, stdin=answers, stdout=answers, stderr=answers, env=os.environ | {"TERM": "dumb"})
    os.close(answers)
    try:
        screen.until_asked()
        screen.send("q\n")
        said = screen.rest(30)
        assert process.wait(30) == 2
        assert "the replay was ended before its end: nothing was written" in said
        assert not golden.exists()
    finally:
        process.kill()
        process.wait()
        os.close(asked)


@pytest.mark.parametrize(("words", "number"), [([], signal.SIGINT), ([], signal.SIGTERM), (["--as-recorded"], signal.SIGTERM)])
def test_what_is_interrupted_does_not_succeed(words: list[str], number: signal.Signals, live: Path, counts: Path) -> None:
    process = start("replay", live, counts, "--pace", "0.01", "--step", "--expect", "deadbeef", *words)
    try:
        assert process.stdout is not None
        assert any("firing 1" in line for line in process.stdout)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted" in said
        assert "nothing was compared" in said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.wait()


class _Screen:
    """The other end of a terminal."""

    def __init__(self, end: int) -> None:
        self._end = end

    def send(self, text: str) -> None:
        os.write(self._end, text.encode())

    def told(self, word: str) -> str:
        self.send(word + "\n")
        return self.until_asked()

    def until_asked(self) -> str:
        found = ""
        while not found.endswith("> "):
            assert select.select([self._end], [], [], 30)[0], found
            found += os.read(self._end, 65536).decode()
        return found

    def rest(self, wait_s: float = 1) -> str:
        """What comes until the other end is closed, or silent for so long."""
        found = ""
        while select.select([self._end], [], [], wait_s)[0]:
            try:
                found += os.read(self._end, 65536).decode()
            except OSError:  # the other end is closed
                break
        return found


# -- golden files ----------------------------------------------------------------------------------


def test_a_golden_file_holds_what_the_sinks_were_given(recording: Path, counts: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    assert "kept 12 messages" in omnistream("replay", recording, counts, "--write-golden", golden).out
    assert "equal to" in omnistream("replay", recording, counts, "--golden", golden).out
    ended = omnistream("replay", recording, counts, "--golden", golden, "--set", "nodes.count.with.slip=7")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        f"show.message, message 7 at 0.175 s, is not as in {golden}",
        "          golden  now",
        "  data.n  7       8",
        "  led to by  ticks.out up to 0.175 s",
    ]
    assert "another part" in refused("replay", recording, counts, "--golden", golden, "--to", "100ms")
    assert omnistream("replay", recording, counts, "--golden", golden, "--to", "100ms").summary == {}, "told before it begins"


def test_a_golden_file_of_a_live_run(live: Path, counts: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    assert omnistream("replay", live, counts, "--as-recorded", "--write-golden", golden).code == 0
    assert omnistream("replay", live, counts, "--as-recorded", "--golden", golden).code == 0
    assert "another kind" in refused("replay", live, counts, "--golden", golden)


def test_what_is_looked_at_has_no_engine_to_choose(recording: Path, counts: Path, tmp_path: Path) -> None:
    for words in (["--step"], ["--golden", recording], ["--write-golden", tmp_path / "g"]):
        assert "leave --engine and --layout out" in refused("replay", recording, counts, *words, "--engine", "ray")
    assert "folder is not there" in refused("replay", recording, counts, "--write-golden", tmp_path / "no" / "g")


# -- one node --------------------------------------------------------------------------------------


def test_one_node_as_it_was_gives_what_it_gave(live: Path, counts: Path) -> None:
    ended = omnistream("replay", live, counts, "--only", "count")
    assert ended.code == 0, ended.err
    assert "count: 12 firings, 0 differ; which outputs came, and when, is compared" in ended.out


def test_one_node_with_another_option_is_compared_with_what_it_was(live: Path, counts: Path) -> None:
    """The recording says how the node was; with those options it gives again what the journal says."""
    ended = omnistream("replay", live, counts, "--only", "count", "--set", "nodes.count.with.slip=7")
    assert ended.code == 1
    assert "6 of 12 firings of 'count' do not give what they gave in the run" in ended.err
    assert "data.n was 7, now 8" in ended.out
    assert "data.n was 6" not in ended.out
    assert "with the node as the recording describes it" in ended.out


def test_another_node_in_its_place(live: Path, counts: Path) -> None:
    ended = omnistream("replay", live, counts, "--only", "count", "--set", "nodes.count.use=hostile_nodes:RaisesThird")
    assert ended.code == 1
    assert "12 of 12 firings" in ended.err
    assert "it failed: ValueError: the third one" in ended.out
    assert "nothing now; the run gave Event(kind='count', data={n: 3})" in ended.out
    assert "kind was 'count', now 'tick'" in ended.out


def test_a_node_whose_code_has_changed_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its contents of then are not to be had; that something came or did not come is known."""
    file, path = graph(tmp_path, COUNTS), tmp_path / "live.mcap"
    assert omnistream("run", file, "--engine", "local", "--record", path).code == 0
    import hostile_nodes

    monkeypatch.setattr(hostile_nodes, "SILENT", 5)
    ended = omnistream("replay", path, file, "--only", "count")
    assert ended.code == 1
    assert "out: nothing now; the run gave a message" in ended.out
    assert "1 of 12 firings" in ended.err
    changed = omnistream("replay", path, file, "--only", "count", "--set", "nodes.count.with.slip=7")
    assert "the node as the recording describes it gives something else today" in changed.out
    assert omnistream("replay", path, file, "--as-recorded").code == 1


def test_a_golden_file_of_one_node_keeps_what_it_gave(live: Path, counts: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    assert omnistream("replay", live, counts, "--only", "count", "--write-golden", golden).code == 0
    assert omnistream("replay", live, counts, "--only", "count", "--golden", golden, "--step").code == 0
    first = golden.read_text().replace('"n": 4', '"n": 5')
    golden.write_text(first)
    ended = omnistream("replay", live, counts, "--only", "count", "--golden", golden)
    assert ended.code == 1
    assert "count.out, message 4" in ended.err


def test_an_external_node_is_asked_again_and_compared_with_what_it_said(tmp_path: Path) -> None:
    file, path = ticks(tmp_path, use="hostile_nodes:Cloud", count=5), tmp_path / "live.mcap"
    assert omnistream("run", file, "--engine", "local", "--record", path).code == 0
    ended = omnistream("replay", path, file, "--only", "same")
    assert ended.code == 1
    assert "compared with what the recording holds of its outputs" in ended.out
    assert "5 of 5 firings" in ended.err
    assert "data.answer was '" in ended.out


def test_a_stream_of_the_node_that_was_recorded_says_what_it_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where its code has changed since."""
    file, path = graph(tmp_path, COUNTS + "record: {streams: [ticks, count]}\n"), tmp_path / "live.mcap"
    assert omnistream("run", file, "--engine", "local", "--record", path).code == 0
    assert omnistream("replay", path, file, "--as-recorded").code == 0
    same = omnistream("replay", path, file, "--only", "count")
    assert same.code == 0, same.out
    assert "count: 12 firings, 0 differ; compared with what the recording holds of its outputs" in same.out
    import hostile_nodes

    monkeypatch.setattr(hostile_nodes.Counts, "start", 5)
    changed = omnistream("replay", path, file, "--only", "count")
    assert changed.code == 1
    assert "out: data.n was 1, now 6" in changed.out
    assert "12 of 12 firings" in changed.err


def test_what_stands_before_recorded_inputs_is_not_needed(tmp_path: Path) -> None:
    """Of this run only what the node read was kept; what made it is not even there any more."""
    text = COUNTS.replace("  show:", '  again: {use: "hostile_nodes:Counts", inputs: {message: count}}\n  show:')
    file, path = graph(tmp_path, text + "record: {streams: [count]}\n"), tmp_path / "live.mcap"
    assert omnistream("run", file, "--engine", "local", "--record", path).code == 0
    assert "'ticks.out' was not recorded" in refused("replay", path, file, "--as-recorded")
    assert "'ticks.out' was not recorded" in refused("replay", path, file, "--only", "count")
    broken = ["--set", "nodes.count.use=hostile_nodes:CannotOpen"]
    same = omnistream("replay", path, file, "--only", "again", *broken)
    assert same.code == 0, same.err
    assert "again: 12 firings, 0 differ" in same.out
    changed = omnistream(
        "replay", path, file, "--only", "again", "--set", "nodes.again.with.slip=7", "--step", "--node", "again"
    )
    assert "6 of 12 firings" in changed.err
    assert "reads  message: count.out 11" in changed.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "cont"], "did you mean 'count'?"),
        (["--only", "ticks"], "'ticks' is a source"),
        (["--only", "show"], "'show' is a sink"),
        (["--only", "count", "--as-recorded"], "leave --as-recorded"),
        (["--only", "count", "--expect", "x"], "leave --as-recorded and --expect out"),
    ],
)
def test_what_is_no_node_to_replay_is_told(words: list[str], said: str, live: Path, counts: Path) -> None:
    assert said in refused("replay", live, counts, *words)


def test_one_node_of_another_graph_must_fit_the_recording(live: Path, recording: Path, counts: Path, tmp_path: Path) -> None:
    assert "holds no journal" in refused("replay", recording, counts, "--only", "count")
    more = COUNTS.replace("  show:", "  again: {use: passthrough, inputs: {message: ticks}}\n  show:")
    assert "the run had no node 'again'" in refused("replay", live, graph(tmp_path, more, "more.yaml"), "--only", "again")
    other = more.replace("inputs: {message: ticks}}\n  again", "inputs: {message: [ticks, again]}}\n  again")
    for words in (["--only", "count"], ["--as-recorded"]):
        said = refused("replay", live, graph(tmp_path, other, "other.yaml"), *words)
        assert "'count' read message from ticks.out in the run, and here it reads message from ticks.out, again.out" in said
    less = COUNTS.replace(
        "\n  show: {use: console, inputs: {message: count}}", "\n  to: {use: console, inputs: {message: count}}"
    )
    assert omnistream("replay", live, graph(tmp_path, less, "less.yaml"), "--only", "count").code == 0


def test_code_that_only_the_recording_names_is_not_imported(tmp_path: Path) -> None:
    file, path = graph(tmp_path, COUNTS), tmp_path / "live.mcap"
    named = "nodes.count.use=hostile_nodes:RaisesThird"
    assert omnistream("run", file, "--engine", "local", "--record", path, "--set", named).code == 0
    assert "give that --set yourself" in refused("replay", path, file, "--as-recorded")
    assert omnistream("replay", path, file, "--as-recorded", "--set", named).code == 0
