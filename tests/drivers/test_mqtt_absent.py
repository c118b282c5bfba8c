"""Where no broker can be reached: at launch a sentence and exit code 2; after a worker's restart a row, and new attempts."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from typer.testing import CliRunner

from omnistream.cli.main import app
from omnistream.clock import SystemClock
from omnistream.errors import DeviceError
from omnistream.testing import context
from omnistream_drivers.mqtt_actions import MqttActions
from omnistream_drivers.mqtt_captions import MqttCaptions
from omnistream_drivers.mqtt_commands import MqttCommands

sys.path.append(str(Path(__file__).parent))
from mqtt_parts import caption, listening, mosquitto, until

DRIVERS = {"captions": MqttCaptions, "actions": MqttActions, "commands": MqttCommands}
GRAPHS = {
    "captions": """
  typed: {use: zmq_commands, with: {bind: "tcp://127.0.0.1:*"}}
  parse: {use: command_parser, with: {embedding: false}, inputs: {text: typed}}
  reason: {use: rule_reasoner, inputs: {intent: parse}}
  it: {use: mqtt_captions, inputs: {caption: reason.caption}, with: {url: "URL", topic: a/b}}
""",
    "actions": """
  typed: {use: zmq_commands, with: {bind: "tcp://127.0.0.1:*"}}
  parse: {use: command_parser, with: {embedding: false}, inputs: {text: typed}}
  reason: {use: rule_reasoner, inputs: {intent: parse}}
  it: {use: mqtt_actions, inputs: {action: reason.action}, with: {url: "URL", topic: a/b, simulated: true}}
""",
    "commands": """
  it: {use: mqtt_commands, with: {url: "URL", topic: a/b}}
  show: {use: console, inputs: {message: it}}
""",
}
#: What is said, to the letter.
REFUSED = "[Errno 111] Connection refused"


def made(kind: str, port: int, incarnation: int) -> tuple[Any, Any]:
    ctx = context("it", clock=SystemClock(), incarnation=incarnation)
    return DRIVERS[kind](url=f"mqtt://127.0.0.1:{port}", topic="a/b"), ctx


def sentence(port: int) -> str:
    return f"it: no MQTT broker at mqtt://127.0.0.1:{port} ({REFUSED}); start one there, or correct 'url'"


@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_driver_at_launch_raises_one_sentence_and_leaves_nothing_behind(kind: str, unused_tcp_port: int) -> None:
    driver, ctx = made(kind, unused_tcp_port, 0)
    before = asyncio.all_tasks()
    with pytest.raises(DeviceError, match=f"^{re.escape(sentence(unused_tcp_port))}$"):
        await driver.open(ctx)
    assert ctx.report.rows == []
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("kind", "engine"), [*((kind, "local") for kind in DRIVERS), pytest.param("captions", "ray", marks=pytest.mark.ray)]
)
def test_a_run_ends_with_that_sentence_and_exit_code_2(kind: str, engine: str, tmp_path: Path, unused_tcp_port: int) -> None:
    file = tmp_path / "graph.yaml"
    file.write_text("graph: absent\nnodes:" + GRAPHS[kind].replace("URL", f"mqtt://127.0.0.1:{unused_tcp_port}"))
    ended = CliRunner().invoke(app, ["run", str(file), "--engine", engine, "--for", "5s"])
    assert ended.exit_code == 2
    assert ended.stderr.strip() == sentence(unused_tcp_port)


@pytest.mark.broker
@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_driver_of_a_restarted_worker_says_so_once_and_goes_on_when_the_broker_is_there(
    kind: str, unused_tcp_port: int
) -> None:
    driver, ctx = made(kind, unused_tcp_port, 1)
    rows = ctx.report.rows
    await driver.open(ctx)
    missing = ("no_broker", f"mqtt://127.0.0.1:{unused_tcp_port}: {REFUSED}; trying again")
    assert rows == [missing]
    await asyncio.sleep(1)  # several attempts
    assert rows == [missing]
    with mosquitto(unused_tcp_port):
        await until(lambda: len(rows) > 1, 10)
        back = rf"mqtt://127\.0\.0\.1:{unused_tcp_port} is back after \d+\.\d s; \d+ are sent again"
        assert rows[1][0] == "broker_back"
        assert re.fullmatch(back, rows[1][1])
        assert driver._link.connected
        await driver.close()
    assert rows[2:] == []


@pytest.mark.broker
async def test_what_was_said_meanwhile_is_sent_then(unused_tcp_port: int) -> None:
    ctx = context("it", clock=SystemClock(), incarnation=1)
    driver = MqttCaptions(url=f"mqtt://127.0.0.1:{unused_tcp_port}", topic="a/b", expire_ms=60_000)
    await driver.open(ctx)
    async with asyncio.timeout(1):  # nobody waits for a broker
        for number in range(3):
            await driver.write(caption(number, f"{number}"))
    with mosquitto(unused_tcp_port):
        async with listening(unused_tcp_port, "a/b", identifier="early", clean_session=False) as got:
            texts = [(await asyncio.wait_for(got.get(), 10)).payload.decode() for _ in range(3)]
        await driver.close()
    assert [f'"text": "{i}"' in t for i, t in enumerate(texts)] == [True] * 3
    assert [reason for reason, _ in ctx.report.rows] == ["no_broker", "broker_back"]


@pytest.mark.ray
@pytest.mark.broker
async def test_a_run_outlives_a_worker_that_is_killed_while_the_broker_is_away(tmp_path: Path) -> None:
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import load_graph
    from omnistream.graph.plan import make_plan

    with mosquitto() as broker:
        file = tmp_path / "graph.yaml"
        file.write_text("graph: absent\nnodes:" + GRAPHS["commands"].replace("URL", broker.url))
        plan, clock, home = make_plan(load_graph(str(file), [], []), "planned"), SystemClock(), RunDir()
        try:
            crew = RayCrew(plan, RunOptions(start_ns=clock.now(), offset_ns=clock.offset_ns, run_dir=home.path))
            conductor = Conductor(plan, crew, clock, fresh=False)
            running = asyncio.create_task(conductor.run())
            await until(lambda: conductor.outcome.started_ns or running.done(), 60)
            broker.stop()
            os.kill(crew.pids["it"], signal.SIGKILL)
            await until(lambda: conductor.outcome.restarts.get("it") and not conductor.down, 30)
            broker.again()
            async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", broker.port) as client:
                await client.subscribe("a/b/ack")
                task = asyncio.create_task(anext(client.messages))
                while not task.done():  # until it is connected again, and answers
                    await client.publish("a/b", '{"v": 1, "id": "1", "client": "c", "text": "go"}', qos=1)
                    await asyncio.sleep(0.2)
                assert b'"accepted"' in bytes(task.result().payload)
            conductor.stop("SIGINT")
            outcome = await asyncio.wait_for(running, 30)
        finally:
            home.remove()
    rows = [(row.where, row.reason) for row in outcome.rows if row.reason in ("no_broker", "broker_back")]
    assert rows == [("it", "no_broker"), ("it", "broker_back")]
