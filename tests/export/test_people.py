"""Films, sound and captions of recordings: read back, each thing is where its stamp says."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from commands import omnistream, refused

from omnistream.message import (
    INFINITY,
    MS,
    SECOND,
    Action,
    AudioChunk,
    Caption,
    Command,
    Event,
    Payload,
    Text,
    Transcript,
    VideoFrame,
)  # fmt: skip
from omnistream.record import RecordedMessage, RecordingWriter
from omnistream.record.export.captions import Cue, written
from omnistream.record.playable import BEGINNING_NS, open_recording

T0 = 1_800_000_000 * SECOND
SHIPPED = Path("graphs/recordings/voice_robot.mcap")


def made(path: Path, said: Sequence[tuple[str, int, Payload]]) -> Path:
    """A recording of messages of topics at times after T0."""
    with RecordingWriter(path, start_ns=T0) as writer:
        for topic, at, payload in sorted(said, key=lambda s: s[1]):
            start = T0 + at - payload.duration_ns if isinstance(payload, AudioChunk) else None
            writer.write(topic, RecordedMessage(T0 + at, start, payload))
    return path


def frame(level: int, height: int = 48, width: int = 64) -> VideoFrame:
    return VideoFrame(np.full((height, width, 3), level, np.uint8))


def sound(of: Callable[[int], int], first_ms: int, last_ms: int) -> list[tuple[str, int, Payload]]:
    """16 kHz in chunks of 20 ms, each stamped at its end; `of` gives sample n, counted from T0."""
    found: list[tuple[str, int, Payload]] = []
    for start in range(first_ms, last_ms, 20):
        numbers = range(start * 16, (start + 20) * 16)
        found.append(("mic.out", (start + 20) * MS, AudioChunk(np.array([of(n) for n in numbers], np.int16))))
    return found


def click(n: int) -> int:
    """Half a tenth of a second of noise, one second after T0."""
    return (20000 if n % 3 else -20000) if 16000 <= n < 16800 else 0


def heard_at(path: Path) -> int:
    """When the click is heard, in ns from the file's beginning."""
    with open_recording(path) as film:
        for m in film.messages("audio"):
            loud = np.abs(m.payload.samples.astype(int)) > 5000
            if loud.any():
                return m.start_ns - BEGINNING_NS + int(np.argmax(loud)) * SECOND // 16000
    raise AssertionError("nothing is heard")


