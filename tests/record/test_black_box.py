"""A black box: nothing is written until something happens, then what led to it, and no second of it twice."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from recorder_world import T0, World, about, contents, fill, happens_in, size_of

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND
from omnistream.record.evidence import RunEvidence
from omnistream.record.reader import Recording
from omnistream.record.recorder import Recorder
from omnistream.record.scribe import Scribe
from omnistream.record.spool import waiting


def scribe_of(run_dir: Path, tmp_path: Path, **keep: int) -> Scribe:
    return Scribe(str(run_dir), about(tmp_path / "a.mcap", **{"box_ns": 2 * SECOND} | keep), remove=True)


def test_the_last_while_is_kept_and_written_once(run_dir: Path, tmp_path: Path) -> None:
    world, scribe = World(run_dir), scribe_of(run_dir, tmp_path)
    written: list[str] = []
    for i in range(200):  # ten seconds
        world.step()
        scribe.turn()
        assert sum(p.stat().st_size for p in (run_dir / "box").iterdir()) < 340_000
        if i in (99, 109, 199):
            written.append(scribe.write_box(["stop"]))
        elif i == 110:
            assert len(list(tmp_path.glob("a.*"))) == 2
    made = scribe.finish(T0, (), {})
    assert made.files == written
    first, second, third = (contents(path)["cam.out"] for path in written)
    stamps = [[(m[0] - T0) // (50 * MS) for m in found] for found in (first, second, third)]
    assert stamps[0][-1] == 100
    assert 40 <= len(stamps[0]) <= 90, "two seconds, and what makes them whole pieces"
    assert stamps[1] == list(range(101, 111)), "what the first holds is not written again"
    assert stamps[2][-1] == 200
    assert stamps[2][0] > 111
    with Recording(written[0]) as file:
        assert json.loads(file.metadata["run"]["events"]) == ["stop"]
        assert file.attachments["graph.yaml"] == b"graph: g"
        with pytest.raises(RecordingError, match="is of a black box"):
            RunEvidence(file)


def test_it_holds_no_more_bytes_than_it_may(run_dir: Path, tmp_path: Path) -> None:
    world, scribe = World(run_dir), scribe_of(run_dir, tmp_path, box_ns=60 * SECOND, box_bytes=150_000)
    for _ in range(200):
        world.step()
        scribe.turn()
    assert sum(p.stat().st_size for p in (run_dir / "box").iterdir()) < 250_000
    assert contents(scribe.write_box(["b"]))["cam.out"]
    scribe.close()


def test_a_ring_outlives_its_recorder(run_dir: Path, tmp_path: Path) -> None:
    world, scribe = World(run_dir), scribe_of(run_dir, tmp_path)
    for _ in range(60):
        world.step()
        scribe.turn()
    scribe.close()
    again = scribe_of(run_dir, tmp_path)
    assert len(contents(again.write_box(["restart"]))["typed.out"]) >= 40
    again.close()


def test_events_that_come_together_are_one_and_a_run_that_dies_is_one_too(
    run_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(run_dir)
    recorder = Recorder(str(run_dir), about(tmp_path / "a.mcap", box_ns=2 * SECOND, after_ns=300 * MS))
    while not (run_dir / "recorded.json").exists():
        world.step()
        time.sleep(0.02)  # as fast as it can, it would bring minutes of the world before the recorder has begun
    recorder.happened(["stop"])
    recorder.happened(["refused", "stop"])
    happens_in(10, lambda: "black box" in caplog.text)
    (one,) = tmp_path.glob("a.*.mcap")
    with Recording(one) as file:
        assert json.loads(file.metadata["run"]["events"]) == ["stop", "refused"]
    world.step()
    recorder.stop()  # as when the run was killed: its end was not said
    files = set(tmp_path.glob("a.*.mcap")) - {one}
    assert len(files) == 1
    with Recording(files.pop()) as file:
        assert json.loads(file.metadata["run"]["events"]) == ["the run died"]


def test_without_an_event_nothing_is_written(run_dir: Path, tmp_path: Path) -> None:
    world, recorder = World(run_dir), Recorder(str(run_dir), about(tmp_path / "a.mcap", box_ns=SECOND))
    world.step()
    os.kill(recorder.pid, signal.SIGKILL)
    assert recorder.finish(T0, (), {}).files == []
    assert not list(tmp_path.glob("*.mcap"))


def test_with_little_memory_old_pieces_are_let_go(run_dir: Path, little_memory: Path, tmp_path: Path) -> None:
    world = World(run_dir)
    recorder = Recorder(str(run_dir), about(tmp_path / "a.mcap", box_ns=600 * SECOND, after_ns=0))
    size = os.statvfs(little_memory).f_blocks * os.statvfs(little_memory).f_frsize
    while world.count * 10_000 < 1.5 * size:
        for _ in range(50):
            world.step()
        happens_in(20, lambda: waiting(run_dir, {("eyes", 0), ("ears", 0)}) < 60_000)
        if size > 1 << 20:
            assert size_of(little_memory / "box") < 0.6 * size
    recorder.happened(["key b"])
    (box,) = recorder.finish(T0, (), {}).files
    stamps = [m[0] for m in contents(box)["cam.out"]]
    assert stamps == list(range(stamps[0], T0 + world.count * 50 * MS + 1, 50 * MS)), "the newest, without a gap"
    assert len(stamps) > 15


def test_whoever_asks_for_a_box_is_answered(
    run_dir: Path, little_memory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(str(run_dir), about(tmp_path / "a.mcap", box_ns=2 * SECOND, after_ns=0))
    recorder.happened(["key b"])
    happens_in(20, lambda: "no black box (key b)" in caplog.text)
    world, stone = World(run_dir), fill(little_memory)
    world.step()
    recorder.happened(["SIGUSR1"])
    happens_in(20, lambda: "the black box was not written (SIGUSR1)" in caplog.text)
    assert "No space left" in caplog.text
    stone.unlink()
    (box,) = recorder.finish(T0, (), {}).files
    assert "does not answer" not in caplog.text
    assert len(contents(box)["cam.out"]) == 1, "what was asked for and could not be written is tried again at the end"


def test_who_asks_again_and_again_is_not_told_that_nobody_answers(
    run_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(str(run_dir), about(tmp_path / "a.mcap", box_ns=2 * SECOND, after_ns=0), patience_s=4.0)
    others = set(threading.enumerate())
    recorder.happened(["error"])
    recorder.happened(["error"])
    (first,) = [t for t in threading.enumerate() if isinstance(t, threading.Timer) and t not in others]
    happens_in(20, lambda: "no black box (error)" in caplog.text)
    os.kill(recorder._process.pid, signal.SIGSTOP)
    try:
        recorder.happened(["error"])
        first.join()
        assert "does not answer" not in caplog.text
    finally:
        os.kill(recorder._process.pid, signal.SIGCONT)
    recorder.stop()


def test_a_box_for_which_its_disk_has_no_room_is_told_and_the_ring_stays(
    run_dir: Path, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, recorder = World(run_dir), Recorder(str(run_dir), about(small_disk / "a.mcap", box_ns=2 * SECOND, after_ns=0))
    for _ in range(20):
        world.step()
    happens_in(20, lambda: (run_dir / "recorded.json").exists())
    fill(small_disk)
    recorder.happened(["stop"])
    happens_in(20, lambda: "the black box was not written (stop)" in caplog.text)
    assert [p.name for p in small_disk.iterdir()] == ["stone"], "half a box would pass for all of it"
    with pytest.raises(RecordingError, match=r"the black box was not written \(stop\): .*No space left"):
        recorder.finish(T0, (), {})
    assert len(list((run_dir / "box").iterdir())) >= 2
