"""What a black box is written for, from the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from commands import graph, omnistream, start

from omnistream.cli.black_box import Happenings
from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.rundir import sweep, unfinished
from omnistream.flow.ledger import Row
from omnistream.graph.graph import Graph, Plan
from omnistream.record.reader import Recording


def events(path: Path) -> list[str]:
    with Recording(path) as file:
        assert list(file.messages("t.out"))
        return json.loads(file.metadata["run"]["events"])


def test_a_signal_writes_it_and_a_quiet_run_does_not(tmp_path: Path) -> None:
    words = f"record: {{path: {tmp_path}/run.mcap, black_box: {{last: 5s, after: 100ms}}}}\n"
    nodes = "nodes:\n  t: {use: tick, with: {rate_hz: 100}}\n  shown: {use: console, inputs: {message: t}}\n"
    file = graph(tmp_path, f"graph: beat\n{words}{nodes}")
    quiet = omnistream("run", file, "--engine", "local", "--for", "300ms")
    assert "the black box was not written: nothing happened" in quiet.out
    assert not list(tmp_path.glob("run*.mcap"))
    run = start("run", file, "--engine", "local", "--for", "30s")
    assert run.stdout is not None
    run.stdout.readline()
    run.stdout.readline()
    os.kill(run.pid, signal.SIGUSR1)
    until = time.monotonic() + 20
    while not list(tmp_path.glob("run.*.mcap")):
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGINT)
    run.communicate(timeout=30)
    (box,) = tmp_path.glob("run.*.mcap")
    assert events(box) == ["SIGUSR1"]


def test_a_node_that_fails_writes_it(tmp_path: Path) -> None:
    words = f"record: {{path: {tmp_path}/run.mcap, black_box: {{after: 100ms, on: [error]}}}}\n"
    (tmp_path / "falls.py").write_text(
        "from omnistream import Node\nfrom omnistream.message import Event\n\n\n"
        "class Falls(Node):\n    async def step(self, message: Event) -> Event:\n        raise ValueError('it does')\n"
    )
    nodes = (
        "nodes:\n  t: {use: tick, with: {rate_hz: 20}}\n"
        '  n: {use: "falls:Falls", inputs: {message: t}}\n  shown: {use: console, inputs: {message: n}}\n'
    )
    said = omnistream("run", graph(tmp_path, f"graph: beat\n{words}{nodes}"), "--engine", "local", "--for", "1s")
    assert said.code == 0, said.err
    assert all(events(box) == ["error"] for box in tmp_path.glob("run.*.mcap"))
    assert list(tmp_path.glob("run.*.mcap"))


@pytest.fixture
def killed(tmp_path: Path, own_temp: Path) -> Iterator[tuple[psutil.Process, list[Path]]]:
    """A run with a black box that was killed outright, while its recorder was held up: that one's process, and the ring."""
    words = f"record: {{path: {tmp_path}/run.mcap, black_box: {{last: 60s}}}}\n"
    nodes = "nodes:\n  t: {use: tick, with: {rate_hz: 100}}\n  shown: {use: console, inputs: {message: t}}\n"
    run = start("run", graph(tmp_path, f"graph: beat\n{words}{nodes}"), "--engine", "local")
    ring: list[Path] = []
    until = time.monotonic() + 60
    while len(ring) < 3:
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.02)
        ring = sorted(own_temp.glob("omnistream-*/shm/box/*.mcap"))
    (recorder,) = [p for p in psutil.Process(run.pid).children() if "omnistream.record.recorder" in p.cmdline()]
    recorder.suspend()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    yield recorder, ring
    with suppress(psutil.NoSuchProcess):
        recorder.kill()
    run.communicate()


def test_nobody_sweeps_what_a_recorder_works_on_that_has_outlived_its_run(
    tmp_path: Path, killed: tuple[psutil.Process, list[Path]]
) -> None:
    recorder, ring = killed
    sweep()
    assert all(piece.exists() for piece in ring)
    recorder.resume()
    with unfinished() as left:  # waits for it
        assert len(left) == 1
        (box,) = tmp_path.glob("run.*.mcap")
        assert events(box) == ["the run died"]
        with Recording(box) as file:
            seqs = [m.seq for m in file.messages("t.out")]
        assert seqs == list(range(len(seqs))), "from the beginning to what came last"
        assert len(seqs) > 150, "two pieces of a second at 100 Hz, of which the run's beginning takes some"
        sweep()
        assert left[0].exists(), "nor what is being recovered"


def test_a_ring_outlives_its_run_and_its_recorder_and_other_memory_does_not(
    killed: tuple[psutil.Process, list[Path]],
) -> None:
    recorder, ring = killed
    memory = ring[0].parent.parent.resolve()
    (memory / "t.0.1").write_bytes(bytes(100))
    recorder.kill()
    with unfinished() as left:
        assert [path.stat().st_ino for path in left] == [ring[0].parents[2].stat().st_ino]
    sweep()
    assert all(piece.exists() for piece in ring)
    assert not (memory / "t.0.1").exists()
    shutil.rmtree(left[0])
    sweep()
    assert not memory.exists(), "whoever removes the one removes the other"


async def test_a_stop_a_refusal_and_a_death_are_told_once_each() -> None:
    clock, plan = SystemClock(), Plan(Graph("g", 1, {}), ())
    run = Conductor(plan, LocalCrew(plan, clock, RunOptions()), clock, fresh=False)
    told: list[list[str]] = []
    happenings = Happenings(("stop", "restart"), lambda what: told.append(list(what)))
    happenings(run)
    run.outcome.records["robot"] = [(5, 1, 1, {}, "Action:velocity", ""), (6, 1, 1, {}, "Action:stop", "")]
    happenings(run)
    happenings(run)
    run.events.append("worker mind died (killed)")
    run.outcome.rows.append(Row(1, "robot", "refused"))
    run.outcome.records["robot"].append((7, 2, 2, {}, "Action:velocity", ""))
    happenings(run)
    happenings(run)
    assert told == [["stop"], ["restart"]]
