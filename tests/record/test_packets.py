"""Video kept as the camera sent it: whatever happens to the recorder, the run or the file, what is read is what nodes saw."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from film import Film
from recorder_world import T0, FilmedWorld, about, contents, pixels

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND
from omnistream.record import foxglove
from omnistream.record.cut import cut
from omnistream.record.evidence import RunEvidence
from omnistream.record.export.film import export_mp4
from omnistream.record.join import join_parts, recover, repair
from omnistream.record.packets import BETWEEN, PACKETS
from omnistream.record.playable import open_recording
from omnistream.record.reader import Recording
from omnistream.record.recorder import Recorder
from omnistream.record.scribe import Scribe
from omnistream.record.writer import RecordingWriter

CODECS = ("h264", "h265", "jpeg")


def filmed(run_dir: Path, path: Path, steps: int = 60, **options: Any) -> FilmedWorld:
    """A run's file."""
    world = FilmedWorld(run_dir, **options)
    for _ in range(steps):
        world.step()
    assert not join_parts(str(run_dir), about(path), T0, (), {}).holes
    return world


@pytest.mark.parametrize("codec", CODECS)
def test_what_nodes_saw_is_what_is_read_and_is_evidence(codec: str, run_dir: Path, tmp_path: Path) -> None:
    world = filmed(run_dir, tmp_path / "a.mcap", codec=codec)
    assert pixels(tmp_path / "a.mcap") == world.seen
    with Recording(tmp_path / "a.mcap") as file:
        assert file.kept("cam.out") == f"{codec} as received, lossless"
        assert file.kept("mic.out") == "as received"
        assert (file.count("cam.out", 1 << 62), list(file.stamps("cam.out"))) == (60, [stamp for stamp, _ in world.seen])
        assert RunEvidence(file).seed == 7
        since = world.seen[33][0]
        assert [(m.stamp_ns, m.payload.image.tobytes()) for m in file.messages("cam.out", since)] == world.seen[33:]
        assert [m.seq for m in file.messages("cam.out")] == list(range(1, 61))


def test_a_film_is_made_of_it(run_dir: Path, tmp_path: Path) -> None:
    filmed(run_dir, tmp_path / "a.mcap", steps=20)
    with Recording(tmp_path / "a.mcap") as file:
        assert export_mp4(file, tmp_path / "a.mp4")[0] == 20


def test_jpegs_that_others_have_recorded_for_foxglove(tmp_path: Path) -> None:
    _, data = Film("jpeg").packet()
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0) as writer:
        channel = writer._channel("eye", foxglove.IMAGE, "protobuf", {})
        writer._add(channel, T0 + 1, foxglove.encode_video(T0 + 1, "eye", data, codec="jpeg"), 1)
        writer._add(channel, T0 + 2, foxglove.encode_video(T0 + 2, "eye", b"no picture", codec="jpeg"), 2)
    with Recording(tmp_path / "a.mcap") as file:
        found = file.messages("eye")
        assert next(found).payload.image.shape == (48, 64, 3)
        with pytest.raises(RecordingError, match="message 1 of 'eye' cannot be read"):
            next(found)


def test_each_packet_is_there_once_and_as_it_came(run_dir: Path, tmp_path: Path) -> None:
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

    world = filmed(run_dir, tmp_path / "a.mcap")
    again = Film("h264", 0)
    sent = [again.packet()[1] for _ in range(world.camera._count)]
    with Recording(tmp_path / "a.mcap") as file:
        held = [(c, r) for c, r in file.records(["cam.out"]) if PACKETS in c.metadata]
        assert {file.schema_of(c).name for c, _ in held} == {"foxglove.CompressedVideo"}
    messages = [CompressedVideo.FromString(r.data) for _, r in held]
    places = [sent.index(m.data) for m in messages]
    assert places == sorted(set(places)), "each once, in the order in which they came"
    assert {m.format for m in messages} == {"h264"}
    assert [m.timestamp.ToNanoseconds() for m in messages] == sorted({r.log_time for _, r in held})
    assert any(BETWEEN in c.metadata for c, _ in held), "what had no room is there, too: what came after depends on it"


@pytest.mark.parametrize("keep", [{}, {"rotate_ns": SECOND}, {"rotate_bytes": 60_000}])
@pytest.mark.parametrize(("seed", "codec"), list(enumerate(["h264", "h264", "h265", "jpeg"])))
def test_scribes_and_workers_that_die_and_files_that_end_change_no_pixel(
    seed: int, codec: str, keep: dict[str, int], run_dir: Path, tmp_path: Path
) -> None:
    world, r = FilmedWorld(run_dir, seed, codec), random.Random(seed)
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap", **keep), remove=True)
    for _ in range(120):
        world.step()
        if r.random() < 0.05:
            world.kill(r.choice(["eyes", "ears"]))
        if r.random() < 0.4:
            scribe.turn()
        if r.random() < 0.1:  # dies in the middle of a turn
            for (life, frame), _ in zip(scribe._tail.frames(), range(r.randrange(9)), strict=False):
                scribe._take(life, frame)
            scribe.close()
            scribe = Scribe(str(run_dir), scribe.about, remove=True)
    made = scribe.finish(T0, (), {})
    assert not made.holes
    assert made.messages == 360
    assert pixels(*made.files) == world.seen, "each file is read alone"
    assert len(made.files) > 1 or not keep
    with Recording(made.files[0]) as file:
        evidence = RunEvidence(file)
        assert [(m.stamp_ns, m.payload.image.tobytes()) for m in evidence.messages("cam.out", 0)] == world.seen
        evidence.close()


