"""The recorder: whatever is killed, full or behind, the file holds what was spooled, or says what it does not."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from recorder_world import T0, World, about, contents, happens_in

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND
from omnistream.record.damage import find_damage
from omnistream.record.evidence import RunEvidence
from omnistream.record.index import Walk
from omnistream.record.join import join_parts, recover, repair
from omnistream.record.reader import Recording
from omnistream.record.recorder import Recorder
from omnistream.record.scribe import Scribe


@pytest.mark.parametrize("keep", [{}, {"rotate_ns": SECOND}, {"rotate_bytes": 60_000}])
@pytest.mark.parametrize("seed", range(4))
def test_a_file_made_on_the_way_by_scribes_that_die_is_the_one_made_at_the_end(
    seed: int, keep: dict[str, int], run_dir: Path, tmp_path: Path
) -> None:
    world, r = World(run_dir, seed), random.Random(seed)
    whole = tmp_path / "whole"
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap", **keep), remove=True)
    whole.mkdir()
    for _ in range(120):
        world.step()
        if r.random() < 0.05:
            world.kill(r.choice(["eyes", "ears"]))
        for part in run_dir.glob("*.part"):
            shutil.copyfile(part, whole / part.name)
        if r.random() < 0.4:
            scribe.turn()
        if r.random() < 0.1:  # dies: what it had not yet given to the system is gone
            half_a_turn(scribe, r)
            scribe.close()
            scribe = Scribe(str(run_dir), scribe.about, remove=True)
    made = scribe.finish(T0, (), {"digest": "d"})
    reference = join_parts(str(whole), about(tmp_path / "b.mcap"), T0, (), {})
    assert made.messages == reference.messages == 360
    assert not made.holes
    assert contents(*made.files) == contents(*reference.files)
    assert len(made.files) > 1 or not keep
    with Recording(made.files[0]) as file:
        assert file.attachments["graph.yaml"] == b"graph: g"
        assert RunEvidence(file).seed == 7


def half_a_turn(scribe: Scribe, r: random.Random) -> None:
    for (life, frame), _ in zip(scribe._tail.frames(), range(r.randrange(9)), strict=False):
        scribe._take(life, frame)
    if scribe._writer is not None and r.random() < 0.5:
        scribe._writer.flush()


def test_spools_are_cut_while_the_run_goes_on(run_dir: Path, tmp_path: Path) -> None:
    world, scribe = World(run_dir), Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=True)
    for _ in range(100):
        world.step()
        scribe.turn()
        assert len(list(run_dir.glob("*.part"))) <= 4
    assert len(contents(scribe.about.path)["cam.out"]) == 100, "all of it is in the file before that is finished"
    scribe.close()


def test_a_recorder_that_is_killed_is_started_again_and_loses_nothing(run_dir: Path, tmp_path: Path) -> None:
    world, recorder = World(run_dir), Recorder(str(run_dir), about(tmp_path / "a.mcap"))
    killed: set[int] = set()
    while len(killed) < 3:
        world.step()
        if recorder.pid not in killed and (len(killed) == 2 or (run_dir / "recorded.json").exists()):
            killed.add(recorder.pid)
            os.kill(recorder.pid, signal.SIGKILL)
    made = recorder.finish(T0, [{"reason": "late"}], {"digest": "d"})
    assert made.messages == 3 * world.count
    assert not made.holes
    found = contents(made.files[0])
    assert [m[2] for m in found["cam.out"]] == list(range(1, world.count + 1))
    with Recording(made.files[0]) as file:
        assert json.loads(file.attachments["ledger.json"]) == [{"reason": "late"}]
        assert file.metadata["run"]["digest"] == "d"


def test_a_recorder_that_does_not_answer_holds_nobody_up(
    run_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, recorder = World(run_dir), Recorder(str(run_dir), about(tmp_path / "a.mcap"), patience_s=1)
    while not (run_dir / "recorded.json").exists():
        world.step()
    os.kill(recorder.pid, signal.SIGSTOP)
    world.step()
    recorder.happened(["x" * 1_000_000])  # more than a pipe takes
    with pytest.raises(RecordingError, match="has not answered for 1 s and was ended"):
        recorder.finish(T0, [{"reason": "late"}], {"digest": "d"})
    assert "waiting for the recorder to finish" in caplog.text
    assert recover(run_dir).messages == 3 * world.count


def test_a_recorder_that_cannot_be_started_again_is_told(
    run_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, recorder = World(run_dir), Recorder(str(run_dir), about(tmp_path / "a.mcap"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    os.kill(recorder.pid, signal.SIGKILL)
    happens_in(20, lambda: "cannot be started again (No such file or directory)" in caplog.text)
    recorder.happened(["key b"])
    assert "the black box was not written (key b): the recorder ended" in caplog.text
    world.step()
    assert recorder.finish(T0, (), {}).messages == 3


def test_what_was_asked_of_a_recorder_that_died_is_asked_again(
    run_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, recorder = World(run_dir), Recorder(str(run_dir), about(tmp_path / "a.mcap", box_ns=SECOND, after_ns=0))
    world.step()
    os.kill(recorder.pid, signal.SIGSTOP)
    recorder.happened(["key b"])
    os.kill(recorder.pid, signal.SIGKILL)
    happens_in(20, lambda: "black box: " in caplog.text)
    recorder.stop()


def test_a_run_that_is_dead_is_recovered_from_where_its_recorder_was(run_dir: Path, tmp_path: Path) -> None:
    world, recorder = World(run_dir), Recorder(str(run_dir), about(tmp_path / "a.mcap"))
    while not (run_dir / "recorded.json").exists():
        world.step()
    recorder.stop()
    world.step()
    made = recover(run_dir, str(tmp_path / "b.mcap"))
    path, count = made.files[0], made.messages
    assert (path, count) == (str(tmp_path / "b.mcap"), 3 * world.count)
    assert [m[2] for m in contents(path)["typed.out"]] == list(range(1, world.count + 1))


def test_with_nobody_to_take_them_messages_are_not_kept_and_the_file_says_which(run_dir: Path, tmp_path: Path) -> None:
    world = World(run_dir, queue=100_000)
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=True)
    for i in range(60):
        world.step()
        if i < 5 or i > 40:
            scribe.turn()
    made = scribe.finish(T0, (), {})
    (hole,) = made.holes
    assert (hole.what, hole.count) == ("cam.out", 60 - len(contents(made.files[0])["cam.out"]))
    assert len(contents(made.files[0])["mic.out"]) == 60, "who is not behind is kept"
    missing = sorted({T0 + i * 50 * MS for i in range(1, 61)} - {m[0] for m in contents(made.files[0])["cam.out"]})
    assert (hole.from_ns, hole.to_ns) == (missing[0], missing[-1])
    with Recording(made.files[0]) as file:
        first, last = (hole.from_ns - T0) / 1e9, (hole.to_ns - T0) / 1e9
        with pytest.raises(RecordingError, match=rf"has a hole: cam.out from {first:.3f} s to {last:.3f} s of the run"):
            RunEvidence(file)
        assert RunEvidence(file, hole.from_ns - 1).start_ns == T0, "what lies before it can be had again"
        (row,) = json.loads(file.attachments["ledger.json"])
        assert (row["where"], row["reason"], row["count"]) == ("cam.out", "not_recorded", hole.count)


def test_a_worker_that_is_killed_behind_a_hole_ends_it(run_dir: Path, tmp_path: Path) -> None:
    world = World(run_dir, queue=30_000)
    for _ in range(20):
        world.step()
    world.kill("eyes")
    world.step()
    made = join_parts(str(run_dir), about(tmp_path / "a.mcap"), T0, (), {})
    assert [h.to_ns for h in made.holes if h.what == "cam.out"] == [T0 + 21 * 50 * MS]


def test_a_recorder_without_room_waits_for_it(run_dir: Path, small_disk: Path) -> None:
    world = World(run_dir)
    stone = small_disk / "stone"
    stone.write_bytes(b"x" * 45_000)
    description = about(small_disk / "a.mcap")
    scribe = Scribe(str(run_dir), description, remove=True)
    for _ in range(12):
        world.step()
    with pytest.raises(RecordingError, match="No space left"):
        scribe.turn()
    scribe.close()
    with Recording(small_disk / "a.mcap") as file:
        assert "breaks off" in file.notice
    scribe = Scribe(str(run_dir), description, remove=True)
    with pytest.raises(RecordingError, match="No space left"):
        scribe.turn()
    scribe.close()
    count = world.count
    stone.unlink()
    again = Scribe(str(run_dir), description, remove=True)
    assert again.finish(T0, (), {}).messages == 3 * count


def test_only_named_streams_are_recorded_and_a_replay_says_what_lacks(run_dir: Path, tmp_path: Path) -> None:
    world = World(run_dir, streams=("cam.out", "typed.out"))
    world.step()
    made = join_parts(str(run_dir), about(tmp_path / "a.mcap", streams=("cam.out", "typed.out")), T0, (), {})
    assert {s for s in contents(made.files[0]) if s.endswith(".out")} == {"cam.out", "typed.out"}
    with Recording(made.files[0]) as file, pytest.raises(RecordingError, match=r"'mic\.out' was not recorded"):
        RunEvidence(file)


def test_compact_video_plays_and_is_no_evidence(run_dir: Path, tmp_path: Path) -> None:
    world = World(run_dir)
    for _ in range(20):
        world.step()
    exact = join_parts(str(run_dir), about(tmp_path / "a.mcap"), T0, (), {})
    small = join_parts(str(run_dir), about(tmp_path / "b.mcap", video="compact"), T0, (), {})
    assert [m[:5] for m in contents(small.files[0])["cam.out"]] == [m[:5] for m in contents(exact.files[0])["cam.out"]]
    with Recording(small.files[0]) as file:
        assert {t: file.is_lossless(t) for t in file.streams()} == {"cam.out": False, "mic.out": True, "typed.out": True}
        with pytest.raises(RecordingError, match=r"'cam\.out' is lossy \(`video: compact`\)"):
            RunEvidence(file)


def test_the_second_file_of_a_run_names_the_first(run_dir: Path, tmp_path: Path) -> None:
    world, scribe = World(run_dir), Scribe(str(run_dir), about(tmp_path / "a.mcap", rotate_ns=SECOND), remove=True)
    for _ in range(50):
        world.step()
        scribe.turn()
    first, second, *_ = scribe.finish(T0, (), {}).files
    with Recording(second) as file:
        assert list(file.messages("cam.out"))
        with pytest.raises(RecordingError, match=rf"is file 2 of a run: .* replay {first}"):
            RunEvidence(file)


@pytest.mark.parametrize("where", ["middle", "last", "zeros"])
def test_a_damaged_segment_is_a_hole_and_what_follows_is_kept(where: str, run_dir: Path, tmp_path: Path) -> None:
    world = World(run_dir)
    for _ in range(60):
        world.step()
    parts = sorted(run_dir.glob("eyes.0.*.part"))
    assert len(parts) > 4
    part = parts[2] if where == "middle" else parts[-1]
    data = bytearray(part.read_bytes())
    if where == "zeros":
        data += bytes(4096)
    else:
        data[len(data) // 2] ^= 1
    part.write_bytes(data)
    made = join_parts(str(run_dir), about(tmp_path / "a.mcap"), T0, ())
    (hole,) = made.holes
    assert (hole.what, hole.why) == ("worker eyes.0", "its spool was damaged")
    found = [m[2] for m in contents(made.files[0])["cam.out"]]
    missing = sorted(set(range(1, 61)) - set(found))
    assert found == sorted(found)
    assert bool(missing) == (where != "zeros")
    assert all(hole.from_ns < T0 + n * 50 * MS <= hole.to_ns for n in missing)
    assert hole.to_ns == T0 + (60 if where != "middle" else missing[-1] + 1) * 50 * MS
    assert len(contents(made.files[0])["mic.out"]) == 60
    with Recording(made.files[0]) as file, pytest.raises(RecordingError, match="has a hole: worker eyes"):
        RunEvidence(file)


def test_a_frame_that_was_not_written_to_its_end_never_counted(run_dir: Path, tmp_path: Path) -> None:
    world = World(run_dir)
    for _ in range(3):
        world.step()
    part = max(run_dir.glob("eyes.0.*.part"))
    part.write_bytes(part.read_bytes()[:-5])
    made = join_parts(str(run_dir), about(tmp_path / "a.mcap"), T0, ())
    assert (made.messages, made.holes) == (8, [])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, list[tuple[Any, ...]]]]:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "run").mkdir()
    world = World(folder / "run")
    for _ in range(60):
        world.step()
    join_parts(str(folder / "run"), about(folder / "a.mcap"), T0, (), {})
    return (folder / "a.mcap").read_bytes(), contents(folder / "a.mcap")


def repaired(path: Path, data: bytes) -> dict[str, list[tuple[Any, ...]]]:
    path.write_bytes(data)
    repair(path)
    with Recording(path) as file:
        assert not file.notice
    return contents(path)


@pytest.mark.parametrize("seed", range(10))
def test_a_file_cut_anywhere_is_repaired_to_what_is_whole(seed: int, finished: Any, tmp_path: Path) -> None:
    """A hundred places in all."""
    data, wanted = finished
    r = random.Random(seed)
    second = data.index(b"\x06", data.index(b"lz4")) if b"lz4" in data else 0
    before: dict[str, int] = {}
    for at in sorted(r.randrange(len(data) // 4, len(data)) for _ in range(10)):
        found = repaired(tmp_path / "a.mcap", data[:at])
        assert second
        for name, messages in found.items():
            assert messages == wanted[name][: len(messages)]
            assert len(messages) >= before.get(name, 0), "more of the file has no less in it"
            before[name] = len(messages)


def test_one_flipped_bit_anywhere_is_damage_and_what_comes_before_is_had_again(finished: Any, tmp_path: Path) -> None:
    """Of every kind of record, under an index that is as it was; in the opcode, all bits."""
    data, wanted = finished
    path = tmp_path / "a.mcap"
    path.write_bytes(data)
    assert find_damage(path) is None
    with path.open("rb") as file:
        parts = [*Walk(file, len(data))]
    chunks = [p for p in parts if p.seen]
    assert len(chunks) > 3
    flips = [(p.at, bit) for p in (parts[2], chunks[1], chunks[2], parts[-1]) for bit in range(8)]
    flips += [(p.at + 9 + p.length // 3, bit) for p in (*chunks[1:3], parts[3]) for bit in (0, 6)]
    flips += [(chunks[1].at + at, 2) for at in (1, 9, 17, 25, 33)]  # lengths and times
    for at, bit in flips:
        broken = bytearray(data)
        broken[at] ^= 1 << bit
        path.write_bytes(broken)
        damage = find_damage(path)
        assert damage is not None, (at, bit)
        assert damage.at <= at
        whole = sum(len(places) for p in chunks if p.at + p.length <= at for places in p.seen.values())
        if not whole:
            continue
        assert damage.messages == whole, (at, bit)
        found = repaired(path, bytes(broken))
        assert sum(map(len, found.values())) >= whole, "and the rows of journals"
        for name, messages in found.items():
            assert messages == wanted[name][: len(messages)]
        assert find_damage(path) is None


@pytest.mark.parametrize("seed", range(10))
def test_a_file_with_flipped_bytes_is_repaired_and_never_lies(seed: int, finished: Any, tmp_path: Path) -> None:
    """A thousand bytes in all: one at a time, and many."""
    data, wanted = finished
    r = random.Random(seed)
    for flips in (*[1] * 8, 12, 80):
        broken = bytearray(data)
        places = sorted(r.randrange(len(data)) for _ in range(flips))
        for at in places:
            broken[at] ^= r.randrange(1, 256)
        try:
            found = repaired(tmp_path / "a.mcap", bytes(broken))
        except RecordingError as error:
            assert "a.mcap" in str(error)
            assert places[0] < len(data) // 8, "only where the first chunk is gone is nothing left"
            continue
        for name, messages in found.items():
            assert messages == wanted.get(name, [])[: len(messages)]
