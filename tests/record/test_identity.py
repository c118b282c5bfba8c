"""Whose a file is: nobody records into another's, goes on with it, or takes up what is finished."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from recorder_world import T0, World, about, contents

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND
from omnistream.record.done import finished
from omnistream.record.evidence import RunEvidence
from omnistream.record.identity import Claim, run_of
from omnistream.record.join import join_parts, recover
from omnistream.record.playable import open_recording
from omnistream.record.reader import Recording
from omnistream.record.recorder import Recorder
from omnistream.record.scribe import Scribe


def begun(run_dir: Path, path: Path, steps: int = 20) -> World:
    """A run that is dead: some of it is in the file, the rest is spooled."""
    about(path).leave(str(run_dir))
    world, scribe = World(run_dir), Scribe(str(run_dir), about(path), remove=True)
    for _ in range(steps):
        world.step()
    scribe.turn()
    scribe.close()
    world.step()
    return world


def another(folder: Path, path: Path, steps: int) -> bytes:
    """A finished recording of another run."""
    (folder / "another").mkdir()
    world = World(folder / "another", 1)
    for _ in range(steps):
        world.step()
    join_parts(str(folder / "another"), replace(about(path), run="4567", overwrite=True), T0, ())
    return path.read_bytes()


def test_a_recovery_does_not_go_on_with_the_file_of_another_run(run_dir: Path, tmp_path: Path) -> None:
    world, path = begun(run_dir, tmp_path / "a.mcap"), tmp_path / "a.mcap"
    newer = another(tmp_path, path, 60)
    with pytest.raises(RecordingError, match=r"is not what was recorded: .* record recover --to"):
        recover(run_dir)
    assert path.read_bytes() == newer
    whole = recover(run_dir, str(tmp_path / "b.mcap"))
    made, count = whole.files[0], whole.messages
    assert count == 3, "what was in the file is gone with it, the rest is not"
    assert [m[2] for m in contents(made)["typed.out"]] == [world.count]
    assert path.read_bytes() == newer


def test_a_file_that_was_moved_away_and_back_is_gone_on_with(run_dir: Path, tmp_path: Path) -> None:
    world, path = begun(run_dir, tmp_path / "a.mcap"), tmp_path / "a.mcap"
    shutil.copyfile(path, tmp_path / "elsewhere")
    path.unlink()
    shutil.copyfile(tmp_path / "elsewhere", path)
    made = recover(run_dir)
    assert (made.files, made.messages) == ([str(path)], 3 * world.count)


def test_what_was_damaged_meanwhile_is_a_hole(run_dir: Path, tmp_path: Path) -> None:
    begun(run_dir, tmp_path / "a.mcap", 60)
    data = bytearray((tmp_path / "a.mcap").read_bytes())
    data[len(data) * 3 // 4] ^= 1
    (tmp_path / "a.mcap").write_bytes(data)
    scribe = Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=True)
    (hole,) = scribe.finish(T0, ()).holes
    assert "was damaged" in hole.why
    assert T0 < hole.from_ns < hole.to_ns


def test_a_file_that_is_finished_is_not_taken_up_again(run_dir: Path, tmp_path: Path) -> None:
    world, scribe = begun(run_dir, tmp_path / "a.mcap"), Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=True)
    assert finished(run_dir) is None
    made = scribe.finish(T0, (), {"digest": "d"})
    data = (tmp_path / "a.mcap").read_bytes()
    assert finished(run_dir) == made
    again = Scribe(str(run_dir), about(tmp_path / "a.mcap"), remove=True)
    assert not again.turn(last=True)
    assert again.finish(T0, ()) == made
    again.close()
    made = recover(run_dir)
    assert (made.files, made.messages) == ([str(tmp_path / "a.mcap")], 3 * world.count)
    assert (tmp_path / "a.mcap").read_bytes() == data


def test_one_run_at_a_time_and_nothing_is_overwritten_unasked(run_dir: Path, tmp_path: Path) -> None:
    first = about(tmp_path / "a.mcap")
    claim = Claim(first)
    with pytest.raises(RecordingError, match=r"--record .*a\.mcap: a run is recording into a\.mcap"):
        Claim(replace(first, overwrite=True))
    recorder = Recorder(str(run_dir), first, claim.fds)
    os.close(claim.fds[0])
    World(run_dir).step()
    with pytest.raises(RecordingError, match="a run is recording into"):  # its recorder is, though who began it is gone
        Claim(replace(first, overwrite=True))
    recorder.finish(T0, (), {})
    assert run_of(tmp_path / "a.mcap") == "0123"
    with pytest.raises(RecordingError, match=r"a\.mcap is there already; add --overwrite .* with --record FILE"):
        Claim(first, "record.path")
    with Claim(replace(first, overwrite=True)):
        assert run_of(tmp_path / "a.mcap") == "0123", "until something is recorded"
    with Claim(about(tmp_path / "new.mcap")):
        assert (tmp_path / "new.mcap").exists()
    assert not (tmp_path / "new.mcap").exists(), "nothing was recorded"


def test_pieces_of_an_earlier_run_are_not_mixed_with_those_of_this_one(run_dir: Path, tmp_path: Path) -> None:
    early = replace(about(tmp_path / "a.mcap", rotate_ns=SECOND), run="4567")
    (tmp_path / "early").mkdir()
    world = World(tmp_path / "early")
    for _ in range(90):
        world.step()
    before = join_parts(str(tmp_path / "early"), early, T0, ()).files
    assert len(before) > 3
    Path(before[0]).unlink()
    late = about(tmp_path / "a.mcap", rotate_ns=SECOND)
    with pytest.raises(RecordingError, match=r"a\.0002\.mcap is there already"):
        Claim(late)
    world = World(run_dir)
    for _ in range(30):
        world.step()
    with pytest.raises(RecordingError, match=r"a\.0002\.mcap is there already, and is not this run's"):
        join_parts(str(run_dir), late, T0, ())
    made = join_parts(str(run_dir), replace(late, overwrite=True), T0, ()).files
    assert sorted(map(str, tmp_path.glob("a.*.mcap"))) == made
    assert len(made) == 2


@pytest.mark.parametrize("moved", [False, True])
def test_a_file_that_goes_during_the_run_is_told(moved: bool, run_dir: Path, tmp_path: Path) -> None:
    world, path = World(run_dir), tmp_path / "a.mcap"
    scribe = Scribe(str(run_dir), about(path), remove=True)
    world.step()
    scribe.turn()
    if moved:
        path.rename(tmp_path / "b.mcap")
        made = scribe.finish(T0, ())
        assert made.files == [str(tmp_path / "b.mcap")]
        assert made.notes == [f"{path} was moved to {tmp_path / 'b.mcap'} during the run"]
        return
    path.unlink()
    with pytest.raises(RecordingError, match=r"a\.mcap was deleted during the run: nothing is left of its recording"):
        scribe.finish(T0, ())
    assert finished(run_dir) is not None, "so that nobody makes an empty one in its place"


@pytest.fixture
def rotated(run_dir: Path, tmp_path: Path) -> list[Path]:
    """Four files of a second each."""
    world = World(run_dir)
    scribe = Scribe(str(run_dir), about(tmp_path / "r" / "a.mcap", rotate_ns=SECOND), remove=True)
    (tmp_path / "r").mkdir()
    for _ in range(79):
        world.step()
        scribe.turn()
    files = [Path(file) for file in scribe.finish(T0, ()).files]
    assert len(files) == 4
    return files


def test_a_missing_piece_is_a_gap_that_is_named(rotated: list[Path]) -> None:
    folder = rotated[0].parent
    with open_recording(folder) as bag, Recording(rotated[0]) as first:
        assert not bag.notice
        assert len(RunEvidence(first).rows()) == 79
    rotated[1].unlink()
    with open_recording(folder) as bag:
        assert "file 2 is missing: of the run from 1.000 s to 2.000 s there is nothing" in bag.notice
    with Recording(rotated[0]) as first:
        with pytest.raises(RecordingError, match=r"goes on in a\.0002\.mcap, which is missing: .* from 0\.950 s .*--to"):
            RunEvidence(first)
        with pytest.raises(RecordingError, match="which is missing"):
            RunEvidence(first, T0 + 950 * MS)
        assert RunEvidence(first, T0 + 950 * MS - 1).end_ns == T0 + 1000 * MS
    for path in (rotated[0], rotated[3]):
        path.unlink()
    with open_recording(folder) as bag:
        assert "files 1 to 2 are missing: of the run from 0.000 s to 2" in bag.notice
        assert "the run goes on in file 4, which is missing" in bag.notice


def test_a_piece_that_breaks_off_before_the_next_is_a_gap(rotated: list[Path]) -> None:
    data = rotated[1].read_bytes()
    rotated[1].write_bytes(data[: len(data) // 2])
    with (
        Recording(rotated[0]) as first,
        pytest.raises(RecordingError, match=r"a\.0002\.mcap is not whole, and the run goes on in"),
    ):
        RunEvidence(first)
    for path in rotated[2:]:
        path.unlink()
    with Recording(rotated[0]) as first:
        assert RunEvidence(first).seed == 7, "as of a run that was killed there"


def test_pieces_of_another_run_are_not_taken_for_those_of_this_one(rotated: list[Path], tmp_path: Path) -> None:
    (tmp_path / "early").mkdir()
    world = World(tmp_path / "early", 1)
    for _ in range(79):
        world.step()
    other = replace(about(tmp_path / "o" / "a.mcap", rotate_ns=SECOND), run="4567")
    (tmp_path / "o").mkdir()
    join_parts(str(tmp_path / "early"), other, T0, ())
    shutil.copyfile(tmp_path / "o" / "a.0003.mcap", rotated[2])
    with Recording(rotated[0]) as first, pytest.raises(RecordingError, match=r"a\.0003\.mcap, which is of another run"):
        RunEvidence(first)
    with pytest.raises(RecordingError, match=r"files of 2 runs, a\.0001\.mcap of one and a\.0003\.mcap of another"):
        open_recording(rotated[0].parent)
