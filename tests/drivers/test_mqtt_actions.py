"""The actions sink on a real broker, with mosquitto's own clients as the robot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import sys
from pathlib import Path

import pytest

from omnistream.client import ActionFrame, ActionGuard
from omnistream.clock import SystemClock
from omnistream.message import MS
from omnistream.node import ports_of
from omnistream.protocol.codec import Ping, Pong, decode, encode
from omnistream.testing import context
from omnistream_drivers.mqtt_actions import MqttActions

sys.path.append(str(Path(__file__).parent))
from mqtt_parts import action, listening, mosquitto, needs_mosquitto, refuses_five, until

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def port():
    with mosquitto() as broker:
        yield broker.port


@contextlib.asynccontextmanager
async def sink(port, incarnation=0, **options):
    clock = SystemClock()
    ctx = context("robot", clock=clock, start_ns=clock.now(), incarnation=incarnation)
    driver = MqttActions(**{"url": f"mqtt://127.0.0.1:{port}", "topic": "robot/do", "limits": {"x_mps": [-0.5, 0.5]}} | options)
    driver.rows = ctx.report.rows
    try:
        await driver.open(ctx)
        yield driver
    finally:
        await driver.close()


async def heard(got, timeout_s=2.0):
    return decode((await asyncio.wait_for(got.get(), timeout_s)).payload, ActionFrame)


async def acknowledge(got, frame, status="done"):
    await got.client.publish("robot/do/ack", json.dumps({"v": 1, "type": "ack", "id": frame.id, "status": status}), qos=1)


def reasons(driver):
    return [reason for reason, _ in driver.rows]


def test_its_ports_and_options():
    assert set(ports_of(MqttActions).inputs) == {"action", "stop"}
    assert MqttActions(url="mqtt://h", topic="t").actuator
    assert not MqttActions(url="mqtt://h", topic="t", simulated=True).actuator
    for bad in ({"url": "h"}, {"topic": "#"}, {"limits": {"x": [1]}}, {"watchdog_ms": 0}):
        with pytest.raises(ValueError, match=r"write|at least 1"):
            MqttActions(**{"url": "mqtt://h", "topic": "t"} | bad)


async def test_actions_are_sent_refused_and_acknowledged_by_the_rules_of_every_sink(port):
    async with sink(port) as driver, listening(port, "robot/do") as got:
        await driver.write(action(0, x_mps=0.3))
        await driver.write(action(1, x_mps=0.6))
        await driver.write(action(2, ttl_ms=-1))
        frame = await heard(got)
        assert ActionGuard().judge(frame, SystemClock().now()).do
        await acknowledge(got, frame)
        await until(lambda: driver.counts["acked_done"])
        await acknowledge(got, frame, "refused")
        await until(lambda: driver.counts["acked_refused"])
        assert reasons(driver) == ["refused", "expired", "refused"]


async def test_the_watchdog_stops_and_the_stop_is_repeated_until_acknowledged(port):
    clock = SystemClock()
    async with sink(port, watchdog_ms=500) as driver, listening(port, "robot/do") as got:
        took, seen = [], set()
        while len(took) < 3 and (not took or took[-1] > 550):  # again, where something else had the processor
            sent = clock.now()
            await driver.write(action(len(took)))
            while not (stop := await heard(got)).is_stop or stop.id in seen:
                pass  # the motion, and the stop before it, repeated
            seen.add(stop.id)
            took.append((clock.now() - sent) / MS)
        assert 500 <= min(took) <= 550
        assert (await heard(got)).id == stop.id
        await acknowledge(got, stop)
        await until(lambda: driver.counts["acked_done"])
        with pytest.raises(TimeoutError):
            await heard(got, 0.7)


async def test_safe_at_the_end_and_after_a_restart_there_is_a_stop(port):
    async with listening(port, "robot/do") as got:
        async with sink(port, incarnation=1) as driver:
            assert "restarted" in (await heard(got)).text
            await driver.safe("worker mind is down")
            assert "worker mind" in (await heard(got)).text
            await driver.write(action(0))
            await driver.resume()
            await driver.write(action(1))
            assert (await heard(got)).seq == 1
        assert "run has ended" in (await heard(got)).text


@needs_mosquitto
async def test_a_stop_overtakes_what_waits_for_the_broker_and_survives_its_restart(tmp_path):
    with mosquitto(keep=str(tmp_path)) as broker:
        options = {"identifier": "arm", "clean_session": False}
        async with listening(broker.port, "robot/do", **options):
            pass
        async with sink(broker.port) as driver:
            broker.stop()
            await until(lambda: "broker_lost" in reasons(driver))
            for seq in range(3):
                await driver.write(action(seq, ttl_ms=60_000))
            await driver.write(None, action(3, "stop"))
            await driver.write(action(4, ttl_ms=60_000))
            broker.again()
            await until(lambda: "broker_back" in reasons(driver), 8)
            async with listening(broker.port, **options) as got:
                first, second = await heard(got), await heard(got)
            assert first.is_stop
            assert second.seq == 4
        assert reasons(driver).count("superseded") == 3


async def test_what_is_late_when_the_broker_is_back_is_not_sent():
    with mosquitto() as broker:
        async with sink(broker.port, watchdog_ms=60_000) as driver:
            broker.stop()
            await until(lambda: "broker_lost" in reasons(driver))
            for seq in range(3):
                await driver.write(action(seq, ttl_ms=100))
            await until(lambda: reasons(driver).count("expired") == 3)
            assert len(driver._link.outbox) == 0


async def test_nobody_acknowledges_a_stop(port, monkeypatch):
    monkeypatch.setattr("omnistream_drivers.mqtt_actions.STOP_REPEAT_NS", 20 * MS)
    async with sink(port) as driver:
        await driver.write(None, action(0, "stop"))
        await until(lambda: "stop_unconfirmed" in reasons(driver))
        assert driver.counts["stops"] == 1


async def test_a_ping_is_answered_with_the_run_time(port):
    async with sink(port) as driver, listening(port, "robot/do/pong") as got:
        await got.client.publish("robot/do/ping", encode(Ping(t0_ns=5), "json"))
        pong = decode((await asyncio.wait_for(got.get(), 2)).payload, Pong)
        assert pong.t0_ns == 5
        assert abs(pong.t2_ns - SystemClock().now()) < 10**9
        assert pong.run == driver.ctx.start_ns


async def test_garbage_and_floods_on_its_topics_are_counted_and_it_goes_on(port):
    rng = random.Random(6)
    async with sink(port) as driver, listening(port, "robot/do") as got:
        for i in range(1000):
            await got.client.publish(f"robot/do/{'ack' if i % 2 else 'ping'}", rng.randbytes(rng.randrange(100)))
        await until(lambda: driver.counts["garbage"] >= 400)
        await asyncio.sleep(0.3)
        await driver.write(action(0))
        assert (await heard(got)).seq == 0
        assert "garbage" in reasons(driver)
        assert len(driver.rows) < 10


async def test_the_old_protocol_carries_the_same(port):
    async with refuses_five(port) as old, listening(port, "robot/do") as got, sink(old) as driver:
        message = action(0)
        await driver.write(message)
        assert (await heard(got)).valid_until_ns == message.payload.valid_until_ns


@needs_mosquitto
@pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="mosquitto-clients is not installed")
async def test_a_robot_that_we_did_not_write(port):
    robot = await asyncio.create_subprocess_exec(
        "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "robot/do", "-q", "1", "-C", "1", "-W", "5", "-V", "5",
        "-F", '{"expiry":"%E","user":"%P","payload":%p}', stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await asyncio.sleep(0.3)
    async with sink(port) as driver:
        message = action(0, ttl_ms=2500)
        await driver.write(message)
        out, _ = await robot.communicate()
        value = json.loads(out)
        assert value["expiry"] in ("2", "3")
        assert value["user"] == f"deadline_ns:{message.payload.valid_until_ns}"
        answer = json.dumps({"v": 1, "type": "ack", "id": value["payload"]["id"], "status": "done"})
        said = await asyncio.create_subprocess_exec(
            "mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", "robot/do/ack", "-q", "1", "-m", answer
        )
        await said.wait()
        await until(lambda: driver.counts["acked_done"] == 1)


@needs_mosquitto
async def test_two_of_the_same_name_do_not_end_each_other_for_ever(port):
    """MQTT lets the newer one have the name; the older one reports it and waits longer each time."""
    async with sink(port) as first, sink(port) as second:
        await until(lambda: "broker_lost" in reasons(first))
        await asyncio.sleep(1)
        assert len(first.rows) + len(second.rows) < 20
