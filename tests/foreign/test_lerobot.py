"""Episodes of a LeRobotDataset v3 that lerobot itself has written, as recordings."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graph, omnistream, refused
from foreign_files import video_file

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND, Action, RobotState, Text, VideoFrame
from omnistream.record.playable import BEGINNING_NS, open_recording

DATASET = Path(__file__).parent / "lerobot" / "dataset"
FRONT, WRIST = "observation.images.front", "observation.images.wrist"


def at(row: int) -> int:
    return BEGINNING_NS + round(row * SECOND / 30)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(DATASET, tmp_path / "dataset"))


@pytest.mark.parametrize("episode", range(3))
def test_an_episode_plays_as_it_was_written(episode: int) -> None:
    rows = 20 + 5 * episode
    with open_recording(f"{DATASET}#{episode}") as file:
        held = {FRONT: {VideoFrame}, WRIST: {VideoFrame}, "observation.state": {RobotState}, "action": {Action}, "task": {Text}}
        assert file.streams() == held
        for topic in held.keys() - {"task"}:
            assert [m.stamp_ns for m in file.messages(topic)] == [at(k) for k in range(rows)]
        frames = [m.payload.image for m in file.messages(FRONT)]
        assert max(abs(f.astype(int) - (80 * episode + 3 * k)).max() for k, f in enumerate(frames)) <= 3
        images = [m.payload.image for m in file.messages(WRIST)]
        assert all((f == 80 * episode + 3 * k).all() for k, f in enumerate(images))
        assert frames[0].shape == images[0].shape == (48, 64, 3)
        states = [dict(m.payload.values) for m in file.messages("observation.state")]
        assert states == [{"pan.pos": episode, "lift.pos": k, "grip.pos": float(np.float32(k / 7))} for k in range(rows)]
        actions = [m.payload for m in file.messages("action")]
        assert actions[4] == Action("joints", at(5), {"pan.pos": 4.0, "lift.pos": episode, "grip.pos": 0.5})
        assert actions[-1].valid_until_ns > at(rows - 1)
        assert [(m.stamp_ns, m.payload.text) for m in file.messages("task")] == [(at(0), f"pick {episode % 2}")]
        assert (file.start_ns, file.end_ns) == (at(0), at(rows - 1))


@pytest.mark.parametrize("topic", [FRONT, WRIST, "action"])
def test_a_later_beginning_gives_the_same(topic: str) -> None:
    with open_recording(f"{DATASET}#2") as file:
        whole = [(m.stamp_ns, m.seq, str(m.payload)) for m in file.messages(topic)]
        assert [(m.stamp_ns, m.seq, str(m.payload)) for m in file.messages(topic, at(11) - 5 * MS)] == whole[11:]
        assert list(file.messages(topic, at(40))) == []
        assert file.count(topic, at(11)) == 11


def test_an_episode_must_be_named_where_there_are_several() -> None:
    with pytest.raises(RecordingError, match=r"holds 3 episodes; name one of them, as in .*dataset#0"):
        open_recording(DATASET)
    with pytest.raises(RecordingError, match="has no episode 3; it holds 3"):
        open_recording(f"{DATASET}#3")
    with pytest.raises(RecordingError, match="'front' is no episode"):
        open_recording(f"{DATASET}#front")


def test_a_graph_plays_it_with_one_digest_and_live(tmp_path: Path) -> None:
    text = """graph: arm
nodes:
  front: {use: camera, with: {device: /dev/video7}}
  asked: {use: console_commands}
  seen: {use: passthrough, inputs: {message: {from: front, queue: {block: 8}}}}
  both: {use: passthrough, inputs: {message: {from: [seen, asked], queue: {block: 64}}}}
  shown: {use: console, inputs: {message: both}}
