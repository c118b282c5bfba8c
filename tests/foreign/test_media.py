"""Video files with sound, as recordings: times, sync, and what is refused."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from foreign_files import picture, video_file

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND, AudioChunk, VideoFrame
from omnistream.record.playable import BEGINNING_NS, Playable, open_recording

GREY = np.full((48, 64, 3), 90, np.uint8)


def grey(_number: int) -> np.ndarray:
    return GREY


def times_of(file: Playable, topic: str) -> list[int]:
    return [m.stamp_ns - BEGINNING_NS for m in file.messages(topic)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_have_their_own_times(tmp_path: Path, suffix: str) -> None:
    at = [0, 33, 70, 71, 200, 1500, 1533]
    with open_recording(video_file(tmp_path / f"a{suffix}", at, grey)) as file:
        assert file.streams() == {"video": {VideoFrame}}
        assert times_of(file, "video") == [t * MS for t in at]
        assert file.end_ns - file.start_ns >= 1533 * MS
        assert [m.stamp_ns - BEGINNING_NS for m in file.messages("video", BEGINNING_NS + 200 * MS)] == [t * MS for t in at[4:]]
        assert file.count("video", BEGINNING_NS + 200 * MS) == 4
        frame = next(file.messages("video")).payload
    assert frame.image.shape == (48, 64, 3)
    assert np.abs(frame.image.astype(int) - 90).max() <= 3


@pytest.mark.parametrize(("suffix", "within_ms"), [(".mkv", 2), (".mp4", 25)])
@pytest.mark.parametrize("first_sample_ms", [0, 300])
def test_picture_and_sound_are_on_one_time_line(tmp_path: Path, suffix: str, within_ms: int, first_sample_ms: int) -> None:
    """A flash and a click at 1 s, wherever the sound begins. AAC smears a click over a frame of its own."""
    rate = 48000
    samples = np.zeros(2 * rate, np.int16)
    click = (1000 - first_sample_ms) * rate // 1000
    samples[click : click + rate // 20] = 20000 * np.sign(np.sin(np.arange(rate // 20)))

    def flash(number: int) -> np.ndarray:
        return np.full((48, 64, 3), 250 if number >= 25 else 5, np.uint8)

    path = video_file(tmp_path / f"a{suffix}", range(0, 2000, 40), flash, (rate, samples), first_sample_ms=first_sample_ms)
    with open_recording(path) as file:
        assert file.streams() == {"video": {VideoFrame}, "audio": {AudioChunk}}
        seen = next(m.stamp_ns for m in file.messages("video") if m.payload.image.mean() > 128)
        chunks = list(file.messages("audio"))
        starts = [m.start_ns for m in chunks]
        heard = next(
            m.start_ns + int(np.argmax(np.abs(m.payload.samples) > 5000)) * SECOND // 16000
            for m in chunks
            if np.abs(m.payload.samples.astype(int)).max() > 5000
        )
    assert seen - BEGINNING_NS == SECOND
    assert abs(heard - seen) < within_ms * MS
    assert abs(starts[0] - BEGINNING_NS - first_sample_ms * MS) < 25 * MS
    assert all(m.stamp_ns == m.start_ns + m.payload.duration_ns for m in chunks)
    assert {len(m.payload.samples) for m in chunks[:-1]} == {320}
    assert all(a.stamp_ns <= b.start_ns for a, b in itertools.pairwise(chunks))


def test_a_gap_in_the_sound_stays_one(tmp_path: Path) -> None:
    """Half a second of sound that the file does not have: what follows is not moved up."""
    from fractions import Fraction

    import av

    tone = (np.sin(np.arange(16000)) * 8000).astype(np.int16).reshape(1, -1)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for first in (0, 24000):
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, first, Fraction(1, 16000)
            container.mux(stream.encode(frame))
    with open_recording(tmp_path / "a.mkv") as file:
        chunks = list(file.messages("audio"))
    spans = [(c.start_ns - BEGINNING_NS, c.stamp_ns - BEGINNING_NS) for c in chunks]
    assert len(chunks) == 100
    assert spans[49][1] == SECOND
    assert abs(spans[50][0] - 1500 * MS) <= 2 * MS
    assert abs(spans[-1][1] - 2500 * MS) <= 2 * MS


def test_odd_sizes_and_other_pixels(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 33, 21, "bgr0"
        for i in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i, 21, 33), format="rgb24")))
        container.mux(stream.encode(None))
    with open_recording(tmp_path / "a.mkv") as file:
        frames = [m.payload.image for m in file.messages("video")]
    assert all(np.array_equal(f, picture(i, 21, 33)) for i, f in enumerate(frames))


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    (tmp_path / "a.db3").write_bytes(b"SQLite format 3\0" + bytes(100))
    for name, says in (
        ("text.mp4", "is not an MCAP recording"),
        ("empty.mp4", "is empty"),
        ("list.m3u8", "is not an MCAP recording"),
        ("a.db3", "ros2 bag convert"),
        ("none.mp4", "cannot be opened"),
    ):
        with pytest.raises(RecordingError, match=says):
            open_recording(tmp_path / name)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_damage_ends_a_stream_with_a_sentence(tmp_path: Path, suffix: str) -> None:
    """Truncated anywhere, and with any bytes changed: frames, then an end or one sentence; never anything else."""
    tone = (np.sin(np.arange(24000)) * 8000).astype(np.int16)
    whole = video_file(tmp_path / f"a{suffix}", range(0, 1000, 100), picture_of, (24000, tone)).read_bytes()
    chance = random.Random(1)
    damaged = tmp_path / f"b{suffix}"
    told = 0
    for turn in range(40):
        data = bytearray(whole)
        if turn % 2:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(30):
                data[chance.randrange(len(data))] = chance.randrange(256)
        damaged.write_bytes(data)
        try:
            with open_recording(damaged) as file:
                for topic in file.streams():
                    last = -1
                    for message in file.messages(topic):
                        assert message.stamp_ns > last
                        last = message.stamp_ns
        except RecordingError as error:
            told += 1
            assert "\n" not in str(error)
    assert told


def picture_of(number: int) -> np.ndarray:
    return picture(number, 48, 64)
