"""What the benchmarks of links have in common: payloads of three sizes, a pace, a process at the other end, quantiles."""

from __future__ import annotations

import asyncio
import atexit
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from omnistream.message import Features, VideoFrame

SIZES: dict[str, tuple[int, ...]] = {"64 B": (64,), "640x480x3": (480, 640, 3), "1920x1080x3": (1080, 1920, 3)}
PERIOD_S = 0.02
now = time.perf_counter_ns


def array_of(name: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, SIZES[name], np.uint8)


def payload_of(name: str, array: np.ndarray) -> Any:
    return Features(array.view(np.float32).reshape(4, 4)) if name == "64 B" else VideoFrame(array)


def quantiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99 in microseconds, without the first five, of nanoseconds."""
    found = sorted(values[5:])
    return found[len(found) // 2] / 1000, found[int(len(found) * 0.99)] / 1000


async def at_50_hz(count: int, send: Callable[[int], None]) -> None:
    when = time.perf_counter()
    for i in range(count):
        when += PERIOD_S
        await asyncio.sleep(max(0.0, when - time.perf_counter()))
        send(i)


def receiver(script: str, *arguments: str) -> subprocess.Popen[str]:
    """The other end: a process that says when it is ready, then a line of JSON for each part that was sent to it."""
    command = [sys.executable, script, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def answer(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())
