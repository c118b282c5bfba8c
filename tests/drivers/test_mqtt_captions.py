"""Captions through a real broker, to our client and to mosquitto's own."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiomqtt
import pytest

from omnistream.client import acaptions, captions
from omnistream.clock import SystemClock
from omnistream.errors import DeviceError
from omnistream.message import INFINITY
from omnistream.protocol.mqtt_address import Broker, check_topic
from omnistream.testing import context
from omnistream_drivers.mqtt_captions import MqttCaptions

sys.path.append(str(Path(__file__).parent))
from mqtt_parts import caption, listening, mosquitto, needs_mosquitto, refuses_five, until

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def port():
    with mosquitto() as broker:
        yield broker.port


@contextlib.asynccontextmanager
async def sink(port, incarnation=0, name="glasses", **options):
    ctx = context(name, clock=SystemClock(), incarnation=incarnation)
    driver = MqttCaptions(**{"url": f"mqtt://127.0.0.1:{port}", "topic": "ar/captions"} | options)
    driver.rows = ctx.report.rows
    try:
        await driver.open(ctx)
        yield driver
    finally:
        await driver.close()


def reasons(driver):
    return [reason for reason, _ in driver.rows]


@needs_mosquitto
async def test_a_caption_arrives_as_the_agreed_json_with_its_deadline(port):
    five = aiomqtt.ProtocolVersion.V5
    async with sink(port) as driver, listening(port, "ar/captions", protocol=five) as got:
        message = caption(1, "Going forward.", rev=2, final=False, anchor="robot")
        await driver.write(message)
        received = await asyncio.wait_for(got.get(), 2)
        value = json.loads(received.payload)
        assert (value["id"], value["rev"], value["final"], value["text"]) == ("c1", 2, False, "Going forward.")
        assert value["deadline_ms"] == message.deadline_ns // 1_000_000
        assert dict(received.properties.UserProperty) == {"deadline_ns": str(message.deadline_ns)}
        assert received.properties.MessageExpiryInterval in (3, 4)
        assert received.qos == 1
    assert driver.rows == []


@pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="mosquitto-clients is not installed")
async def test_a_client_that_we_did_not_write_reads_it(port):
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "ar/captions", "-q", "1", "-C", "1", "-W", "5"]
    reader = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    async with sink(port, name="other") as driver:
        for _ in range(20):
            await driver.write(caption(1, "grüß dich"))
            await asyncio.sleep(0.05)
            if reader.returncode is not None:
                break
        out, _ = await reader.communicate()
    assert json.loads(out)["text"] == "grüß dich"


async def test_status_is_online_then_offline_and_the_will_says_so_after_a_crash(port):
    async with listening(port, "ar/lamp/status") as got:
        async with sink(port, topic="ar/lamp"):
            assert (await asyncio.wait_for(got.get(), 2)).payload == b"online"
        assert (await asyncio.wait_for(got.get(), 2)).payload == b"offline"
        async with sink(port, topic="ar/lamp") as driver:
            assert (await asyncio.wait_for(got.get(), 2)).payload == b"online"
            driver._link._client._client.socket().shutdown(socket.SHUT_RDWR)  # as the kernel does for a killed process
            assert (await asyncio.wait_for(got.get(), 2)).payload == b"offline"
            assert (await asyncio.wait_for(got.get(), 5)).payload == b"online"
        assert (await asyncio.wait_for(got.get(), 2)).payload == b"offline"
    async with listening(port, "ar/lamp/status") as got:
        late = await asyncio.wait_for(got.get(), 2)
        assert (late.payload, late.retain) == (b"offline", True)


async def test_captions_survive_a_restart_of_the_broker_in_order(tmp_path):
    """Sent before, while it is away, and after: a subscriber with a session gets each, in order."""
    with mosquitto(keep=str(tmp_path)) as broker:
        texts: list[str] = []

        async def headset():
            async for frame in acaptions(broker.url, "ar/captions"):
                texts.append(frame.text)  # noqa: PERF401  read while it grows

        reading = asyncio.create_task(headset())
        async with sink(broker.port, expire_ms=30_000) as driver:
            for i in range(10):  # until the headset listens
                await driver.write(caption(f"warm{i}", "warm"))
                await asyncio.sleep(0.05)
            for i in range(30):
                await driver.write(caption(i, f"{i}", ttl_ms=20_000))
                if i == 10:
                    broker.stop()
                if i == 20:
                    broker.again()
                await asyncio.sleep(0.03)
            await until(lambda: "29" in texts, 10)
        assert {"broker_lost", "broker_back"} <= set(reasons(driver))
        assert "expired" not in reasons(driver)
        assert [t for t in texts if t != "warm"] == [str(i) for i in range(30)]
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_while_the_broker_is_away_what_is_too_late_is_dropped_by_name():
    with mosquitto() as broker:
        async with sink(broker.port, expire_ms=100, outbox=8) as driver:
            broker.stop()
            await until(lambda: "broker_lost" in reasons(driver))
            for i in range(20):
                await driver.write(caption(i, ttl_ms=0))
            await until(lambda: reasons(driver).count("expired") == 8)
            texts = [text for reason, text in driver.rows if reason == "no_broker"]
            assert texts
            broker.again()
            await until(lambda: "broker_back" in reasons(driver), 8)
            async with listening(broker.port, "ar/captions") as got:
                await driver.write(caption(99))
                assert json.loads((await asyncio.wait_for(got.get(), 2)).payload)["id"] == "c99"


@pytest.mark.parametrize("silent", [False, True])
async def test_a_broker_that_refuses_mqtt_5_gets_3_1_1(port, silent):
    async with refuses_five(port, silent=silent) as old, listening(port, "ar/captions") as got:
        async with sink(old, name=f"old-{silent}") as driver:
            assert driver._link.version == 4
            await driver.write(caption(5))
            value = json.loads((await asyncio.wait_for(got.get(), 2)).payload)
            assert value["id"] == "c5"
            assert value["deadline_ms"] > 0
        assert driver.rows == []


async def test_the_embedded_broker_does_too():
    with mosquitto(embedded=True) as broker:
        found = acaptions(broker.url, "ar/captions")
        first = asyncio.create_task(anext(found))
        begun = time.monotonic()
        async with sink(broker.port) as driver:
            assert time.monotonic() - begun < 1, "it says at once that it knows no MQTT 5"
            assert driver._link.version == 4
            for i in range(40):
                await driver.write(caption(i))
                await asyncio.sleep(0.05)
                if first.done():
                    break
        assert (await first).id.startswith("c")
        assert driver.rows == []
        await found.aclose()


async def test_the_embedded_broker_outlives_what_is_no_client():
    with mosquitto(embedded=True) as broker:
        for data in (
            b"",
            b"\x10",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xff" * 50,
            b"\x10\x0c\x00\x04MQTT\x04",
            random.Random(3).randbytes(500),
        ):
            with socket.create_connection(("127.0.0.1", broker.port)) as wire:
                wire.sendall(data)
        async with (
            sink(broker.port) as driver,
            listening(broker.port, "ar/captions", protocol=aiomqtt.ProtocolVersion.V311) as got,
        ):
            await driver.write(caption(1))
            assert json.loads((await asyncio.wait_for(got.get(), 2)).payload)["id"] == "c1"


async def test_what_never_reached_a_broker_is_told_at_the_end(unused_tcp_port):
    async with sink(unused_tcp_port, incarnation=1) as driver:
        await driver.write(caption(1))
    assert driver.rows[1:] == [("undrained", f"caption c1 rev 0 did not reach mqtt://127.0.0.1:{unused_tcp_port}")]


async def test_what_is_no_broker_is_one_clear_sentence():
    async def attempt(data):
        async def serve(reader, writer):
            await reader.read(100)
            writer.write(data)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        with pytest.raises(DeviceError, match="no MQTT broker at"):
            async with sink(server.sockets[0].getsockname()[1]):
                pass
        server.close()

    noise = random.Random(7).randbytes(2000)
    await asyncio.gather(*map(attempt, (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100, b"", b"\x20\x02\x00\x05", noise)))


async def test_a_caption_that_cannot_be_sent_is_refused_by_name(port):
    async with sink(port, name="refused") as driver:
        await driver.write(caption(1, "x" * 100_000))
        await driver.write(caption(2, "\ud800"))
    assert reasons(driver) == ["refused", "refused"]


async def test_a_caption_without_a_deadline_is_sent(port):
    async with sink(port, name="endless") as driver, listening(port, "ar/captions") as got:
        message = caption(1)
        message.deadline_ns = INFINITY
        await driver.write(message)
        assert json.loads((await asyncio.wait_for(got.get(), 2)).payload)["deadline_ms"] == 0


async def test_the_client_skips_garbage_repeats_and_older_revisions(port):
    found = acaptions(f"mqtt://127.0.0.1:{port}", "ar/fuzz")
    texts = []

    async def follow():
        async for frame in found:
            texts.append((frame.id, frame.rev, frame.text))  # noqa: PERF401  read while it grows

    task = asyncio.create_task(follow())
    rng = random.Random(5)
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for _ in range(50):
            await client.publish("ar/fuzz", json.dumps({"id": "w", "text": "warm"}), qos=1)
            await asyncio.sleep(0.02)
            if texts:
                break
        for _ in range(1000):
            await client.publish("ar/fuzz", rng.randbytes(rng.randrange(100)))
        for rev in (0, 2, 2, 1, 3):
            await client.publish("ar/fuzz", json.dumps({"v": 1, "id": "a", "rev": rev, "text": f"r{rev}"}), qos=1)
        await until(lambda: ("a", 3, "r3") in texts)
    assert texts == [("w", 0, "warm"), ("a", 0, "r0"), ("a", 2, "r2"), ("a", 3, "r3")]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_client_shows_once_what_a_new_life_of_its_worker_says_again_by_another_name(port):
    texts = []

    async def headset():
        async for frame in acaptions(f"mqtt://127.0.0.1:{port}", "ar/again"):
            texts.append(frame.text)  # noqa: PERF401  read while it grows

    reading = asyncio.create_task(headset())
    first, number = caption(1, "Stopped."), 100
    for life in range(2):
        async with sink(port, life, topic="ar/again") as driver:
            for _ in range(100):  # until the headset listens
                await driver.write(caption(number := number + 1, f"warm {life}"))
                await asyncio.sleep(0.05)
                if f"warm {life}" in texts:
                    break
            await driver.write(dataclasses.replace(first, payload=dataclasses.replace(first.payload, id=f"stop{life}")))
            await driver.write(caption(number := number + 1, f"after {life}"))
            await until(lambda life=life: f"after {life}" in texts)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert [t for t in texts if not t.startswith("warm")] == ["Stopped.", "after 0", "after 1"]


async def test_captions_on_a_thread(port):
    def headset():
        with contextlib.closing(captions(f"mqtt://127.0.0.1:{port}", "ar/captions")) as found:
            return [next(found).id for _ in range(2)]

    reading = asyncio.create_task(asyncio.to_thread(headset))
    async with sink(port, name="threaded") as driver:
        for i in range(100):
            await driver.write(caption(i))
            await asyncio.sleep(0.02)
            if reading.done():
                break
    first, second = await reading
    assert int(second[1:]) == int(first[1:]) + 1


def test_urls_and_topics():
    broker = Broker.parse("mqtts://me:p%40ss@host")
    assert (broker.host, broker.port, broker.tls, broker.username, broker.password) == ("host", 8883, True, "me", "p@ss")
    assert Broker.parse("mqtt://[::1]:1884").port == 1884
    assert "p%40ss" not in str(broker)
    for bad in ("host", "http://host", "mqtt://", "mqtt://host:99999", "mqtt://host/topic", "mqtt://u:secret@h:x"):
        with pytest.raises(ValueError, match="is no broker") as error:
            Broker.parse(bad)
        assert "secret" not in str(error.value)
    for bad in ("", "a/+", "#", "$SYS/x", "a\0b"):
        with pytest.raises(ValueError, match="is no topic"):
            check_topic("topic", bad)
