"""Network cameras: RTSP from GStreamer's server, MJPEG over HTTP from FFmpeg and from a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.clock import unix_ns
from omnistream.message import MS
from omnistream.node import Context
from omnistream_drivers.camera import Camera

pytestmark = pytest.mark.usefixtures("no_leaks")

Spawn = Callable[..., "subprocess.Popen[bytes]"]
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture
def rtsp(spawn: Spawn, port: int) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts the camera (again), with 300 ms between capture and network."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if (
        not Path(SYSTEM_PYTHON).exists()
        or subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good")

    def start() -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("rtsp_camera.py")
        process = spawn(SYSTEM_PYTHON, str(script), str(port), "300", stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"})
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    return start


def taken_ns(image: np.ndarray, ctx: Context) -> int:
    """When the picture says that it was taken, in run time."""
    bits = image[:, 4::8, 0].mean(axis=0) > 128
    return int("".join("1" if b else "0" for b in bits), 2) * MS + ctx.clock.now() - unix_ns()


async def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def filming(camera: Camera, ctx: Context) -> AsyncGenerator[list[Any]]:
    """The camera running, and the list that its frames go to."""
    await camera.open(ctx)
    emits: list[Any] = []

    async def run() -> None:
        async for emit in camera.run(ctx):
            emits.append(emit)  # noqa: PERF401 (the list is read meanwhile)

    task = asyncio.create_task(run())
    try:
        yield emits
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await camera.close()


def reasons(ctx: Context) -> list[str]:
    return [reason for reason, _ in ctx.report.rows]  # type: ignore[attr-defined]


async def test_rtsp_stamps_are_the_times_of_capture(rtsp: Any, port: int, live: Context) -> None:
    rtsp()
    async with filming(Camera(device=f"rtsp://127.0.0.1:{port}/camera"), live) as emits:
        await until(lambda: [e.clock_source for e in emits].count("rtcp") >= 20)
    off = {"arrival": [], "rtcp": []}
    for emit in emits:
        off[emit.clock_source].append((emit.stamp_ns - taken_ns(emit.payload.image, live)) / MS)
    settled = off["rtcp"][6:]  # the first ones are held back to what was stamped before the first report
    assert np.median(np.abs(settled)) < 20, settled
    assert min(off["arrival"], default=300) > 250
    assert all(b.stamp_ns > a.stamp_ns for a, b in itertools.pairwise(emits))
    assert reasons(live) == []


async def test_rtsp_camera_that_is_not_up_yet_or_goes_away_is_connected_again(rtsp: Any, port: int, live: Context) -> None:
    async with filming(Camera(device=f"rtsp://me:secret@127.0.0.1:{port}/camera"), live) as emits:
        await until(lambda: reasons(live).count("reconnect") >= 2)
        server = rtsp()
        await until(lambda: len(emits) >= 3)
        server.kill()
        server.wait()
        seen, told = len(emits), len(live.report.rows)
        await until(lambda: len(live.report.rows) > told)
        rtsp()
        await until(lambda: len(emits) >= seen + 3)
    assert set(reasons(live)) == {"reconnect"}
    assert "secret" not in str(live.report.rows)
    assert "connecting again in 0.25 s" in live.report.rows[0][1]
    assert "connecting again in 0.5 s" in live.report.rows[1][1]


async def test_rtsp_camera_that_falls_silent_is_connected_again_and_can_be_closed(rtsp: Any, port: int, live: Context) -> None:
    async with filming(Camera(device=f"rtsp://127.0.0.1:{port}/camera"), live) as emits:
        server = rtsp()
        await until(lambda: len(emits) >= 2)
        told = len(live.report.rows)
        server.send_signal(signal.SIGSTOP)
        await until(lambda: len(live.report.rows) > told)
    assert "nothing came in time" in live.report.rows[-1][1]


async def test_mjpeg_from_ffmpeg(clips: Path, spawn: Spawn, port: int, live: Context) -> None:
    clip = str(clips / "bikes.mp4")
    serve = ["-c:v", "mjpeg", "-f", "mpjpeg", "-listen", "1", f"http://127.0.0.1:{port}/stream.mjpg"]
    async with filming(Camera(device=f"http://127.0.0.1:{port}/stream.mjpg", height=136), live) as emits:
        spawn("ffmpeg", "-v", "error", "-nostdin", "-re", "-i", clip, *serve)
        await until(lambda: len(emits) >= 25)
        spacing = np.diff([e.stamp_ns for e in emits[-15:]]) / MS
    assert {e.payload.image.shape for e in emits} == {(136, 320, 3)}
    assert {e.clock_source for e in emits} == {"arrival"}
    assert 30 < np.median(spacing) < 50


class Mjpeg:
    """A server of the test's own: what each connection gets is a list of JPEGs (or garbage), then it is cut."""

    def __init__(self, *connections: list[bytes]) -> None:
        self.connections = list(connections)
        self.open = 0
        self.handlers: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.add(asyncio.current_task())
        try:
            self.open += 1
            await reader.readuntil(b"\r\n\r\n")
            parts = self.connections.pop(0) if self.connections else []
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
            for part in parts:
                writer.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(part) + part + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.03)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_mjpeg_of_changing_size_with_garbage_and_cut_connections(
    clips: Path, tmp_path: Path, port: int, live: Context, ffmpeg: Callable[..., bytes]
) -> None:
    encode = ["-c:v", "mjpeg", "-f", "image2", "-"]
    small, large = (ffmpeg("-i", clips / "bikes.mp4", "-frames:v", "1", "-s", s, *encode) for s in ("160x68", "320x136"))
    garbage = np.random.default_rng(0).bytes(3000)
    server = Mjpeg([small] * 10 + [large] * 10, [], [garbage] * 3, [small] * 5 + [garbage] * 5 + [large] * 10)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", port)
    try:
        async with filming(Camera(device=f"http://127.0.0.1:{port}/"), live) as emits:
            await until(lambda: server.open >= 4 and len(emits) >= 30)
    finally:
        listener.close()
        await asyncio.wait([h for h in server.handlers if h is not None], timeout=5)
    assert {e.payload.image.shape[:2] for e in emits} == {(68, 160), (136, 320)}
    assert all(b.stamp_ns > a.stamp_ns for a, b in itertools.pairwise(emits))
    assert reasons(live).count("reconnect") >= 3
    assert "corrupt" in reasons(live)


async def test_a_camera_that_never_answers_can_be_closed_at_once(port: int, live: Context) -> None:
    async with filming(Camera(device=f"http://127.0.0.1:{port}/"), live) as emits:
        await until(lambda: len(live.report.rows) >= 1)
    assert emits == []
    assert "Connection refused" in live.report.rows[0][1]
