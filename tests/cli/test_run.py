"""`run` and `replay`: they end in time, say what was, leave nothing behind, and a replay is the run again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import zmq
from commands import graph, left_behind, omnistream, refused, start, ticks
from processes import free_port

from omnistream.client import Commander

FIELDS = {
    "graph", "engine", "duration_s", "command_to_action_ms", "reaction_ms", "window_fill_ms", "nodes", "ledger", "outputs",
    "digest",
}  # fmt: skip


# -- the summary -----------------------------------------------------------------------------------


def _check_times(times: dict[str, float]) -> None:
    if times:
        assert set(times) == {"p50", "p95", "max", "n"} | ({"p99"} if times["n"] >= 100 else set())
        assert times["p50"] <= times["p95"] <= times["max"]


def test_the_summary_has_every_field(tmp_path: Path):
    summary = omnistream("run", ticks(tmp_path, rate=200, count=150), "--engine", "local").summary
    assert summary.keys() >= FIELDS
    assert summary["graph"] == "ticks"
    assert summary["engine"] == "local"
    assert 0.5 < summary["duration_s"] < 20
    for name in ("command_to_action_ms", "reaction_ms", "window_fill_ms"):
        _check_times(summary[name])
    assert list(summary["nodes"]) == ["same", "show", "ticks"] or set(summary["nodes"]) == {"same", "show", "ticks"}
    for node in summary["nodes"].values():
        assert set(node) == {"in", "out", "step_ms", "queue_max", "restarts"}
        assert isinstance(node["in"], int)
        assert isinstance(node["queue_max"], int)
        assert node["restarts"] == 0
        _check_times(node["step_ms"])
    assert "p99" in summary["nodes"]["same"]["step_ms"]
    assert all(isinstance(n, int) for n in summary["ledger"].values())
    assert summary["outputs"] == {"show": summary["nodes"]["ticks"]["out"]}
    assert len(summary["digest"]) == 32


def test_a_variant_is_kept_or_refused_with_what_there_is(tmp_path: Path):
    (tmp_path / "varied.py").write_text(
        "from dataclasses import dataclass\n\n"
        "from omnistream.message import Event\nfrom omnistream.node import Context, Node\n\n\n"
        "@dataclass(kw_only=True)\nclass Varied(Node):\n    variants = ('full', 'small')\n\n"
        "    async def open(self, ctx: Context) -> None:\n        self.ctx = ctx\n\n"
        "    async def step(self, message: Event) -> Event | None:\n        return Event(self.ctx.variant)\n"
    )
    file = ticks(tmp_path, count=3, use="varied:Varied")
    assert "small" in omnistream("run", file, "--engine", "local", "--variant", "same=small").out
    assert "'same' has no variant 'tiny'; it has full, small" in refused(
        "run", file, "--engine", "local", "--variant", "same=tiny"
    )


def test_a_line_of_the_summary_is_whole_where_no_terminal_is(tmp_path: Path):
    recording = tmp_path / "r.mcap"
    omnistream("run", ticks(tmp_path), "--engine", "local", "--record", recording)
    out = omnistream("run", ticks(tmp_path), "--engine", "local", "--source", f"ticks={recording}").out
    (line,) = [line for line in out.splitlines() if line.startswith("  reaction ")]
    assert line.endswith("from the newest sample needed to the socket")
    assert len(line) > 80


def test_a_reaction_is_measured_from_what_was_sensed(tmp_path: Path):
    recording = tmp_path / "r.mcap"
    omnistream("run", ticks(tmp_path), "--engine", "local", "--record", recording)
    summary = omnistream("run", ticks(tmp_path), "--engine", "local", "--source", f"ticks={recording}").summary
    assert summary["reaction_ms"]["n"] == summary["outputs"]["show"] > 0
    assert summary["reaction_ms"]["p50"] < 1000
    assert summary["stopped_by"] == "drained"


def test_a_summary_goes_into_a_new_folder(tmp_path: Path):
    file = tmp_path / "new" / "s.json"
    assert omnistream("run", ticks(tmp_path), "--engine", "local", "--summary", file).code == 0
    assert json.loads(file.read_text()).keys() >= FIELDS


# -- ends ------------------------------------------------------------------------------------------


def test_a_run_ends_when_its_time_is_up(tmp_path: Path):
    began = time.monotonic()
    ended = omnistream("run", ticks(tmp_path, rate=20, count=0), "--engine", "local", "--for", "700ms")
    assert ended.code == 0
    assert ended.summary["stopped_by"] == "time"
    assert 0.7 <= ended.summary["duration_s"] <= time.monotonic() - began < 10


def test_a_run_with_a_source_ends_with_it_though_another_goes_on(tmp_path: Path):
    text = """graph: two
