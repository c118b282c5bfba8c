"""The simulated robot as a process of its own, on the real sink."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import math
import signal
import sys
from pathlib import Path

import pytest

from omnistream.clock import SystemClock
from omnistream.message import INFINITY, MS, Action, Message
from omnistream.testing import context
from omnistream_drivers.zmq_actions import ZmqActions

ROBOT = Path(__file__).parents[2] / "launch" / "robot.py"


def message(seq, kind="velocity", target="", **values):
    now = SystemClock().now()
    until = INFINITY if kind == "stop" else now + 1000 * MS
    return Message("d.out", 0, seq, ("d.out", 0, seq), now, now, now, {}, Action(kind, until, values, target))


@contextlib.asynccontextmanager
async def connected(tmp_path, **options):
    clock = SystemClock()
    ctx = context("robot", clock=clock, start_ns=clock.now())
    sink = ZmqActions(**{"bind": "tcp://127.0.0.1:*"} | options)
    await sink.open(ctx)
    log = tmp_path / "robot.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROBOT), "--connect", sink.endpoint, "--log", str(log), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(10):
            while not len(sink.clients):  # noqa: ASYNC110  what we wait for is in another process
                await asyncio.sleep(0.01)
        yield sink, process, lambda: [json.loads(line) for line in log.read_text().splitlines()]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await sink.close()


async def events(read, event, count=1):
    async with asyncio.timeout(5):
        while True:
            found = [e for e in read() if e["event"] == event]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_it_drives_prints_and_ends_when_told(tmp_path):
    async with connected(tmp_path) as (sink, process, read):
        for seq in range(10):
            await sink.write(message(seq, x_mps=0.5))
            await asyncio.sleep(0.05)
        await sink.write(message(11, "pick", "red cup"))
        await events(read, "action", 11)  # else the stop would overtake it
        await sink.write(None, message(12, "stop"))
        stop = (await events(read, "stop"))[0]
        assert stop["was_moving"]
        assert stop["x_mps"] == 0
        assert stop["x_m"] == pytest.approx(0.25, abs=0.08)
        assert sink.counts["acked_done"] >= 10
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert "connected" in out.decode()
        assert "pick red cup" in out.decode()
        assert "STOP (asked to)" in out.decode()


async def test_a_stop_that_comes_again_is_told_once(tmp_path):
    """A stop is sent until it is acknowledged, and once more at the end; the diary has each, the terminal has news."""
    async with connected(tmp_path) as (sink, process, read):
        await events(read, "link")
        await sink.write(None, message(1, "stop"))
        await events(read, "stop", 1)
        await sink.write(None, message(2, "stop"))
        await events(read, "stop", 2)
        await sink.write(message(3, "pick", "cup"))
        await events(read, "action", 1)
        for seq in (4, 5):
            await sink.write(message(seq, x_mps=0.3))
            await events(read, "action", seq - 2)
            for again in (10, 20):
                before = len([e for e in read() if e["event"] == "stop"])
                await sink.write(None, message(seq + again, "stop"))
                await events(read, "stop", before + 1)
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
        said = [line.split("  ")[0] for line in out.decode().splitlines()]
        told = [line for line in said if "m/s" not in line and not line.startswith("goes")]
        assert told == ["connected", "stop (asked to)", "pick cup", "STOP (asked to)", "STOP (asked to)"]


async def test_its_own_watchdog_stops_it_within_a_tenth_whatever_the_link_says(tmp_path):
    async with connected(tmp_path, watchdog_ms=60_000) as (sink, _, read):
        took = []
        while len(took) < 3 and (not took or took[-1] > 550):  # again, where something else had the processor
            await sink.write(message(len(took), x_mps=0.3))
            stop = (await events(read, "stop", len(took) + 1))[-1]
            fresh = [e for e in read() if e["event"] == "action"][-1]
            assert "own watchdog" in stop["why"]
            took.append((stop["t_ns"] - fresh["t_ns"]) / MS)
        assert 500 <= min(took) <= 550
        assert sink.counts["stops"] == 0


def test_the_integrator_follows_the_arc():
    sys.path.append(str(ROBOT.parent))
    spec = importlib.util.spec_from_file_location("launch_robot", ROBOT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["launch_robot"] = module
    spec.loader.exec_module(module)
    drive = module.Drive(x_mps=1.0, yaw_radps=1.0)
    for _ in range(1000):
        drive.step(math.pi / 2 / 1000)
    assert (drive.x_m, drive.y_m, drive.yaw_rad) == pytest.approx((1, 1, math.pi / 2), abs=1e-5)
