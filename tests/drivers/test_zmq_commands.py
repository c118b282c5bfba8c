"""The commands source on real sockets, with our Commander and with frames that it never sends."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
import zmq
import zmq.asyncio

from omnistream.client import Commander
from omnistream.clock import SystemClock
from omnistream.errors import DeviceError
from omnistream.protocol.codec import Ack, CommandFrame, decode, encode
from omnistream.testing import context
from omnistream_drivers.zmq_commands import ZmqCommands

LOOPBACK = "tcp://127.0.0.1:*"


@contextlib.asynccontextmanager
async def source(settle="done", bind=LOOPBACK, incarnation=0):
    """A running source whose messages are settled at once with `settle` (None: never); yields it, with `.got`."""
    ctx = context("typed", clock=SystemClock(), incarnation=incarnation)
    driver = ZmqCommands(bind=bind)
    await driver.open(ctx)
    driver.got, driver.rows = [], ctx.report.rows

    async def follow():
        async for emit in driver.run(ctx):
            driver.got.append(emit)
            if settle and emit.settled:
                emit.settled(settle)

    task = asyncio.create_task(follow())
    try:
        yield driver
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await driver.close()


async def test_a_command_is_accepted_and_done_when_its_effects_are():
    async with source() as driver:
        commander = Commander(driver.endpoint, client="me")
        receipt = await commander.asend("go forward", command_id="42")
        assert (receipt.status, receipt.ok) == ("done", True)
        assert [(e.payload.text, e.origin) for e in driver.got] == [("go forward", ("client", "me", "42"))]


async def test_a_lost_command_is_said_to_be_lost():
    async with source(settle="expired") as driver:
        receipt = await Commander(driver.endpoint).asend("go forward")
        assert (receipt.status, receipt.detail, receipt.ok) == ("lost", "expired", False)


async def test_done_is_not_said_before_it_is():
    async with source(settle=None) as driver:
        commander = Commander(driver.endpoint, client="me")
        with pytest.raises(TimeoutError, match="accepted, but is not done"):
            await commander.asend("go", timeout=0.6, command_id="1")
        assert (await commander.asend("go", wait="accepted", command_id="1")).status == "accepted"
        assert len(driver.got) == 1  # it was resent several times
        waiting = asyncio.create_task(commander.asend("go", command_id="1"))
        await asyncio.sleep(0.1)
        driver.got[0].settled("done")
        assert (await waiting).status == "done"


async def test_a_command_survives_the_restart_of_the_process():
    async with source(settle=None) as first:
        endpoint = first.endpoint
        waiting = asyncio.create_task(Commander(endpoint, client="me").asend("go", command_id="7"))
        async with asyncio.timeout(2):
            while not first.got:  # noqa: ASYNC110  what we wait for is in another thread
                await asyncio.sleep(0.01)
    async with source(bind=endpoint, incarnation=1) as second:
        assert (await waiting).status == "done"
        assert second.got[0].origin == first.got[0].origin


async def test_no_server_is_a_timeout_that_says_so():
    with pytest.raises(TimeoutError, match="no answer"):
        await Commander("tcp://127.0.0.1:9").asend("go", timeout=0.2)


async def test_refused_is_final():
    async with source() as driver:
        receipt = await Commander(driver.endpoint).asend("x" * 1001)
        assert receipt.status == "refused"
        assert "1001 characters" in receipt.detail


async def test_garbage_and_floods_are_counted_and_it_goes_on():
    rng = random.Random(3)
    async with source() as driver:
        ctx = zmq.asyncio.Context()
        peer = ctx.socket(zmq.DEALER)
        peer.connect(driver.endpoint)
        for i in range(1000):
            bad = [rng.randbytes(rng.randrange(300)) for _ in range(rng.choice([1, 1, 2, 3]))]
            await peer.send_multipart(bad if i % 2 else [encode(CommandFrame(text="go", id=str(i)), "json")])
        await asyncio.sleep(1.1)  # what was not read of this second
        assert (await Commander(driver.endpoint).asend("go home")).status == "done"
        assert driver.got[-1].payload.text == "go home"
        assert len(driver.got) <= 1 + 100 + 60
        assert {"garbage", "flood"} <= {reason for reason, _ in driver.rows}
        assert len(driver.rows) < 20
        ctx.destroy(linger=0)


async def test_a_graph_without_room_leaves_commands_with_their_clients():
    ctx = context("typed", clock=SystemClock())
    driver = ZmqCommands(bind=LOOPBACK)
    await driver.open(ctx)
    zctx = zmq.asyncio.Context()
    peer = zctx.socket(zmq.DEALER)
    peer.connect(driver.endpoint)
    for i in range(50):
        await peer.send(encode(CommandFrame(text="go", id=str(i), client="c")))
    commands = driver.run(ctx)
    assert (await anext(commands)).payload.text == "go"
    await asyncio.sleep(0.1)  # suspended at its yield
    answers = []
    while await peer.poll(0):
        answers.append(decode(await peer.recv(), Ack))
    assert [(a.id, a.status) for a in answers] == [("0", "accepted")]
    assert [(await anext(commands)).origin[2] for _ in range(49)] == [str(i) for i in range(1, 50)]
    await commands.aclose()
    await driver.close()
    zctx.destroy(linger=0)


async def test_wrong_options_and_a_taken_port():
    with pytest.raises(ValueError, match="no endpoint"):
        ZmqCommands(bind="localhost:5560")
    async with source() as driver:
        with pytest.raises(DeviceError, match="Address already in use"):
            async with source(bind=driver.endpoint):
                pass
