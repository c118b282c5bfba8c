"""Brokers for tests: mosquitto as the demo starts it, or else the embedded one; one that refuses MQTT 5; some that are none."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from omnistream.clock import SystemClock
from omnistream.message import INFINITY, MS, Action, Caption, Message

LAUNCH = Path(__file__).parents[2] / "launch"


def load(name: str) -> Any:
    """A module of launch/, which is a folder of scripts and no package."""
    spec = importlib.util.spec_from_file_location(f"launch_{name}", LAUNCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: For MQTT 5, sessions that outlive a connection or the broker, and limits on what is under way: the embedded broker has none.
needs_mosquitto = pytest.mark.skipif(load("broker").find_mosquitto() is None, reason="mosquitto is not installed")


@contextlib.contextmanager
def mosquitto(port: int = 0, **options: Any):
    """A running broker; `again` starts it once more on its port."""
    launch = load("broker")
    running = launch.start(port, **options)

    def again() -> None:
        running.process = launch.start(running.port, **options).process

    running.again = again
    try:
        yield running
    finally:
        running.stop()


@contextlib.asynccontextmanager
async def refuses_five(port: int, *, silent: bool = False) -> AsyncGenerator[int]:
    """A broker of before 2019 in front of a real one: it refuses MQTT 5 (or just hangs up), and passes 3.1.1 on. Its port."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(65536)
        if b"MQTT\x05" in first[:20]:
            if not silent:
                writer.write(bytes([0x20, 2, 0, 1]))  # CONNACK: unacceptable protocol version (3.1.1, section 3.2.2.3)
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", port)
        back.write(first)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def listening(port: int, *topics: str, **options: Any) -> AsyncGenerator[asyncio.Queue[aiomqtt.Message]]:
    """A client of ours alone with what it receives on `topics`."""
    got: asyncio.Queue[aiomqtt.Message] = asyncio.Queue()
    async with aiomqtt.Client("127.0.0.1", port, **options) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)

        async def follow() -> None:
            with contextlib.suppress(aiomqtt.MqttError):
                async for message in client.messages:
                    got.put_nowait(message)

        task = asyncio.create_task(follow())
        got.client = client  # type: ignore[attr-defined]
        try:
            yield got
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def caption(number: int, text: str = "Going.", ttl_ms: int = 200, **over: Any) -> Message[Caption]:
    now = SystemClock().now()
    payload = Caption(f"c{number}", text, **over)
    return Message("r.caption", 0, number, ("r.caption", 0, number), now, now, now + ttl_ms * MS, {}, payload)


def action(seq: int, kind: str = "velocity", ttl_ms: int = 1000, **values: float) -> Message[Action]:
    now = SystemClock().now()
    until = INFINITY if kind == "stop" else now + ttl_ms * MS
    return Message("d.out", 0, seq, ("d.out", 0, seq), now, now, now, {}, Action(kind, until, values or {"x_mps": 0.1}))


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  what we wait for is in another process
            await asyncio.sleep(0.005)
