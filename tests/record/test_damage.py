"""Broken recordings: what is whole is read, in order; everything else is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.errors import RecordingError
from omnistream.link.wire import encode_payload
from omnistream.message import MS, SECOND, AudioChunk, Text, VideoFrame
from omnistream.record import RecordedMessage, Recording, RecordingWriter

T0 = 1_800_000_000 * SECOND


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.mcap"
    rng = np.random.default_rng(0)
    with RecordingWriter(path, start_ns=T0, video="foxglove", audio="foxglove", fps=10) as w:
        for i in range(100):
            stamp = T0 + i * 50 * MS
            w.write("mic", RecordedMessage(stamp, None, AudioChunk(rng.integers(-999, 999, 80).astype(np.int16)), seq=i))
            w.write("typed.out", RecordedMessage(stamp, None, Text(f"word {i}"), stamp + 5, 0, i))
            if i % 4 == 0:
                w.write("camera", RecordedMessage(stamp, None, VideoFrame(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))))
        w.truth(stamp, {"start_ns": T0, "end_ns": stamp})
        w.attach("graph.yaml", b"graph: x")
    return path.read_bytes()


def contents(path: Path) -> dict[str, list[tuple[int, bytes]]]:
    with Recording(path) as r:
        return {t: [(m.stamp_ns, encode_payload(m.payload)) for m in r.messages(t)] for t in r.streams()}


@pytest.fixture(scope="module")
def wanted(whole: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, bytes]]]:
    path = tmp_path_factory.mktemp("wanted") / "a.mcap"
    path.write_bytes(whole)
    found = contents(path)
    assert {t: len(m) for t, m in found.items()} == {"mic": 100, "typed.out": 100, "camera": 25}
    return found


@pytest.fixture(scope="module")
def second_chunk(whole: bytes, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Where it begins."""
    path = tmp_path_factory.mktemp("second") / "a.mcap"
    path.write_bytes(whole)
    with Recording(path) as r:
        return r._index.chunks[1].offset


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_cut_file_is_a_prefix_or_a_sentence(whole, wanted, second_chunk, tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.mcap"
    size = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:size])
    try:
        with Recording(path) as r:
            assert r.notice
            r.truth()
            assert set(r.attachments) <= {"graph.yaml"}
        found = contents(path)
    except RecordingError as e:
        assert str(path) in str(e)
        assert size < second_chunk  # the first was not whole
        return
    assert set(found) <= set(wanted)
    for topic, messages in found.items():
        assert messages == wanted[topic][: len(messages)]
    assert {topic for topic in wanted if topic not in found} == set()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_bytes_give_the_same_a_prefix_or_a_sentence(whole, wanted, tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("flip") / "a.mcap"
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        broken[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(broken)
    try:
        with Recording(path) as r:
            assert isinstance(r.attachments, dict)
            r.truth()
        found = contents(path)
    except RecordingError as e:
        assert str(path) in str(e)
        return
    for topic, messages in found.items():
        assert messages == wanted.get(topic, [])[: len(messages)]


@pytest.mark.parametrize("data", [b"", b"\x89MCAP0\r\n", b"hello, world. " * 100, b"\x89MCAP0\r\n" + os.urandom(4000)])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="a.mcap"):
        Recording(path)


def test_a_missing_file_a_folder_and_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        Recording(tmp_path / "no.mcap")
    with pytest.raises(RecordingError, match="Is a directory"):
        Recording(tmp_path)
    with pytest.raises(RecordingError, match="No such file"):
        RecordingWriter(tmp_path / "no" / "a.mcap", start_ns=0)


def test_damaged_video_is_a_sentence(tmp_path: Path) -> None:
    from omnistream.record import foxglove

    path = tmp_path / "a.mcap"
    with RecordingWriter(path, start_ns=T0, video="foxglove") as w:
        w.write("camera", RecordedMessage(T0, None, VideoFrame(np.zeros((32, 32, 3), np.uint8))))
        channel = w._channel("camera", foxglove.VIDEO, "protobuf", {"kept": "lossy"})
        w._add(channel, T0 + 1, foxglove.encode_video(T0 + 1, "camera", b"\0\0\0\1garbage" * 9), 1)
    with Recording(path) as r:
        messages = r.messages("camera")
        assert next(messages).stamp_ns == T0
        with pytest.raises(RecordingError, match="video frame at"):
            next(messages)


def test_a_killed_process_loses_at_most_what_its_last_chunk_held(tmp_path: Path) -> None:
    """0.25 s of stamps: 1000 messages, 10 ms apart, then SIGKILL."""
    code = f"""
import os, signal
from omnistream.message import Text
from omnistream.record import RecordedMessage, RecordingWriter
w = RecordingWriter({str(tmp_path / "a.mcap")!r}, start_ns={T0})
for i in range(1000):
    w.write("typed.out", RecordedMessage({T0} + i * 10_000_000, None, Text(str(i))))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with Recording(tmp_path / "a.mcap") as r:
        texts = [m.payload.text for m in r.messages("typed.out")]
        assert "breaks off" in r.notice
    assert texts == [str(i) for i in range(len(texts))]
    assert len(texts) >= 974


def test_a_node_finds_its_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    with RecordingWriter(path, start_ns=T0) as w:
        for topic, payload in (("mic", AudioChunk(np.zeros(2, np.int16))), ("left.out", Text("a")), ("right.out", Text("b"))):
            w.write(topic, RecordedMessage(T0, None, payload))
    with Recording(path) as r:
        assert r.stream_for("mic", [AudioChunk]) == "mic"
        assert r.stream_for("microphone", [AudioChunk]) == "mic"
        assert r.stream_for("left", [Text]) == "left.out"
        with pytest.raises(RecordingError, match="several streams of Text .* left.out, right.out"):
            r.stream_for("typed", [Text])
        with pytest.raises(RecordingError, match="'mic' holds AudioChunk, but the node 'mic' gives Text"):
            r.stream_for("mic", [Text])
        with pytest.raises(RecordingError, match="no stream of VideoFrame"):
            r.stream_for("camera", [VideoFrame])
        with pytest.raises(RecordingError, match="has no stream 'x'; it has mic, left.out, right.out"):
            next(r.messages("x"))