@pytest.mark.parametrize("sound_begins_ms", [0, 400])
def test_a_film_has_each_frame_at_its_time_and_sound_in_step(tmp_path: Path, sound_begins_ms: int) -> None:
    """Frames at uneven times; a flash at 1 s, and a click whose first sample is at 1 s."""
    at = [100, 133, 180, 400, 1000, 1033, 1500, 1900]
    flash: list[tuple[str, int, Payload]] = [("eye", t * MS, frame(250 if t >= 1000 else 5)) for t in at]
    recording = made(tmp_path / "a.mcap", [*flash, *sound(click, sound_begins_ms, 2000)])
    said = omnistream("record", "export", recording, tmp_path / "a.mp4")
    assert said.code == 0, said.err
    assert f"8 frames, {2.0 - min(100, sound_begins_ms) / 1000:.1f} s of sound" in said.out
    zero = min(100, sound_begins_ms)
    with open_recording(tmp_path / "a.mp4") as film:
        assert set(film.streams()) == {"video", "audio"}
        frames = [(m.stamp_ns - BEGINNING_NS, m.payload.image.mean()) for m in film.messages("video")]
        assert abs(film.end_ns - film.start_ns - (max(2000, 1900 + 400) - zero) * MS) < 60 * MS
    assert [abs(t - (a - zero) * MS) <= MS // 50 for (t, _), a in zip(frames, at, strict=True)] == [True] * 8
    assert next(t for t, level in frames if level > 128) // MS == 1000 - zero
    assert abs(heard_at(tmp_path / "a.mp4") - (1000 - zero) * MS) < 25 * MS  # AAC smears a click over a frame of its own


@pytest.mark.parametrize(("height", "width", "dtype"), [(48, 64, "u1"), (47, 33, "u1"), (48, 64, "<u2")])
def test_odd_sizes_greys_and_depth(tmp_path: Path, height: int, width: int, dtype: str) -> None:
    grey = VideoFrame(np.full((height, width), 100 if dtype == "u1" else 4000, dtype), "mono8")
    recording = made(tmp_path / "a.mcap", [("eye", i * 50 * MS, grey) for i in range(3)])
    assert "3 frames, no sound" in omnistream("record", "export", recording, tmp_path / "a.mp4").out
    with open_recording(tmp_path / "a.mp4") as film:
        (image, *_) = [m.payload.image for m in film.messages("video")]
    assert image.shape == (height, width, 3)
    assert abs(image.mean() - (100 if dtype == "u1" else 127)) < 4


def wav(path: Path) -> tuple[int, np.ndarray]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


def ramp(n: int) -> int:
    return n % 30000 - 15000


def test_sound_is_kept_to_the_sample_with_silence_in_its_gaps(tmp_path: Path) -> None:
    recording = made(tmp_path / "a.mcap", [*sound(ramp, 200, 600), *sound(ramp, 900, 1200)])
    assert omnistream("record", "export", recording, tmp_path / "a.wav").code == 0
    rate, got = wav(tmp_path / "a.wav")
    expected = np.array([ramp(n) if 3200 <= n < 9600 or n >= 14400 else 0 for n in range(3200, 19200)], np.int16)
    assert rate == 16000
    assert np.array_equal(got, expected)


def test_chunks_that_overlap_are_not_heard_twice_and_jitter_makes_no_seams(tmp_path: Path) -> None:
    chunks = sound(ramp, 0, 1000)
    shaken = [(t, at + (i % 3 - 1) * MS, c) for i, (t, at, c) in enumerate(chunks)]  # stamps that are 1 ms off
    made(tmp_path / "a.mcap", [(t, at + 10 * MS, c) for t, at, c in shaken])
    assert omnistream("record", "export", tmp_path / "a.mcap", tmp_path / "a.wav").code == 0
    assert np.array_equal(wav(tmp_path / "a.wav")[1], np.concatenate([c.samples for _, _, c in chunks]))
    twice = [*sound(ramp, 0, 400), ("mic.out", 410 * MS, AudioChunk(np.array([ramp(n) for n in range(6240, 6560)], np.int16)))]
    made(tmp_path / "b.mcap", twice)
    assert omnistream("record", "export", tmp_path / "b.mcap", tmp_path / "b.wav").code == 0
    assert np.array_equal(wav(tmp_path / "b.wav")[1], np.array([ramp(n) for n in range(6560)], np.int16))


def test_a_film_of_the_shipped_recording_has_its_times(tmp_path: Path) -> None:
    with open_recording(SHIPPED) as whole:
        from omnistream.record import Recording
        from omnistream.record.cut import cut

        assert isinstance(whole, Recording)
        cut(whole, tmp_path / "a.mcap", 5 * SECOND, 8 * SECOND)
    assert omnistream("record", "export", tmp_path / "a.mcap", tmp_path / "a.mp4").code == 0
    with open_recording(tmp_path / "a.mcap") as part, open_recording(tmp_path / "a.mp4") as film:
        zero = min(next(part.stamps("camera")), next(part.messages("mic")).start_ns or 0)
        expected = [s - zero for s in part.stamps("camera")]
        assert max(abs(a - b + BEGINNING_NS) for a, b in zip(expected, film.stamps("video"), strict=True)) < MS


def test_captions(tmp_path: Path) -> None:
    said: list[tuple[str, int, Payload]] = [
        ("mic.out", 20 * MS, AudioChunk(np.zeros(320, np.int16))),
        ("heard.out", 900 * MS, Transcript("go for", False, 1, 0, T0 + 500 * MS, T0 + 850 * MS)),
        ("heard.out", 1300 * MS, Transcript("go forward", True, 1, 1, T0 + 500 * MS, T0 + 1200 * MS)),
        ("parse.out", 1310 * MS, Command("forward", "go forward", start_ns=T0 + 500 * MS, end_ns=T0 + 1200 * MS)),
        ("typed.out", 4 * SECOND, Text("a <b> & --> c\n\nd")),
        ("shown.out", 5 * SECOND, Caption("1", "Going", False, 0)),
        ("shown.out", 6 * SECOND, Caption("1", "Going forward.", True, 1)),
        ("drive.out", 6 * SECOND, Action("velocity", T0 + 6100 * MS, {"x_mps": 0.25})),
        ("drive.out", 6050 * MS, Action("velocity", T0 + 6150 * MS, {"x_mps": 0.25})),
        ("drive.out", 6100 * MS, Action("stop", INFINITY)),
        ("beat.out", 6 * SECOND, Event("tick")),
    ]
    recording = made(tmp_path / "a.mcap", said)
    assert "6 captions" in omnistream("record", "export", recording, tmp_path / "a.vtt").out
    text = (tmp_path / "a.vtt").read_text()
    assert text.startswith("WEBVTT\n\n")
    cues = [b.splitlines() for b in text.strip().split("\n\n")[1:]]
    assert all(len(c) == 2 for c in cues)
    assert cues == [
        ["00:00:00.500 --> 00:00:01.200", "<v heard>go forward"],
        ["00:00:00.500 --> 00:00:01.200", "<v parse>go forward [forward]"],
        ["00:00:04.000 --> 00:00:06.000", "<v typed>a &lt;b&gt; &amp; --&gt; c d"],
        ["00:00:06.000 --> 00:00:06.100", "<v drive>velocity x_mps 0.25"],
        ["00:00:06.000 --> 00:00:08.000", "<v shown>Going forward."],
        ["00:00:06.100 --> 00:00:08.100", "<v drive>stop"],
    ]
    assert "1 captions" in omnistream("record", "export", recording, tmp_path / "b.vtt", "--only", "typed").out


def test_no_text_can_break_out_of_its_cue() -> None:
    nasty = "".join(map(chr, [*range(1, 0x300), 0x2028, 0x2029, 0x1F600])) + "\n\n00:00 --> 00:01\n<v x>"
    text = written([Cue(0, 1, nasty, nasty)], 0)
    assert len(re.findall("-->", text)) == 1
    assert len(text.strip().split("\n\n")) == 2
    assert len(text.strip().split("\n")) == 4


def test_what_cannot_be_made_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    silent = made(tmp_path / "silent.mcap", [("beat.out", MS, Event("tick"))])
    two = made(tmp_path / "two.mcap", [(t, i * MS, frame(5)) for i, t in enumerate(("left", "right"))])
    grows = made(tmp_path / "grows.mcap", [("eye", i * 50 * MS, frame(5, 48, 64 + 2 * i)) for i in range(2)])
    rates = [("mic", (1 + i) * 20 * MS, AudioChunk(np.zeros(320, np.int16), r)) for i, r in enumerate((16000, 8000))]
    mixed = made(tmp_path / "mixed.mcap", rates)
    years = made(tmp_path / "years.mcap", [("mic", t * 3600 * SECOND, AudioChunk(np.zeros(320, np.int16))) for t in (1, 9000)])
    for file, out, says in (
        (silent, "a.mp4", "has no picture"),
        (silent, "a.wav", "has no sound"),
        (silent, "a.vtt", "holds no words"),
        (two, "a.mp4", "several streams of VideoFrame: name one with --only: left, right"),
        (grows, "a.mp4", "changes its size"),
        (mixed, "a.wav", "changes its rate from 16000 to 8000 Hz"),
        (years, "a.wav", "spans 8999 hours"),
        (two, "a.mkv", "Write --to lerobot, mp4, wav or vtt"),
        (grows, "no/a.mp4", "cannot be written"),
    ):
        before = set(tmp_path.iterdir())
        assert says in refused("record", "export", file, tmp_path / out)
        assert set(tmp_path.iterdir()) == before
    assert "no stream 'nose'" in refused("record", "export", two, tmp_path / "a.mp4", "--only", "nose")
    assert omnistream("record", "export", two, tmp_path / "a.mp4", "--only", "left").code == 0
    assert "is there already" in refused("record", "export", two, tmp_path / "a.mp4", "--only", "left")
    assert "takes one recording" in refused("record", "export", two, silent, tmp_path / "b.mp4")


@pytest.mark.parametrize(
    "words", [["export", "a.mp4"], ["export", "a.wav"], ["cut", "a.mcap"], ["export", "d", "--to", "lerobot"]]
)
def test_a_disk_that_is_full_is_a_sentence_and_leaves_nothing(tmp_path: Path, words: list[str]) -> None:
    """No file may grow beyond 50,000 bytes."""
    rng = np.random.default_rng(2)
    noise = [("eye", i * 40 * MS, VideoFrame(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8))) for i in range(20)]
    recording = made(tmp_path / "noise.mcap", [*noise, *sound(ramp, 0, 4000)])
    command = [sys.executable, "-m", "omnistream.cli.main", "record", words[0], str(recording), *words[1:]]
    limit = (50_000, 50_000)
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "cannot be written (File too large)" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert list(tmp_path.iterdir()) == [recording]
