"""A folder for temporary files that is full: what is there is let go all the same, and what is missing is told as it was."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from recorder_world import T0, World, about, contents, fill

from omnistream.errors import RecordingError
from omnistream.message import MS
from omnistream.record.done import Hole, Made
from omnistream.record.evidence import RunEvidence
from omnistream.record.progress import Progress, read_progress, reserve
from omnistream.record.reader import Recording
from omnistream.record.scribe import Scribe


def missing(world: World, made: Made, stream: str) -> list[int]:
    return sorted({T0 + i * 50 * MS for i in range(1, world.count + 1)} - {m[0] for m in contents(*made.files)[stream]})


def test_what_is_recorded_is_let_go_where_there_is_no_room_to_say_so(temporary: Path, tmp_path: Path) -> None:
    reserve(temporary / "recorded.json")
    world, scribe = World(temporary), Scribe(str(temporary), about(tmp_path / "a.mcap"), remove=True)
    for _ in range(12):
        world.step()
    before = sum(p.stat().st_size for p in temporary.glob("*.part"))
    stone = fill(temporary)
    scribe.turn()
    scribe.close()
    assert sum(p.stat().st_size for p in temporary.glob("*.part")) < before / 3
    stone.unlink()
    again = Scribe(str(temporary), scribe.about, remove=True)
    assert again.finish(T0, (), {}).messages == 36


def test_after_a_full_disk_it_goes_on_and_the_hole_is_what_is_missing(temporary: Path, tmp_path: Path) -> None:
    reserve(temporary / "recorded.json")
    world, scribe = World(temporary), Scribe(str(temporary), about(tmp_path / "a.mcap"), remove=True)
    for _ in range(60):  # with nobody to take it, until the disk is full
        world.step()
    scribe.turn()
    for _ in range(20):
        world.step()
        scribe.turn()
    for recorder in world.recorders.values():
        recorder.close()
    made = scribe.finish(T0, (), {})
    holes = {hole.what: hole for hole in made.holes}
    frames, sound = missing(world, made, "cam.out"), missing(world, made, "mic.out")
    assert len(frames) > 10
    hole = holes["worker eyes.0"]
    assert (hole.from_ns, hole.to_ns, hole.count) == (frames[0], frames[-1] + 50 * MS, len(frames))
    assert frames == list(range(hole.from_ns, hole.to_ns, 50 * MS))
    told = sum(h.count for h in made.holes if h.what == "worker ears.0")
    assert told == len(sound) + len(missing(world, made, "typed.out"))
    with Recording(made.files[0]) as file:
        first = min(h.from_ns for h in made.holes)
        assert RunEvidence(file, first - 1).rows(), "what lies before it can be had again"
        with pytest.raises(RecordingError, match="no room in the folder for temporary files"):
            RunEvidence(file)


def test_a_disk_that_stays_full_is_a_hole_to_the_end_of_the_run(temporary: Path, tmp_path: Path) -> None:
    world, scribe = World(temporary), Scribe(str(temporary), about(tmp_path / "a.mcap"), remove=True)
    for _ in range(5):
        world.step()
    stone = fill(temporary)
    for _ in range(30):
        world.step()
    for recorder in world.recorders.values():
        recorder.close()
    stone.unlink()
    made = scribe.finish(T0, (), {"end_ns": T0 + 10_000 * MS})
    frames, sound = missing(world, made, "cam.out"), missing(world, made, "mic.out")
    assert frames
    assert sound
    holes = {h.what: (h.from_ns, h.to_ns) for h in made.holes}
    typed = missing(world, made, "typed.out")
    assert holes == {
        "worker eyes.0": (frames[0], T0 + 10_000 * MS),
        "worker ears.0": (min(sound[0], typed[0]), T0 + 10_000 * MS),
    }


def test_a_worker_that_begins_again_on_a_full_disk_is_recorded_when_there_is_room(temporary: Path, tmp_path: Path) -> None:
    world, scribe = World(temporary), Scribe(str(temporary), about(tmp_path / "a.mcap"), remove=True)
    for _ in range(5):
        world.step()
    stone = fill(temporary)
    world.step()
    world.kill("eyes")
    world.step()
    stone.unlink()
    world.step()
    made = scribe.finish(T0, (), {})
    kept = {(m[1], m[0]) for m in contents(*made.files)["cam.out"]}
    assert (1, T0 + 8 * 50 * MS) in kept
    covered = [(h.from_ns, h.to_ns) for h in made.holes if h.what.startswith("worker eyes")]
    for stamp in missing(world, made, "cam.out"):
        assert any(first <= stamp <= last for first, last in covered)


def test_many_holes_are_told_as_one_from_some_number_on(run_dir: Path, tmp_path: Path) -> None:
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=False)
    for i in range(300):
        scribe._done.open["s"] = Hole("s", 10 * i, 10 * i, 1, "why")
        scribe._done.end_hole("s", 10 * i + 5, 2)
    holes = scribe._done.holes
    scribe.close()
    assert len(holes) == 100
    assert sum(h.count for h in holes) == 600
    assert (holes[-1].from_ns, holes[-1].to_ns, holes[-1].why) == (990, 2995, "why, time and again")


@pytest.mark.parametrize("seed", range(5))
def test_of_what_was_said_the_last_that_is_whole_is_read(seed: int, tmp_path: Path) -> None:
    path, r = tmp_path / "recorded.json", random.Random(seed)
    if seed % 2:
        reserve(path)
    assert not path.exists()
    said: list[str] = []
    progress = Progress(path)
    for i in range(40):
        said.append(f"{i}:" + "x" * r.choice([0, 10, 1000, 20_000 * (i // 20), 90_000 * (i // 39)]))
        if r.random() < 0.3:
            progress = Progress(path)  # another scribe goes on
        progress.say(said[-1])
        assert read_progress(path) == said[-1]
    data = bytearray(path.read_bytes())
    at = data.index(said[-1].encode())
    data[at] ^= 1
    path.write_bytes(data)
    if said[-2].encode() in data:  # else the file was made anew, larger, and that is no write in place
        assert read_progress(path) == said[-2]
        Progress(path).say("after")
        assert read_progress(path) == "after"
    else:
        with pytest.raises(ValueError, match="neither"):
            read_progress(path)
