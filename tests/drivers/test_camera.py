"""A camera that plays a file: H.264, MJPEG and MPEG-TS that FFmpeg wrote, read against what FFmpeg decodes."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.errors import DeviceError, GraphError
from omnistream.message import MS, SECOND
from omnistream.node import Context, Emit, ports_of
from omnistream.testing import context
from omnistream_drivers.camera import Camera

pytestmark = pytest.mark.usefixtures("no_leaks")


def replay() -> Context:
    return context("camera", live=False, start_ns=7 * SECOND)


async def test_a_replay_gives_every_frame_with_exact_stamps_and_bounds(clips: Path, gather: Any) -> None:
    emits = await gather(Camera(device=str(clips / "bikes.mp4")), replay())
    stamps = [e.stamp_ns for e in emits]
    assert stamps == [7 * SECOND + 500 * MS + i * 40 * MS for i in range(250)]
    assert [e.bound_ns for e in emits] == stamps[1:] + [None]
    assert {e.clock_source for e in emits} == {"file"}
    image = emits[0].payload.image
    assert image.shape == (272, 640, 3)
    assert image.dtype == np.uint8
    assert not image.flags.writeable


async def test_pixels_are_those_that_ffmpeg_decodes(clips: Path, gather: Any, ffmpeg: Callable[..., bytes]) -> None:
    raw = ffmpeg("-i", clips / "bikes.mp4", "-frames:v", "30", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    truth = np.frombuffer(raw, np.uint8).reshape(30, 272, 640, 3)
    for emit, right in zip(await gather(Camera(device=str(clips / "bikes.mp4")), replay(), n=30), truth, strict=True):
        assert np.abs(emit.payload.image.astype(int) - right).mean() < 3  # two versions of the colour conversion


async def test_live_frames_come_when_they_are_due(clips: Path, gather: Any, live: Context) -> None:
    early: list[int] = []

    async def each(emit: Emit[Any]) -> None:
        early.append(emit.stamp_ns - live.clock.now())  # type: ignore[operator]

    emits = await gather(Camera(device=str(clips / "bikes.mp4")), live, n=12, each=each)
    assert max(early) <= 0
    assert all((e.stamp_ns - live.start_ns - 500 * MS) % (40 * MS) == 0 for e in emits)


async def test_newest_frame_wins_and_the_others_are_counted(clips: Path, gather: Any, live: Context) -> None:
    camera, held = Camera(device=str(clips / "bikes.mp4")), []

    async def busy(emit: Emit[Any]) -> None:
        await asyncio.sleep(0.25)
        assert camera._reader is not None
        held.append(len(camera._reader._items))

    emits = await gather(camera, live, n=8, each=busy)
    numbers = [(e.stamp_ns - live.start_ns) // (40 * MS) for e in emits]
    steps = np.diff(numbers)
    assert max(held) <= 1
    assert np.median(steps) >= 5  # 250 ms are six frames
    dropped = sum(int(text.split()[0]) for reason, text in live.report.rows if reason == "device_drop")
    assert 0 < dropped <= numbers[-1] - numbers[0] + 8
    assert len([r for r in live.report.rows if r[0] == "device_drop"]) <= 5  # summed up, not one by one


async def test_what_was_due_before_the_camera_was_up_is_skipped(clips: Path, gather: Any, live: Context) -> None:
    live.start_ns -= 3 * SECOND
    emits = await gather(Camera(device=str(clips / "bikes.mp4")), live, n=3)
    assert emits[0].stamp_ns > live.start_ns + 2900 * MS
    await asyncio.sleep(0)
    assert [r for r, _ in live.report.rows if r != "device_drop"] == ["recording_skipped"]


async def test_fps_thins_and_declares_a_period(clips: Path, gather: Any) -> None:
    camera = Camera(device=str(clips / "bikes.mp4"), fps=10, width=320)
    emits = await gather(camera, replay())
    assert camera.period_ns == 100 * MS
    assert {e.payload.image.shape for e in emits} == {(136, 320, 3)}
    assert set(np.diff([e.stamp_ns for e in emits])) == {80 * MS}
    assert Camera(device="x").period_ns == 0


async def test_a_telephone_s_rotation_is_applied(
    clips: Path, tmp_path: Path, gather: Any, ffmpeg: Callable[..., bytes]
) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-i", clips / "bikes.mp4", "-t", "1", "-c", "copy", "-metadata:s:v", "rotate=90", turned)
    raw = ffmpeg("-i", turned, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    right = np.frombuffer(raw, np.uint8).reshape(640, 272, 3)
    first = (await gather(Camera(device=str(turned)), replay(), n=1))[0].payload.image
    assert first.shape == right.shape
    assert np.abs(first.astype(int) - right).mean() < 3
    small = (await gather(Camera(device=str(turned), height=320), replay(), n=1))[0].payload.image
    assert small.shape == (320, 136, 3)


async def test_frame_size_may_change(clips: Path, tmp_path: Path, gather: Any, ffmpeg: Callable[..., bytes]) -> None:
    parts = b""
    for i, size in enumerate(("320x136", "640x272", "160x120")):
        part = tmp_path / f"{i}.ts"
        encode = ["-c:v", "mpeg2video", "-g", "5", "-output_ts_offset", str(i)]
        ffmpeg("-i", clips / "bikes.mp4", "-t", "1", "-s", size, *encode, part)
        parts += part.read_bytes()
    (tmp_path / "all.ts").write_bytes(parts)
    emits = await gather(Camera(device=str(tmp_path / "all.ts")), replay())
    assert {e.payload.image.shape[:2] for e in emits} == {(136, 320), (272, 640), (120, 160)}
    stamps = [e.stamp_ns for e in emits]
    assert stamps == sorted(set(stamps))
    assert abs(stamps[0] - 7500 * MS) < 100 * MS  # MPEG-TS begins at 1.4 s of its own time


@pytest.mark.parametrize("seed", range(4))
async def test_corrupt_packets_are_skipped_and_counted(
    clips: Path, tmp_path: Path, gather: Any, ffmpeg: Callable[..., bytes], seed: int
) -> None:
    whole = tmp_path / "whole.avi"
    ffmpeg("-i", clips / "bikes.mp4", "-t", "2", "-c:v", "mjpeg", "-q:v", "8", whole)
    data, rng = bytearray(whole.read_bytes()), np.random.default_rng(seed)
    jpegs = [i for i in range(len(data)) if data.startswith(b"\xff\xd8\xff", i)]
    for k in rng.choice(range(2, 48), 10, replace=False):
        size = jpegs[k + 1] - 8 - jpegs[k]  # the next chunk's header stays
        data[jpegs[k] : jpegs[k] + size] = rng.bytes(size)
    (tmp_path / "broken.avi").write_bytes(data)
    ctx = replay()
    emits = await gather(Camera(device=str(tmp_path / "broken.avi")), ctx)
    skipped = sum(int(text.split()[0]) for reason, text in ctx.report.rows if reason == "corrupt")
    assert (len(emits), skipped) == (40, 10)
    stamps = [e.stamp_ns for e in emits]
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.7])
async def test_a_truncated_file_ends_early_or_is_refused(
    clips: Path, tmp_path: Path, gather: Any, ffmpeg: Callable[..., bytes], keep: float
) -> None:
    ffmpeg("-i", clips / "bikes.mp4", "-t", "2", "-c:v", "mjpeg", tmp_path / "whole.avi")
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: int(len(data) * keep)])
    mp4 = (clips / "bikes.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(mp4[: int(len(mp4) * keep)])
    for name in ("cut.avi", "cut.mp4"):
        try:
            emits = await gather(Camera(device=str(tmp_path / name)), replay())
        except DeviceError as error:
            assert name in str(error)
        else:
            assert 0 < len(emits) <= 250 * keep * 1.2


@pytest.mark.parametrize("n", [0, 1, 3])
async def test_cancelling_leaves_nothing_behind(clips: Path, live: Context, n: int) -> None:
    camera, seen = Camera(device=str(clips / "bikes.mp4")), 0
    await camera.open(live)

    async def run() -> None:
        nonlocal seen
        async for _ in camera.run(live):
            seen += 1

    task = asyncio.create_task(run())
    while seen < n:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await camera.close()


async def test_two_runs_at_once_and_a_close_without_a_run(clips: Path, live: Context, gather: Any) -> None:
    await Camera(device=str(clips / "bikes.mp4")).close()
    path = str(clips / "bikes.mp4")
    both = await asyncio.gather(*(gather(Camera(device=path), live, n=5) for _ in range(2)))
    assert [len(b) for b in both] == [5, 5]


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("nowhere.mp4", "No such file"),
        ("/dev/video77", "cameras here: "),
        (str(Path(__file__)), "no video can be read"),
        ("/usr/share/sounds/alsa/Front_Center.wav", "no pictures"),
        ("/usr", "no video can be read"),
    ],
)
async def test_an_absent_camera_is_one_sentence(live: Context, device: str, says: str) -> None:
    camera = Camera(device=device)
    with pytest.raises(DeviceError, match=says) as caught:
        await camera.open(live)
    assert "\n" not in str(caught.value)
    await camera.close()


async def test_a_replay_opens_no_camera() -> None:
    for device in ("/dev/video0", "rtsp://127.0.0.1:1/x"):
        with pytest.raises(DeviceError, match="replay"):
            await Camera(device=device).open(replay())


@pytest.mark.parametrize("wrong", [{"fps": -1}, {"fps": float("nan")}, {"width": -4}, {"height": 1 << 20}, {"delay_ms": -1}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=next(iter(wrong))):
        Camera(device="clip.mp4", **wrong)  # type: ignore[arg-type]


def test_an_unknown_scheme_is_refused_with_what_to_write() -> None:
    with pytest.raises(DeviceError, match="rtsp://"):
        Camera(device="rtmp://host/x")


def test_the_device_has_no_default() -> None:
    with pytest.raises(TypeError, match="device"):
        Camera()  # type: ignore[call-arg]


def test_a_camera_is_cheap_to_import_pickles_and_has_one_output() -> None:
    camera = pickle.loads(pickle.dumps(Camera(device="/dev/video0", fps=15)))
    assert camera == Camera(device="/dev/video0", fps=15)
    assert [t.__name__ for t in ports_of(Camera).outputs["out"]] == ["VideoFrame"]
    code = "import sys, omnistream_drivers.camera, omnistream_drivers.microphone; print('av' in sys.modules)"
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | paths)
    assert done.stdout.strip() == "False"
