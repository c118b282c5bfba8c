"""The commands source on a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from pathlib import Path

import aiomqtt
import pytest

from omnistream.clock import SystemClock
from omnistream.protocol.codec import Ack, decode
from omnistream.testing import context
from omnistream_drivers.mqtt_commands import MqttCommands

sys.path.append(str(Path(__file__).parent))
from mqtt_parts import listening, mosquitto, needs_mosquitto, refuses_five, until

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def port():
    with mosquitto() as broker:
        yield broker.port


@contextlib.asynccontextmanager
async def source(port, settle="done", incarnation=0, topic="robot/say", **options):
    ctx = context("typed", clock=SystemClock(), incarnation=incarnation)
    driver = MqttCommands(url=f"mqtt://127.0.0.1:{port}", topic=topic, **options)
    driver.got, driver.rows = [], ctx.report.rows

    async def follow():
        async for emit in driver.run(ctx):
            driver.got.append(emit)
            if settle and emit.settled:
                emit.settled(settle)

    task = None
    try:
        await driver.open(ctx)
        task = asyncio.create_task(follow())
        yield driver
    finally:
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await driver.close()


def command(number, text="go forward", **over):
    return json.dumps({"v": 1, "type": "command", "id": str(number), "client": "c", "text": text} | over)


def texts(driver):
    return [e.payload.text for e in driver.got]


def reasons(driver):
    return [reason for reason, _ in driver.rows]


def wound(driver):
    """Cut the connection as a killed process does: nothing is said, nothing more is acknowledged."""
    import socket

    driver._link._client._client.socket().shutdown(socket.SHUT_RDWR)


async def test_text_and_json_are_taken_and_json_is_answered(port):
    async with source(port) as driver, listening(port, "robot/say/ack") as got:
        await got.client.publish("robot/say", "stop", qos=1)
        await got.client.publish("robot/say", command(7), qos=1)
        await until(lambda: len(driver.got) == 2)
        assert [(e.payload.text, e.origin) for e in driver.got] == [("stop", None), ("go forward", ("client", "c", "7"))]
        answers = [decode((await asyncio.wait_for(got.get(), 2)).payload, Ack) for _ in range(2)]
        assert [(a.id, a.status) for a in answers] == [("7", "accepted"), ("7", "done")]
    assert driver.rows == []


async def test_a_repeated_command_is_taken_once(port):
    async with source(port) as driver, listening(port, "robot/say/ack") as got:
        for _ in range(3):
            await got.client.publish("robot/say", command(8), qos=1)
        answers = [decode((await asyncio.wait_for(got.get(), 2)).payload, Ack).status for _ in range(4)]
        assert sorted(answers) == ["accepted", "done", "done", "done"]
        assert len(driver.got) == 1


async def test_no_id_of_a_client_is_taken_for_a_bare_text(port):
    async with source(port) as driver, aiomqtt.Client("127.0.0.1", port) as client:
        named = json.dumps({"v": 1, "id": "text-1", "text": "go forward"})
        for payload in (named, "stop", "stop", named):
            await client.publish("robot/say", payload, qos=1)
        await until(lambda: len(driver.got) == 3)
        await asyncio.sleep(0.1)
        assert texts(driver) == ["go forward", "stop", "stop"]


async def test_a_retained_message_is_no_command(port):
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish("robot/kept", "go forward", qos=1, retain=True)
        async with source(port, topic="robot/kept") as driver:
            await client.publish("robot/kept", "stop", qos=1)
            await until(lambda: driver.got)
            assert texts(driver) == ["stop"]
            assert reasons(driver) == ["refused"]
        await client.publish("robot/kept", "", qos=1, retain=True)


async def test_what_was_said_before_the_run_is_not_done(port):
    async with source(port) as driver:
        pass
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish("robot/say", command(9), qos=1)
        async with source(port) as driver:
            await client.publish("robot/say", command(10), qos=1)
            await until(lambda: driver.got)
            assert [e.origin[2] for e in driver.got] == ["10"]


@needs_mosquitto
@pytest.mark.parametrize("old", [False, True])
async def test_unsettled_commands_come_again_after_a_crash_with_the_same_origin_and_settled_ones_do_not(port, old):
    async with contextlib.AsyncExitStack() as stack:
        there = await stack.enter_async_context(refuses_five(port)) if old else port
        topic = f"robot/crash{old}"
        client = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", port))
        first = await stack.enter_async_context(source(there, settle=None, topic=topic, client_id=topic))
        assert first._link.version == (4 if old else 5)
        for number in range(3):
            await client.publish(topic, command(number), qos=1)
        await until(lambda: len(first.got) == 3)
        first.got[0].settled("done")
        first.got[2].settled("done")
        await asyncio.sleep(0.1)
        # the worker dies, and another takes its place under the same client id
        second = await stack.enter_async_context(source(there, topic=topic, client_id=topic, incarnation=1))
        await until(lambda: any(e.origin[2] == "1" for e in second.got))
        await client.publish(topic, command(3), qos=1)
        await until(lambda: any(e.origin[2] == "3" for e in second.got))
        again = [e.origin for e in second.got]
        assert again[0] == first.got[1].origin
        assert ("client", "c", "0") not in again  # 2 may come again: MQTT acknowledges in order, and 1 was before it


@needs_mosquitto
async def test_a_lost_connection_loses_no_command_and_doubles_none(port):
    async with source(port, settle=None, topic="robot/cut") as driver, aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish("robot/cut", command(0), qos=1)
        await until(lambda: driver.got)
        wound(driver)
        await client.publish("robot/cut", command(1), qos=1)
        await until(lambda: len(driver.got) == 2)
        assert {"broker_lost", "broker_back"} <= set(reasons(driver))
        for emit in driver.got:
            emit.settled("done")
        await asyncio.sleep(0.1)
        wound(driver)
        await until(lambda: reasons(driver).count("broker_back") == 2)
        await client.publish("robot/cut", command(2), qos=1)
        await until(lambda: len(driver.got) == 3)
        assert [e.origin[2] for e in driver.got] == ["0", "1", "2"]
        driver.got[2].settled("done")


@needs_mosquitto
async def test_a_graph_without_room_leaves_the_rest_with_the_broker(port):
    ctx = context("typed", clock=SystemClock())
    driver = MqttCommands(url=f"mqtt://127.0.0.1:{port}", topic="robot/full")
    await driver.open(ctx)
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for number in range(60):
            await client.publish("robot/full", command(number), qos=1)
        await asyncio.sleep(0.1)
        assert driver._waiting.qsize() == 20  # as many as the broker may have under way
        taken = []
        async for emit in driver.run(ctx):
            taken.append(emit.origin[2])
            assert emit.settled is not None
            emit.settled("done")
            if len(taken) == 60:
                break
        assert taken == [str(i) for i in range(60)]
    await driver.close()


async def test_garbage_and_floods_are_counted_and_it_goes_on(port):
    rng = random.Random(8)
    async with source(port, topic="robot/fuzz") as driver, aiomqtt.Client("127.0.0.1", port) as client:
        for i in range(1000):
            data = rng.randbytes(rng.randrange(1, 200)) if i % 2 else b"{" + rng.randbytes(rng.randrange(100))
            await client.publish("robot/fuzz", data)
        await client.publish("robot/fuzz", b"x" * 200_000)  # more than the broker may pass on to us
        for _ in range(300):
            await client.publish("robot/fuzz", "go")
        await asyncio.sleep(1.2)
        await client.publish("robot/fuzz", command("last", "go home"), qos=1)
        await until(lambda: "go home" in texts(driver))
        assert {"garbage", "flood"} <= set(reasons(driver))
        assert len(driver.rows) < 20
        assert texts(driver).count("go") <= 250


async def test_too_long_a_text_is_refused(port):
    async with source(port, topic="robot/long") as driver, listening(port, "robot/long/ack") as got:
        await got.client.publish("robot/long", command(1, "x" * 1001), qos=1)
        assert decode((await asyncio.wait_for(got.get(), 2)).payload, Ack).status == "refused"
        await got.client.publish("robot/long", "y" * 1001, qos=1)
        await until(lambda: reasons(driver))
        assert driver.got == []


def test_what_is_no_topic_is_one_clear_sentence():
    with pytest.raises(ValueError, match="is no topic"):
        MqttCommands(url="mqtt://h", topic="a/#")