nodes:
  one: {use: tick, with: {rate_hz: 100, count: 5}}
  ever: {use: tick, with: {rate_hz: 20}}
  show: {use: console, inputs: {message: [one, ever]}}
"""
    recording = tmp_path / "r.mcap"
    short = omnistream("run", graph(tmp_path, text), "--engine", "local", "--for", "300ms", "--record", recording)
    assert short.code == 0
    ended = omnistream("run", graph(tmp_path, text), "--engine", "local", "--source", f"one={recording}", "--for", "20s")
    assert ended.summary["stopped_by"] == "drained"
    assert ended.summary["duration_s"] < 15


def _started(process: subprocess.Popen[str]) -> None:
    """Wait till it prints its first message."""
    assert process.stdout is not None
    for line in process.stdout:
        if "tick" in line:
            return
    pytest.fail(f"it ended: {process.stderr.read() if process.stderr else ''}")


def _end(process: subprocess.Popen[str], timeout_s: float = 20) -> tuple[int, str, float]:
    began = time.monotonic()
    try:
        _, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return process.returncode, err, time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_leaves_nothing(tmp_path: Path, number: signal.Signals):
    file = tmp_path / "s.json"
    process = start("run", ticks(tmp_path, rate=20, count=0), "--engine", "local", "--summary", file)
    _started(process)
    process.send_signal(number)
    code, err, took = _end(process)
    assert code == 0, err
    assert "Traceback" not in err
    assert took < 8
    summary = json.loads(file.read_text())
    assert summary["stopped_by"] == number.name
    assert summary["nodes"]["show"]["in"] == summary["nodes"]["ticks"]["out"]
    assert left_behind(process.pid) == []


def test_a_signal_twice_ends_at_once(tmp_path: Path):
    slow = ticks(tmp_path, rate=50, count=0, use="hostile_nodes:Sleeps")
    file = tmp_path / "s.json"
    process = start("run", slow, "--engine", "local", "--layout", "each", "--summary", file)
    _started(process)
    time.sleep(0.5)  # a queue of ticks, a second each: they would take the whole two seconds of draining
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    code, err, _ = _end(process)
    assert code == 0, err
    assert "Traceback" not in err
    summary = json.loads(file.read_text())
    assert summary["ledger"]["undrained"] > 0
    assert summary["nodes"]["same"]["out"] <= 2  # two seconds of draining would have brought two more
    assert left_behind(process.pid) == []


def test_a_signal_while_it_starts(tmp_path: Path):
    for wait in (0.1, 0.3, 0.4, 0.5, 0.6):
        process = start("run", ticks(tmp_path, rate=20, count=0), "--engine", "local")
        time.sleep(wait)
        process.send_signal(signal.SIGTERM)
        _, err, took = _end(process)
        assert "Traceback" not in err or wait < 0.5  # Python itself was still starting
        assert took < 8
        assert left_behind(process.pid) == []


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path):
    process = start("run", ticks(tmp_path, rate=20, count=0), "--engine", "local")
    _started(process)
    process.kill()
    process.communicate()
    assert len(left_behind(process.pid)) == 1
    assert omnistream("run", ticks(tmp_path), "--engine", "local").code == 0
    assert left_behind(process.pid) == []


def test_the_first_message_comes_soon(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    began = time.monotonic()
    process = start("run", ticks(tmp_path, rate=100, count=5), "--engine", "local")
    _started(process)
    took = time.monotonic() - began
    code, err, _ = _end(process)
    assert code == 0, err
    with capsys.disabled():
        print(f"\nrun --engine local printed its first message after {took:.2f} s")
    assert took < 20


# -- record and replay -----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["one", "each"])
def test_a_replay_has_the_digest_of_the_run(tmp_path: Path, layout: str):
    text = """graph: mixed
nodes:
  fast: {use: tick, with: {rate_hz: 50, count: 25}}
  slow: {use: tick, with: {rate_hz: 7, count: 4}}
  same: {use: passthrough, inputs: {message: fast}}
  show: {use: console, inputs: {message: [same, slow]}}
  other: {use: console, inputs: {message: slow}}