"""
    where = graph(tmp_path, text)
    ends = [omnistream("replay", f"{DATASET}#1", where, "--layout", layout) for layout in ("one", "each")]
    assert [e.code for e in ends] == [0, 0], ends[0].err
    assert ends[0].summary["outputs"]["shown"] == 25 + 1
    assert ends[0].summary["digest"] == ends[1].summary["digest"]
    sources = ["--source", f"front={DATASET}#1/{WRIST}", "--source", f"asked={DATASET}#1"]
    live = omnistream("run", where, "--engine", "local", *sources)
    assert live.code == 0, live.err
    assert live.summary["outputs"]["shown"] == 25 + 1
    assert "holds 3 episodes" in refused("replay", DATASET, where)


def change(own: Path, how: Callable[[dict[str, Any]], None]) -> None:
    place = own / "meta" / "info.json"
    said = json.loads(place.read_text())
    how(said)
    place.write_text(json.dumps(said))


HOSTILE: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda i: i.update(codebase_version="v2.1"), "version v2.1, and v3.0 is read; convert it"),
    (lambda i: i.update(fps=0), "fps is 0"),
    (lambda i: i.update(fps=float("nan")), "fps is nan"),
    (lambda i: i.update(features={}), "lists no features"),
    (lambda i: i["features"].update({"../../x": {"dtype": "float32", "shape": [1]}}), "no name, dtype and shape"),
    (lambda i: i["features"]["action"].update(shape=[1 << 30, 9]), "has 9663676416 values"),
    (lambda i: i["features"]["action"].update(shape=[-1]), "no name, dtype and shape"),
    (lambda i: i.update(data_path="../{chunk_index:03d}.parquet"), "lead out of it"),
    (lambda i: i.update(data_path="{chunk_index.__class__}"), "cannot be read"),
    (lambda i: i.update(data_path="{self}"), "hold '{self}'"),
    (lambda i: i.update(video_path="{chunk_index:9d}" * 50), "cannot be read"),
    (lambda i: i.update(data_path=7), "are no texts"),
    (lambda i: i["features"]["action"].update(shape=[2]), "has 3 values, not 2"),
]


@pytest.mark.parametrize(("how", "says"), HOSTILE, ids=[s for _, s in HOSTILE])
def test_hostile_words_are_sentences(own: Path, how: Callable[[dict[str, Any]], None], says: str) -> None:
    change(own, how)
    with pytest.raises(RecordingError) as refusal:
        play(own)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def play(folder: Path) -> None:
    with open_recording(f"{folder}#1") as file:
        for topic in file.streams():
            for message in file.messages(topic):
                assert message.stamp_ns >= BEGINNING_NS


def test_missing_files_are_sentences(own: Path) -> None:
    for path in sorted(own.rglob("*.mp4")) + sorted(own.rglob("*.parquet")):
        if path.name != "tasks.parquet":
            held = path.read_bytes()
            path.unlink()
            with pytest.raises(RecordingError):
                play(own)
            path.write_bytes(held)
    play(own)


def test_a_video_that_is_none_is_a_sentence(own: Path) -> None:
    """Sound alone, a codec that nobody knows, frames that cannot be sought, and none at the episode's times."""
    video = own / "videos" / FRONT / "chunk-000" / "file-000.mp4"
    held = video.read_bytes()
    tone = np.zeros((1, 16000), np.int16)
    import av

    with av.open(str(video), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        sound.sample_rate = 16000
        container.mux([*stream.encode(sound), *stream.encode(None)])
    silent = video.read_bytes()
    unknown = held.replace(b"av01", b"zz01")
    table = held.index(b"stts")
    unsought = held[: table + 8] + b"\0" * 4 + held[table + 12 :]
    short = shutil.copy(
        video_file(own / "short.mp4", range(0, 500, 33), lambda _: np.zeros((48, 64, 3), np.uint8)), own / "s"
    ).read_bytes()
    for data, says in (
        (silent, "holds no video"),
        (unknown, "no codec"),
        (unsought, "dataset"),
        (short, "no frame for episode 1 at"),
    ):
        video.write_bytes(data)
        with pytest.raises(RecordingError, match=says):
            play(own)


def test_any_damage_is_a_sentence(own: Path) -> None:
    """Files cut off and bytes changed at random: it plays, or says why not in one sentence."""
    chance, told = random.Random(5), 0
    files = [p for p in own.rglob("*") if p.is_file()]
    for turn in range(60):
        path = files[turn % len(files)]
        held = path.read_bytes()
        data = bytearray(held)
        if turn % 3 == 0:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.choice((1, 4, 20))):
                data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            play(own)
        except RecordingError as error:
            told += 1
            assert "\n" not in str(error)
        path.write_bytes(held)
    assert told > 15
