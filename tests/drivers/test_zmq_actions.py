"""The actions sink on real sockets: against our client library, and against frames that it never sends."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
import zmq
import zmq.asyncio

from omnistream.client import Robot
from omnistream.clock import SystemClock
from omnistream.errors import DeviceError
from omnistream.message import INFINITY, MS, Action, Message
from omnistream.node import ports_of
from omnistream.protocol.codec import Ack, ActionFrame, Hello, Ping, Pong, State, Unknown, Welcome, decode, encode
from omnistream.testing import context
from omnistream_drivers.zmq_actions import ZmqActions

LOOPBACK = "tcp://127.0.0.1:*"


@contextlib.asynccontextmanager
async def sink(incarnation=0, name="robot", **options):
    clock = SystemClock()
    ctx = context(name, clock=clock, start_ns=clock.now(), incarnation=incarnation)
    driver = ZmqActions(**{"bind": LOOPBACK} | options)
    await driver.open(ctx)
    driver.rows = ctx.report.rows
    try:
        yield driver
    finally:
        await driver.close()


def message(seq, kind="velocity", ttl_ms=1000, **values):
    now = SystemClock().now()
    until = INFINITY if kind == "stop" else now + ttl_ms * MS
    return Message("d.out", 0, seq, ("d.out", 0, seq), now, now, now, {}, Action(kind, until, values or {"x_mps": 0.1}))


class Peer:
    """A client written by hand."""

    def __init__(self, endpoint, kind=zmq.DEALER):
        self.context = zmq.asyncio.Context()
        self.socket = self.context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.context.destroy(linger=0)

    async def hello(self, name="hand", **over):
        await self.say(Hello(client=name, **over))
        return await self.hear(Welcome)

    async def say(self, frame, form="msgpack"):
        await self.socket.send(encode(frame, form))

    async def hear(self, *kinds, timeout=2.0):
        kinds = kinds or (ActionFrame,)
        async with asyncio.timeout(timeout):
            while True:
                frame = decode(await self.socket.recv(), ActionFrame, Welcome, Pong, Unknown, State)
                if isinstance(frame, kinds):
                    return frame


def reasons(driver):
    return [reason for reason, _ in driver.rows]


async def until(condition, timeout=2.0):
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110  what we wait for is in another socket
            await asyncio.sleep(0.005)


def test_its_ports_and_its_actuator():
    assert set(ports_of(ZmqActions).inputs) == {"action", "stop"}
    assert ZmqActions(bind=LOOPBACK).actuator
    assert not ZmqActions(bind=LOOPBACK, simulated=True).actuator


@pytest.mark.parametrize(
    "options",
    [
        {"bind": "5555"},
        {"bind": "tcp://127.0.0.1"},
        {"bind": "tcp://127.0.0.1:99999"},
        {"bind": LOOPBACK, "pub": "x"},
        {"bind": LOOPBACK, "limits": {"x_mps": [1, 0]}},
        {"bind": LOOPBACK, "watchdog_ms": 0},
    ],
)
def test_wrong_options_are_refused_before_anything_is_opened(options):
    with pytest.raises(ValueError, match="write one|write \\[lowest|at least 1"):
        ZmqActions(**options)


async def test_a_port_that_is_taken_is_one_clear_sentence():
    async with sink() as first:
        with pytest.raises(DeviceError, match=r"cannot bind tcp://127\.0\.0\.1:\d+ \(Address already in use\)"):
            async with sink(bind=first.endpoint):
                pass


async def test_close_after_a_failed_open_is_quiet():
    driver = ZmqActions(bind="tcp://192.0.2.1:5555")
    with pytest.raises(DeviceError):
        await driver.open(context("robot"))
    await driver.close()


async def test_actions_reach_the_client_and_the_stop_at_close_does_too():
    async with sink(limits={"x_mps": [-0.5, 0.5]}) as driver:
        got = []

        async def follow():
            async with Robot(driver.endpoint) as robot:
                async for action in robot:
                    got.append(action)
                    if "run has ended" in action.text:
                        return

        client = asyncio.create_task(follow())
        await until(lambda: len(driver.clients))
        for seq in range(5):
            await driver.write(message(seq, x_mps=0.1 * seq))
        await driver.write(message(9, x_mps=0.6))
        await until(lambda: driver.counts["acked_done"] >= 4)
    async with asyncio.timeout(2):
        await client
    assert [a.values["x_mps"] for a in got[:-1]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert got[-1].is_stop
    assert reasons(driver) == ["refused"]


async def test_a_stop_is_repeated_until_acknowledged():
    async with sink() as driver, Peer(driver.endpoint) as peer:
        await peer.hello()
        await driver.write(None, message(0, "stop"))
        stops = [await peer.hear() for _ in range(3)]
        assert len({s.id for s in stops}) == 1
        await peer.say(Ack(id=stops[0].id, status="done"))
        await until(lambda: driver.counts["acked_done"])
        while (await peer.socket.poll(0)) and await peer.socket.recv():
            pass
        assert not await peer.socket.poll(250)


async def test_a_stop_goes_first_and_what_is_not_newer_stays():
    async with sink() as driver, Peer(driver.endpoint) as peer:
        await peer.hello()
        motion, stop = message(0), message(0, "stop")
        stop.stamp_ns = motion.stamp_ns
        await driver.write(motion, stop)
        assert (await peer.hear()).is_stop
        assert reasons(driver) == ["superseded"]


async def test_an_expired_action_is_not_sent():
    async with sink() as driver, Peer(driver.endpoint) as peer:
        await peer.hello()
        late = message(0, ttl_ms=-1)
        await driver.write(late)
        await driver.write(message(1))
        assert (await peer.hear()).seq == 1
        assert reasons(driver) == ["expired"]


async def test_the_stop_port_takes_only_stops():
    async with sink() as driver:
        await driver.write(None, message(0, "velocity"))
        assert reasons(driver) == ["refused"]


async def test_the_watchdog_stops_a_stream_that_dried_up_within_a_tenth():
    clock = SystemClock()
    async with sink(watchdog_ms=500) as driver, Peer(driver.endpoint) as peer:
        await peer.hello()
        took, seen = [], set()
        while len(took) < 3 and (not took or took[-1] > 550):  # again, where something else had the processor
            sent = clock.now()
            await driver.write(message(len(took), x_mps=0.3))
            while not (stop := await peer.hear()).is_stop or stop.id in seen:
                pass  # the motion, and the stop before it, repeated
            seen.add(stop.id)
            took.append((clock.now() - sent) / MS)
            await peer.say(Ack(id=stop.id, status="done"))
        assert 500 <= min(took) <= 550
        assert reasons(driver) == ["watchdog"] * len(took)


async def test_safe_stops_and_refuses_until_resume_and_greets_who_joins():
    async with sink() as driver, Peer(driver.endpoint) as peer, Peer(driver.endpoint) as other:
        await peer.hello()
        await driver.safe("worker mind is down")
        assert "worker mind" in (await peer.hear()).text
        await driver.write(message(0))
        await other.hello("other")
        assert (await other.hear()).is_stop
        await driver.resume()
        await driver.write(message(1))
        async with asyncio.timeout(1):
            while (await peer.hear()).is_stop:
                pass
        assert reasons(driver) == ["refused"]


async def test_a_restarted_sink_stops_its_clients_first():
    async with sink(incarnation=1) as driver, Peer(driver.endpoint) as peer:
        await peer.hello()
        assert "restarted" in (await peer.hear()).text


async def test_a_restarted_worker_takes_its_port_again_and_the_client_finds_it():
    async with Robot("tcp://127.0.0.1:1") as _:
        pass
    async with sink() as first:
        endpoint = first.endpoint
        robot = Robot(endpoint)
        async with robot:
            assert await robot.areceive(0.3) is None
            assert robot.connected
            await first.close()
            async with sink(bind=endpoint, incarnation=1) as second:
                texts = []
                async with asyncio.timeout(3):
                    while not texts or "restarted" not in texts[-1]:
                        action = await robot.areceive(0.05)
                        texts += [action.text] if action else []
                await driver_sends(second, robot)


async def driver_sends(driver, robot):
    await driver.write(message(0, x_mps=0.2))
    async with asyncio.timeout(2):
        while True:
            action = await robot.areceive(0.05)
            if action and not action.is_stop:
                return


async def test_without_a_client_it_says_so_once_a_second():
    async with sink() as driver:
        for seq in range(50):
            await driver.write(message(seq))
    rows = [text for reason, text in driver.rows if reason == "no_client"]
    assert len(rows) <= 3
    assert sum(int(t.rpartition("(")[2].split()[0]) if t.endswith("times)") else 1 for t in rows) in (50, 51)  # the last stop


async def test_what_clients_refuse_is_reported():
    async with sink() as driver, Peer(driver.endpoint) as peer:
        await peer.hello()
        await driver.write(message(0))
        frame = await peer.hear()
        for status in ("expired", "refused", "duplicate", "done"):
            await peer.say(Ack(id=frame.id, status=status, detail="because"))
        await until(lambda: driver.counts["acked_done"])
        assert reasons(driver) == ["expired", "refused"]


async def test_json_clients_are_served_in_json():
    async with sink() as driver, Peer(driver.endpoint) as peer:
        await peer.say(Hello(client="hand"), "json")
        assert decode(data := await peer.socket.recv(), Welcome)
        assert data.startswith(b"{")
        await driver.write(message(0))
        assert (await peer.socket.recv()).startswith(b'{"v": 1, "type": "action"')


async def test_each_gap_is_followed_by_a_stop_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """Also one that opens while the stop of the gap before is out and not acknowledged yet."""
    async with sink(heartbeat_ms=5000) as driver, Peer(driver.endpoint) as peer:
        await peer.hello()
        send, full = driver._send_multipart, [False]
        monkeypatch.setattr(driver, "_send_multipart", lambda *what: zmq.Again() if full[0] else send(*what))
        for seq, full[0] in enumerate((False, True, False, True, False)):
            await driver.write(message(seq))
        heard = [await peer.hear() for _ in range(5)]
        assert ["stop" if f.is_stop else f.seq for f in heard] == [0, "stop", 2, "stop", 4]


async def test_a_client_that_does_not_read_is_dropped_for_and_stopped_before_it_moves_again():
    """ROUTER would drop without a word; here each drop is counted, and what is read first afterwards is a stop."""
    async with sink(heartbeat_ms=5000) as driver, Peer(driver.endpoint) as peer:
        peer.socket.setsockopt(zmq.RCVHWM, 1)
        await peer.hello()
        big = {f"field_{i:03}_mps": 0.25 for i in range(200)}
        for seq in range(20000):
            await driver.write(message(seq, **big))
            if driver.counts["slow_client"] >= 3:
                break
        assert driver.counts["slow_client"] >= 3
        assert "slow_client" in reasons(driver)
        before, stopped, late = -1, False, 30000
        async with asyncio.timeout(10):
            while before < 30000:
                while await peer.socket.poll(20):
                    frame = await peer.hear()
                    if frame.is_stop:
                        stopped = True
                    else:
                        assert frame.seq == before + 1 or stopped  # nothing is missing but before a stop
                        before, stopped = frame.seq, False
                late += 1
                await driver.write(message(late))


async def test_a_thousand_frames_of_garbage_are_counted_and_it_goes_on():
    rng = random.Random(0)
    async with sink() as driver, Peer(driver.endpoint) as peer, Peer(driver.endpoint) as good:
        await good.hello("good")
        for _ in range(1000):
            await peer.socket.send_multipart([rng.randbytes(rng.randrange(300)) for _ in range(rng.choice([1, 1, 1, 2, 5]))])
        await until(lambda: driver.counts["garbage"] + driver.counts["flood"] >= 990)
        await driver.write(message(0))
        assert (await good.hear()).seq == 0
        assert {"garbage", "flood"} <= set(reasons(driver))
        assert len(driver.rows) < 10


async def test_raw_bytes_and_oversize_frames_cost_only_their_connection():
    async with sink() as driver, Peer(driver.endpoint) as good, Peer(driver.endpoint) as big:
        await good.hello("good")
        host, port = driver.endpoint.removeprefix("tcp://").split(":")
        for data in (b"GET / HTTP/1.1\r\n\r\n", random.Random(1).randbytes(5000), b"\xff" * 10):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()
        await big.socket.send(b"x" * 1_000_000)
        await driver.write(message(0))
        assert (await good.hear()).seq == 0


async def test_a_flooding_client_does_not_keep_others_from_their_actions():
    async with sink() as driver, Peer(driver.endpoint) as flood, Peer(driver.endpoint) as good:
        await good.hello("good")
        await flood.hello("flood")
        ping = encode(Ping(t0_ns=1))
        stop_flood = asyncio.Event()

        async def pour():
            while not stop_flood.is_set():
                with contextlib.suppress(zmq.Again):
                    await flood.socket.send(ping, flags=zmq.DONTWAIT)
                await asyncio.sleep(0)

        pouring = asyncio.create_task(pour())
        delays = []
        for seq in range(20):
            at = SystemClock().now()
            await driver.write(message(seq))
            assert (await good.hear()).seq == seq
            delays.append((SystemClock().now() - at) / MS)
            await good.say(Ping(t0_ns=at))
            await asyncio.sleep(0.02)
        stop_flood.set()
        await pouring
        assert driver.counts["flood"] > 0
        assert sorted(delays)[10] < 50


async def test_actions_and_state_are_mirrored():
    async with sink(pub=LOOPBACK, heartbeat_ms=50) as driver, Peer(driver.pub_endpoint, zmq.SUB) as listener:
        listener.socket.subscribe(b"")
        assert (await listener.hear(State)).online
        await driver.write(message(3))
        assert (await listener.hear(ActionFrame)).seq == 3


async def test_too_many_clients_are_told():
    async with sink(max_clients=1) as driver, Peer(driver.endpoint) as one, Peer(driver.endpoint) as two:
        await one.hello("one")
        await two.say(Hello(client="two"))
        assert "max_clients" in (await two.hear(Unknown)).detail
        assert "refused_client" in reasons(driver)
