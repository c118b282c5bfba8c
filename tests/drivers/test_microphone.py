"""A microphone that plays a file: a recorded voice and a film's sound, read against what sox and FFmpeg make of them."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.errors import DeviceError, GraphError
from omnistream.message import MS, SECOND, AudioChunk
from omnistream.node import Context, Emit, ports_of
from omnistream.testing import context
from omnistream_drivers.camera import Camera
from omnistream_drivers.microphone import Microphone

pytestmark = pytest.mark.usefixtures("no_leaks")


def replay() -> Context:
    return context("mic", live=False, start_ns=7 * SECOND)


def joined(emits: list[Emit[AudioChunk]]) -> np.ndarray:
    return np.concatenate([e.payload.samples for e in emits])


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    n = min(len(a), len(b))
    return float(np.corrcoef(a[:n].astype(float), b[:n].astype(float))[0, 1])


async def test_a_voice_is_what_sox_makes_of_it(voice: Path, gather: Any) -> None:
    if shutil.which("sox") is None:
        pytest.skip("needs sox: apt-get install sox")
    emits = await gather(Microphone(device=str(voice)), replay())
    command = ["sox", str(voice), "-r", "16000", "-c", "1", "-b", "16", "-e", "signed", "-t", "raw", "-"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    right = np.frombuffer(done.stdout, "<i2")
    heard = joined(emits)
    assert abs(len(heard) - len(right)) <= 16
    assert agreement(heard, right) > 0.999
    assert {len(e.payload.samples) for e in emits[:-1]} == {320}
    assert 0 < len(emits[-1].payload.samples) <= 320
    assert heard.dtype == np.int16
    assert not emits[0].payload.samples.flags.writeable


async def test_stamps_count_samples_and_bounds_are_the_next_stamp(voice: Path, gather: Any) -> None:
    emits = await gather(Microphone(device=str(voice)), replay())
    begin = 7 * SECOND + 500 * MS
    ends = np.cumsum([len(e.payload.samples) for e in emits])
    assert [e.stamp_ns for e in emits] == [begin + int(n) * SECOND // 16000 for n in ends]
    assert [e.start_ns for e in emits] == [begin] + [e.stamp_ns for e in emits[:-1]]
    assert [e.bound_ns for e in emits] == [e.stamp_ns for e in emits[1:]] + [None]
    assert {(e.payload.rate_hz, e.clock_source) for e in emits} == {(16000, "file")}


async def test_a_film_s_stereo_aac_is_what_ffmpeg_makes_of_it(clips: Path, gather: Any, ffmpeg: Callable[..., bytes]) -> None:
    film = clips / "bigbuckbunny.mp4"
    right = np.frombuffer(ffmpeg("-i", film, "-ac", "1", "-ar", "16000", "-f", "s16le", "-"), "<i2")
    heard = joined(await gather(Microphone(device=str(film)), replay()))
    assert abs(len(heard) - len(right)) <= 320
    assert agreement(heard, right) > 0.99


@pytest.mark.parametrize(("rate", "chunk"), [(8000, 10), (48000, 30), (44100, 20)])
async def test_other_rates_and_chunks(voice: Path, gather: Any, rate: int, chunk: int) -> None:
    emits = await gather(Microphone(device=str(voice), rate_hz=rate, chunk_ms=chunk), replay())
    assert {len(e.payload.samples) for e in emits[:-1]} == {rate * chunk // 1000}
    assert abs(len(joined(emits)) - 68545 * rate / 48000) <= rate / 1000 + 1


async def test_picture_and_sound_of_one_file_are_on_one_time_line(
    clips: Path, tmp_path: Path, gather: Any, ffmpeg: Any
) -> None:
    shifted = tmp_path / "film.ts"  # MPEG-TS begins at 1.4 s of its own time; the sound is made to begin 1 s after the picture
    film = clips / "bigbuckbunny.mp4"
    sound = ["-itsoffset", "1", "-i", film, "-map", "0:v", "-map", "1:a"]
    ffmpeg("-i", film, *sound, "-t", "3", "-c:v", "mpeg2video", "-b:v", "1M", "-s", "320x180", "-c:a", "mp2", shifted)
    picture = await gather(Camera(device=str(shifted)), replay())
    heard = await gather(Microphone(device=str(shifted)), replay())
    assert abs(picture[0].stamp_ns - 7500 * MS) < 60 * MS
    assert abs(heard[0].start_ns - 8500 * MS) < 60 * MS


async def test_live_chunks_come_when_they_are_due_and_all_of_them(voice: Path, gather: Any, live: Context) -> None:
    early: list[int] = []

    async def each(emit: Emit[Any]) -> None:
        early.append(emit.stamp_ns - live.clock.now())  # type: ignore[operator]

    emits = await gather(Microphone(device=str(voice)), live, each=each)
    assert max(early) <= 0
    assert abs(len(joined(emits)) - 22848) <= 16
    assert live.report.rows == []


async def test_chunks_of_0_8_s_are_kept_while_there_is_no_room(clips: Path, gather: Any, live: Context) -> None:
    mic, held = Microphone(device=str(clips / "bigbuckbunny.mp4")), []

    async def busy(emit: Emit[Any]) -> None:
        if emit.stamp_ns < live.start_ns + 600 * MS:
            await asyncio.sleep(1.6 / 5)
        assert mic._reader is not None
        held.append(len(mic._reader._items))

    emits = await gather(mic, live, n=100, each=busy)
    await asyncio.sleep(0)
    assert max(held) <= 40
    dropped = sum(int(text.split()[0]) for reason, text in live.report.rows if reason == "device_drop")
    numbers = [(e.stamp_ns - live.start_ns - 500 * MS) // (20 * MS) for e in emits]
    assert dropped > 0
    assert numbers[-1] <= 100 + dropped
    assert all((e.stamp_ns - e.start_ns) == 20 * MS for e in emits)  # what is lost is a hole; the rest keeps its place


async def test_what_was_due_before_the_microphone_was_up_is_skipped(voice: Path, gather: Any, live: Context) -> None:
    live.start_ns -= 1 * SECOND
    emits = await gather(Microphone(device=str(voice)), live)
    assert emits[0].stamp_ns > live.start_ns + 980 * MS
    assert [r for r, _ in live.report.rows] == ["recording_skipped"]


async def test_a_truncated_or_damaged_file_ends_early(
    voice: Path, tmp_path: Path, gather: Any, ffmpeg: Callable[..., bytes]
) -> None:
    ffmpeg("-i", voice, tmp_path / "whole.flac")
    data = bytearray((tmp_path / "whole.flac").read_bytes())
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    data[len(data) // 3 : len(data) // 2] = np.random.default_rng(0).bytes(len(data) // 2 - len(data) // 3)
    (tmp_path / "broken.flac").write_bytes(data)
    for name in ("cut.flac", "broken.flac"):
        emits = await gather(Microphone(device=str(tmp_path / name)), replay())
        assert 20 < len(emits) < 72
        assert all(b.stamp_ns > a.stamp_ns for a, b in itertools.pairwise(emits))


@pytest.mark.parametrize("n", [0, 1, 5])
async def test_cancelling_leaves_nothing_behind(voice: Path, live: Context, n: int) -> None:
    mic, seen = Microphone(device=str(voice)), 0
    await mic.open(live)

    async def run() -> None:
        nonlocal seen
        async for _ in mic.run(live):
            seen += 1

    task = asyncio.create_task(run())
    while seen < n:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await mic.close()


@pytest.mark.parametrize(
    ("device", "says"),
    [("nowhere.wav", "no such file"), (str(Path(__file__)), "no sound can be read"), ("alsa:", "no such file")],
)
async def test_an_absent_microphone_is_one_sentence(live: Context, device: str, says: str) -> None:
    with pytest.raises(DeviceError, match=says) as caught:
        await Microphone(device=device).open(live)
    assert "\n" not in str(caught.value)


async def test_a_video_without_sound_is_refused(clips: Path, live: Context) -> None:
    with pytest.raises(DeviceError, match="no sound in it"):
        await Microphone(device=str(clips / "bikes.mp4")).open(live)


async def test_a_replay_opens_no_microphone() -> None:
    for device in ("alsa:default", "pulse:default"):
        with pytest.raises(DeviceError, match="replay"):
            await Microphone(device=device).open(replay())


@pytest.mark.parametrize("wrong", [{"rate_hz": 0}, {"chunk_ms": 0}, {"rate_hz": 22050, "chunk_ms": 1}, {"delay_ms": -5}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(GraphError, match="microphone: "):
        Microphone(device="alsa:default", **wrong)


def test_a_microphone_pickles_and_has_one_output() -> None:
    mic = pickle.loads(pickle.dumps(Microphone(device="alsa:default")))
    assert mic == Microphone(device="alsa:default")
    assert mic.period_ns == 20 * MS
    assert [t.__name__ for t in ports_of(Microphone).outputs["out"]] == ["AudioChunk"]