def test_a_source_that_begins_again_at_stamps_that_it_had_given(run_dir: Path, tmp_path: Path) -> None:
    """A file that is played as a camera does; those messages lie beside the others."""
    world = FilmedWorld(run_dir)
    for _ in range(20):
        world.step()
    world.kill("eyes")
    world.camera = Film("h264", 9, most=1000)  # those after them depend on them
    world.count -= 5
    for _ in range(20):
        world.step()
    made = join_parts(str(run_dir), about(tmp_path / "a.mcap"), T0, (), {})
    assert not made.holes
    with Recording(tmp_path / "a.mcap") as file:
        found = [(m.stamp_ns, m.payload.image.tobytes()) for m in RunEvidence(file).messages("cam.out", 0)]
    repeated = world.seen[20:25]
    assert found == world.seen[:20] + world.seen[25:] + repeated


def test_with_nobody_to_take_them_frames_are_missing_and_those_that_are_not_are_right(run_dir: Path, tmp_path: Path) -> None:
    world = FilmedWorld(run_dir, queue=30_000)
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=True)
    for i in range(90):
        world.step()
        if i < 5 or i > 60:
            scribe.turn()
    made = scribe.finish(T0, (), {})
    found = pixels(made.files[0])
    holes = [h for h in made.holes if h.what == "cam.out"]
    assert found == [m for m in world.seen if not any(h.from_ns <= m[0] <= h.to_ns for h in holes)]
    assert sum(h.count for h in holes) == 90 - len(found) > 10


def test_packets_that_were_lost_are_a_hole_up_to_the_next_key_frame(run_dir: Path, tmp_path: Path) -> None:
    """Somebody removes the file while its recorder is down."""
    world = FilmedWorld(run_dir, 3)
    world.camera = Film("h264", 3, most=40)
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=True)
    for _ in range(20):
        world.step()
    scribe.turn()
    scribe.close()
    (tmp_path / "a.mcap").unlink()
    at = world.count
    inside = world.camera.group
    while world.camera.group is inside:
        world.step()
    lost = world.count - at
    for _ in range(40):
        world.step()
    scribe = Scribe(str(run_dir), scribe.about, remove=True)
    made = scribe.finish(T0, (), {})
    found = pixels(made.files[0])
    assert lost > 1
    assert [m for m in found if m[0] > T0 + (at + lost) * 50 * MS] == world.seen[at + lost :]
    assert set(found) <= set(world.seen)
    assert {h.why for h in made.holes[1:]} == {"packets of its video were lost, up to the next key frame"}
    assert sum(h.count for h in made.holes[1:]) == world.count - at - len([m for m in found if m[0] > T0 + at * 50 * MS]) > 1
    with Recording(made.files[0]) as file, pytest.raises(RecordingError, match="has a hole"):
        RunEvidence(file)