"""
    file, recording = graph(tmp_path, text), tmp_path / "r.mcap"
    live = omnistream("run", file, "--engine", "local", "--layout", layout, "--record", recording)
    assert live.code == 0
    replays = [omnistream("replay", recording, file, "--layout", way).summary for way in ("one", "each", "planned", "one")]
    assert len({r["digest"] for r in replays}) == 1
    assert all(r["outputs"] == replays[0]["outputs"] for r in replays)
    assert not any(r["ledger"] for r in replays)
    if not live.summary["forced"] and set(live.summary["ledger"]) <= {"tick_skipped"}:
        assert live.summary["digest"] == replays[0]["digest"]
        assert live.summary["outputs"] == replays[0]["outputs"]


def test_a_run_in_one_process_says_what_it_makes_of_workers_that_ask_for_a_host(tmp_path: Path):
    text = (
        ticks(tmp_path, count=2).read_text().replace("graph: ticks", "graph: t\nworkers: {w: {gpu: 64, labels: {site: '[a]'}}}")
    )
    said = omnistream("run", graph(tmp_path, text.replace("ticks}}", "ticks}, on: w}")), "--engine", "local").out
    assert "notice: worker 'main' asks for `gpu: 64`, and there " in said
    assert "notice: worker 'w' asks for a host with site=[a]: labels choose among the hosts of a Ray cluster" in said


def test_what_an_external_node_said_is_recorded_and_played_back(tmp_path: Path):
    """Rule 27."""
    file, recording = ticks(tmp_path, use="hostile_nodes:Cloud"), tmp_path / "r.mcap"
    live = omnistream("run", file, "--engine", "local", "--record", recording)
    assert live.code == 0
    for again in (("replay", recording, file), ("replay", recording, file, "--as-recorded")):
        replayed = omnistream(*again)
        assert replayed.code == 0, replayed.err
        assert replayed.summary["digest"] == live.summary["digest"]


def test_an_external_node_of_which_nothing_was_recorded_is_refused(tmp_path: Path):
    file, recording = ticks(tmp_path), tmp_path / "r.mcap"
    assert omnistream("run", file, "--engine", "local", "--record", recording).code == 0
    other = ticks(tmp_path, use="hostile_nodes:Cloud")
    said = refused("replay", recording, other)
    assert said.startswith(f"{other}:4: nodes.same: Cloud is external")
    assert len(said.splitlines()) == 1
    instead = f"nodes.same={{use: recording, with: {{path: {recording}, stream: ticks.out}}}}"
    assert omnistream("replay", recording, other, "--set", instead).code == 0


def test_commands_of_a_client_are_recorded_and_replayed(tmp_path: Path):
    import threading

    port = free_port()
    text = f"""graph: typed
nodes:
  typed: {{use: zmq_commands, with: {{bind: "tcp://127.0.0.1:{port}"}}}}
  show: {{use: console, inputs: {{message: typed}}}}
"""
    file, recording = graph(tmp_path, text), tmp_path / "r.mcap"
    client = threading.Thread(target=_type, args=(port,))
    client.start()
    live = omnistream("run", file, "--engine", "local", "--for", "3s", "--record", recording)
    client.join()
    assert live.summary["outputs"] == {"show": 3}
    assert omnistream("replay", recording, file).summary["digest"] == live.summary["digest"]


def _type(port: int) -> None:
    with Commander(f"tcp://127.0.0.1:{port}") as commander:
        for text in ("go", "stop", "come back"):
            with contextlib.suppress(TimeoutError):
                commander.send(text)


# -- on Ray ----------------------------------------------------------------------------------------


@pytest.mark.ray
def test_on_ray_garbage_between_workers_and_a_signal(tmp_path: Path):
    file, recording = tmp_path / "s.json", tmp_path / "r.mcap"
    text = ticks(tmp_path, rate=20, count=0, use="hostile_nodes:RaisesThird")
    process = start("run", text, "--layout", "each", "--summary", file, "--record", recording)
    _started(process)
    (home,) = left_behind(process.pid)
    sockets = [p for p in home.iterdir() if p.is_socket()]
    assert sockets
    children = _family(process.pid)
    context = zmq.Context()
    for path in sockets:
        push = context.socket(zmq.PUSH)
        push.setsockopt(zmq.LINGER, 200)
        push.connect(f"ipc://{path}")
        for parts in ([b""], [b"garbage"], [b"\xc1", b"x"], [os.urandom(1000)] * 3):
            push.send_multipart(parts)
        push.close()
    time.sleep(1.2)
    context.term()
    process.send_signal(signal.SIGINT)
    code, err, _ = _end(process, 40)
    assert code == 0, err
    summary = json.loads(file.read_text())
    assert summary["engine"] == "ray"
    assert summary["ledger"]["garbage"] >= len(sockets)
    assert summary["ledger"]["error"] > 0
    assert summary["outputs"]["show"] > 5
    assert summary["restarts"] == {}
    assert left_behind(process.pid) == []
    deadline = time.monotonic() + 5
    while (alive := [p for p in children if Path(f"/proc/{p}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive == []
    assert omnistream("replay", recording, text).code == 0


def _family(pid: int) -> list[int]:
    """All descendants of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_family(child)]
    return found
