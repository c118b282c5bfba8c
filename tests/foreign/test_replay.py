"""The same graph, fed by other people's files: replayed with one digest over engines and layouts, and live at its own pace."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import graph, omnistream, refused
from foreign_files import picture, robot_bag, ros2_file, video_file

from omnistream.record.playable import open_recording

DATASET = Path(__file__).parent / "lerobot" / "dataset"
FRONT = "observation.images.front"
ROBOT = """graph: robot
nodes:
  camera: {use: camera, with: {device: /dev/video7}}
  typed: {use: console_commands}
  seen: {use: passthrough, inputs: {message: {from: camera, queue: {block: 8}}}}
  both: {use: passthrough, inputs: {message: {from: [seen, typed], queue: {block: 64}}}}
  shown: {use: console, inputs: {message: both}}
"""
FILM = """graph: film
nodes:
  camera: {use: camera, with: {device: /dev/video7}}
  mic: {use: microphone, with: {device: "alsa:none"}}
  seen: {use: passthrough, inputs: {message: {from: camera, queue: {block: 8}}}}
  both: {use: passthrough, inputs: {message: {from: [seen, mic], queue: {block: 64}}}}
  shown: {use: console, inputs: {message: both}}
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ros2_file(tmp_path_factory.mktemp("bag") / "robot.mcap", robot_bag())


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tone = (np.sin(np.arange(24000)) * 8000).astype(np.int16)
    at = [0, 50, 100, 180, 260, 300, 450, 500, 700, 950]
    return video_file(tmp_path_factory.mktemp("film") / "film.mp4", at, lambda n: picture(n, 48, 64), (24000, tone))


def one_digest(file: Path | str, where: Path, shown: int) -> None:
    """On the local engine, all in one worker and each in its own."""
    ends = [omnistream("replay", file, where, "--engine", "local", "--layout", layout) for layout in ("one", "each")]
    assert [e.code for e in ends] == [0, 0], ends[0].err + ends[1].err
    assert {e.summary["outputs"]["shown"] for e in ends} == {shown}
    assert len({e.summary["digest"] for e in ends}) == 1
    assert ends[0].summary["digest"]


def test_a_bag_of_ros2(bag: Path, tmp_path: Path) -> None:
    one_digest(bag, graph(tmp_path, ROBOT), 20 + 4)


def test_a_film_with_sound(film: Path, tmp_path: Path) -> None:
    one_digest(film, graph(tmp_path, FILM), messages_in(film))


def messages_in(file: Path) -> int:
    with open_recording(file) as opened:
        return sum(opened.count(topic, 1 << 62) for topic in opened.streams())


@pytest.mark.ray
def test_on_ray_the_digest_is_the_same(bag: Path, film: Path, tmp_path: Path) -> None:
    """A bag that is replayed, and beside it a film and an episode, which are sources by themselves."""
    others = {"film": f"{film}#video", "heard": f"{film}#audio", "arm": f"{DATASET}#1/action", "front": f"{DATASET}#1/{FRONT}"}
    lines = [f"  {node}: {{use: recording, with: {{path: '{path}'}}}}" for node, path in others.items()]
    lines += [
        f"  {node}_shown: {{use: console, inputs: {{message: {{from: {node}, queue: {{block: 8}}}}}}}}" for node in others
    ]
    where = graph(tmp_path, ROBOT + "\n".join(lines) + "\n")
    ends = [omnistream("replay", bag, where, "--engine", engine) for engine in ("local", "ray")]
    assert [e.code for e in ends] == [0, 0], ends[1].err
    assert ends[0].summary["digest"] == ends[1].summary["digest"]
    assert ends[1].summary["outputs"] == {
        "shown": 24, "film_shown": 10, "heard_shown": messages_in(film) - 10, "arm_shown": 25, "front_shown": 25
    }  # fmt: skip


def test_live_at_its_own_pace(bag: Path, film: Path, tmp_path: Path) -> None:
    """Each source takes the stream that fits it, and a stream can be named."""
    for text, sources, shown in (
        (ROBOT, [f"camera={bag}#/camera/image_raw", f"typed={bag}"], 24),
        (FILM, [f"camera={film}#video", f"mic={film}#audio"], messages_in(film)),
    ):
        words = [w for s in sources for w in ("--source", s)]
        ended = omnistream("run", graph(tmp_path, text), "--engine", "local", *words)
        assert ended.code == 0, ended.err
        assert ended.summary["outputs"]["shown"] == shown
        assert 1.3 < ended.summary["duration_s"] < 10


def test_mistakes_are_sentences(bag: Path, tmp_path: Path) -> None:
    where = graph(tmp_path, ROBOT)
    assert "has no stream '/nose'; it has" in refused("check", where, "--source", f"camera={bag}#/nose")
    assert "'/said' holds Text" in refused("check", where, "--source", f"camera={bag}#/said")
    assert "no such file" in refused("check", where, "--source", f"camera={tmp_path}/no.mcap#a")
    own = shutil.copy(bag, tmp_path / "own.mcap")
    words = ("--source", f"camera={own}#/camera/image_raw", "--record", own)
    assert "plays this very file" in refused("run", where, "--engine", "local", *words)
    (tmp_path / "a.db3").write_bytes(b"SQLite format 3\0" + bytes(100))
    assert "ros2 bag convert" in refused("replay", tmp_path / "a.db3", where)


def test_what_is_in_it_is_shown(bag: Path, film: Path) -> None:
    said = omnistream("record", "info", bag)
    assert said.code == 0, said.err
    assert "/camera/image_raw" in said.out
    assert "Imu" in said.out
    said = omnistream("record", "info", film)
    assert "video" in said.out
    assert "AudioChunk" in said.out