def test_why_a_camera_is_kept_as_pixels_is_said_once(run_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        filmed(run_dir, tmp_path / "a.mcap", steps=200)
    assert caplog.text.count("cam.out is recorded as pixels without loss, not as the camera sends it: for once") == 1


@pytest.mark.parametrize(("seed", "codec"), [(0, "h264"), (1, "h264"), (2, "h265"), (3, "jpeg")])
def test_a_part_begins_anywhere(seed: int, codec: str, run_dir: Path, tmp_path: Path) -> None:
    world, r = filmed(run_dir, tmp_path / "a.mcap", codec=codec, seed=seed), random.Random(seed)
    with Recording(tmp_path / "a.mcap") as whole:
        for i in range(6):
            first = r.randrange(1, 50)
            last = first + r.randrange(2, 20)
            out = tmp_path / f"{i}.mcap"
            count = cut(whole, out, first * 50 * MS, last * 50 * MS, ["cam.out"])
            assert pixels(out) == world.seen[first - 1 : last - 1]
            assert count == len(world.seen[first - 1 : last - 1])
            with Recording(out) as part:  # and a part of that
                cut(part, tmp_path / f"{i}.again.mcap", 50 * MS, None)
            assert pixels(tmp_path / f"{i}.again.mcap") == world.seen[first : last - 1]
        cut(whole, tmp_path / "begin.mcap", 0, 20 * 50 * MS)
    with Recording(tmp_path / "begin.mcap") as part:
        assert list(RunEvidence(part).messages("cam.out", 0))
    assert pixels(tmp_path / "begin.mcap") == world.seen[:19]


def test_pieces_of_a_recording_in_a_folder_are_one(run_dir: Path, tmp_path: Path) -> None:
    world = FilmedWorld(run_dir)
    (tmp_path / "pieces").mkdir()
    scribe = Scribe(str(run_dir), about(tmp_path / "pieces" / "a.mcap", rotate_ns=SECOND), remove=True)
    for _ in range(60):
        world.step()
        scribe.turn()
    scribe.finish(T0, (), {})
    with open_recording(tmp_path / "pieces") as together:
        assert [(m.stamp_ns, m.payload.image.tobytes()) for m in together.messages("cam.out")] == world.seen


@pytest.mark.parametrize("codec", CODECS)
def test_a_black_box_begins_between_key_frames(codec: str, run_dir: Path, tmp_path: Path) -> None:
    world = FilmedWorld(run_dir, codec=codec)
    world.camera = Film(codec, 0, most=100)
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap", box_ns=2 * SECOND), remove=True)
    written: list[str] = []
    for i in range(200):
        world.step()
        scribe.turn()
        if i == 150:  # a recorder that dies leaves the ring
            scribe.close()
            scribe = Scribe(str(run_dir), scribe.about, remove=True)
        if i in (99, 109, 199):
            written.append(scribe.write_box(["stop"]))
    assert scribe.write_box(["stop"]) == "", "nothing came since the last one"
    made = scribe.finish(T0, (), {})
    assert (made.files, made.holes) == (written, [])
    assert sorted(written) == sorted(str(p) for p in tmp_path.glob("a.*"))
    found = [pixels(path) for path in written]
    assert found[0] == world.seen[100 - len(found[0]) : 100]
    assert found[1] == world.seen[100:110], "what the first holds is not written again"
    assert found[2] == world.seen[200 - len(found[2]) :]
    assert made.messages == sum(len(contents(path)[t]) for path in written for t in ("cam.out", "mic.out", "typed.out"))
    for path in written:
        with Recording(path) as file:
            held = [r.data for c, r in file.records(["cam.out"]) if PACKETS in c.metadata]
            assert len(held) == len(set(held))
            assert [r.log_time for _, r in file.records(["cam.out"])] == sorted(
                r.log_time for _, r in file.records(["cam.out"])
            )


def test_a_recorder_that_is_killed_and_a_run_that_is(run_dir: Path, tmp_path: Path) -> None:
    world, recorder = FilmedWorld(run_dir), Recorder(str(run_dir), about(tmp_path / "a.mcap", rotate_ns=SECOND))
    while not (run_dir / "recorded.json").exists():
        world.step()
    os.kill(recorder.pid, signal.SIGKILL)
    for _ in range(20):
        world.step()
    recorder.stop()
    world.step()
    recover(run_dir)
    assert pixels(*sorted(tmp_path.glob("a.*.mcap"))) == world.seen


@pytest.mark.parametrize(("seed", "codec"), [(0, "h264"), (1, "h264"), (2, "h265"), (3, "jpeg")])
def test_a_damaged_file_gives_what_nodes_saw_or_a_sentence(seed: int, codec: str, run_dir: Path, tmp_path: Path) -> None:
    world, r = filmed(run_dir, tmp_path / "whole.mcap", codec=codec, seed=seed), random.Random(seed)
    data, path = (tmp_path / "whole.mcap").read_bytes(), tmp_path / "a.mcap"
    before = 0
    for at in sorted(r.randrange(len(data) // 4, len(data)) for _ in range(12)):
        path.write_bytes(data[:at])
        repair(path)
        found = pixels(path)
        assert found == world.seen[: len(found)]
        assert len(found) >= before, "more of the file has no less in it"
        before = len(found)
    for flips in (*[1] * 10, 12, 80):
        broken = bytearray(data)
        for at in [r.randrange(len(data)) for _ in range(flips)]:
            broken[at] ^= r.randrange(1, 256)
        path.write_bytes(broken)
        found: list[tuple[int, bytes]] = []
        try:
            with Recording(path) as file:
                found.extend((m.stamp_ns, m.payload.image.tobytes()) for m in file.messages("cam.out"))
        except RecordingError as error:
            assert "a.mcap" in str(error)
        assert found == world.seen[: len(found)]


def test_packets_that_decode_otherwise_are_refused_in_a_sentence(run_dir: Path, tmp_path: Path) -> None:
    """As by another version of the decoder: here the checksum of the pixels is another."""
    world = FilmedWorld(run_dir)
    world.step()
    frame, coded = world.camera.shot()
    other = type(frame)(frame.image[::-1].copy())
    world.count += 1
    world.send("eyes", "cam.out", other, coded)
    join_parts(str(run_dir), about(tmp_path / "a.mcap"), T0, (), {})
    with Recording(tmp_path / "a.mcap") as file:
        assert json.loads(file.metadata["run"]["left_out"]) == []
        says = r"a\.mcap: 'cam\.out': the video frame at \d+ ns does not decode to the pixels that the nodes were given"
        with pytest.raises(RecordingError, match=says):
            list(RunEvidence(file).messages("cam.out", 0))
