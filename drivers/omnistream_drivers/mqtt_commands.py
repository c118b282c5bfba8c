"""Commands over MQTT, as text or JSON (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from omnistream.errors import PayloadError
from omnistream.message import MS, Text
from omnistream.node import Context, Emit, Source
from omnistream.protocol.codec import CommandFrame, encode
from omnistream.protocol.limiter import Reports
from omnistream.protocol.mqtt_address import Broker, check_topic, host_client_id
from omnistream.protocol.mqtt_link import MqttLink
from omnistream.protocol.outbox import Publish
from omnistream_drivers.command_desk import CommandDesk

if TYPE_CHECKING:
    import aiomqtt

__all__ = ["MqttCommands"]

#: What may wait to be taken; QoS 1 is held back by the broker long before.
MAX_WAITING = 256
ANSWER_MS = 10_000


@dataclass(kw_only=True)
class MqttCommands(Source):
    """Commands from `topic`, each once: JSON as in docs/protocol.md, or bare text. Answers go to `<topic>/ack`.

    A JSON command with an `id` is acknowledged to the broker when all its effects are known: if we die before, it comes again
    and is known by its id. Bare text has no identity: it is acknowledged when it is taken, and a crash may lose or double it.
    Retained messages are ignored (they are no command but the memory of one), and so is what was published while no run was
    listening, or where we were away for more than `keep_s`. Raises DeviceError where there is no broker at launch.

    ```yaml
    graph: one
    nodes:
      typed: {use: mqtt_commands, with: {url: "mqtt://127.0.0.1", topic: robot/commands}}
      show: {use: console, inputs: {message: typed}}
    ```
    """

    url: str  # mqtt://[user:password@]host[:port], or mqtts://
    topic: str
    client_id: str = ""  # the same after a restart; default: from the host's and the node's name
    keep_s: int = 10  # so long the broker keeps commands while the connection is lost

    def __post_init__(self) -> None:
        self._broker = Broker.parse(self.url)
        check_topic("topic", self.topic)
        if self.keep_s < 1:
            raise ValueError("keep_s must be at least 1")
        self._link: MqttLink | None = None

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx
        self._desk = CommandDesk()
        self._reports = Reports(ctx.report)
        self._waiting: asyncio.Queue[tuple[aiomqtt.Message, _Owed]] = asyncio.Queue(MAX_WAITING)
        self._owed: deque[_Owed] = deque()
        self._link = MqttLink(
            self._broker,
            name=ctx.name,
            client_id=self.client_id or host_client_id(ctx.name),
            clock=ctx.clock,
            report=ctx.report,
            subscribe=(self.topic,),
            on_message=self._heard,
            on_connect=self._owed.clear,  # the broker sends them again, under other numbers
            keep_s=self.keep_s,
            by_hand=True,
            fresh=ctx.incarnation == 0,
        )
        await self._link.open(required=ctx.incarnation == 0)

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Text]]:  # noqa: ARG002  a source's signature
        while True:
            emit = self._take(*await self._waiting.get())
            if emit is not None:
                yield emit

    async def close(self) -> None:
        if self._link is not None:
            self._reports.flush()
            await self._link.close()

    def _heard(self, message: aiomqtt.Message) -> None:
        now, owed = self._ctx.clock.now(), _Owed(message.mid)
        if message.qos:
            self._owed.append(owed)
        if message.retain:
            self._reports.add("refused", f"a retained message on {self.topic} is no command; publish without retain", now)
        elif self._waiting.full():
            self._reports.add("flood", f"more commands on {self.topic} than are taken", now)
        else:
            self._waiting.put_nowait((message, owed))
            return
        self._acknowledge(owed)

    def _take(self, message: aiomqtt.Message, owed: _Owed) -> Emit[Text] | None:
        now, payload = self._ctx.clock.now(), bytes(message.payload).strip()
        named = payload[:1] == b"{"
        if not named:
            try:  # under an id that no client has
                payload = encode(CommandFrame(text=payload.decode(), id=uuid.uuid4().hex), "json")
            except (UnicodeDecodeError, PayloadError) as error:
                self._reports.add("garbage", f"on {self.topic}: {error}", now)
                self._acknowledge(owed)
                return None
        taken = self._desk.take(b"mqtt", payload, now, client="mqtt")
        if taken.fault is not None:
            self._reports.add(*taken.fault, now)
        if named and taken.answer is not None:
            self._answer(taken.answer, now)
        if named and self._desk.pending(taken.key):
            owed.key = taken.key  # acknowledged when it is settled; also where it came again meanwhile
        else:
            self._acknowledge(owed)
        if taken.command is None:
            return None
        text = Text(taken.command.text, taken.command.lang)
        if not named:
            self._desk.settle(taken.key, "done")
            return Emit(text)
        return Emit(text, origin=taken.origin, settled=partial(self._settled, taken.key))

    def _settled(self, key: tuple[str, str], outcome: str) -> None:
        told = self._desk.settle(key, outcome)
        if told is not None:
            self._answer(told[1], self._ctx.clock.now())
        for owed in [o for o in self._owed if o.key == key]:
            self._acknowledge(owed)

    def _answer(self, payload: bytes, now_ns: int) -> None:
        if self._link is not None:
            self._link.publish(Publish(f"{self.topic}/ack", payload, "an answer", expires_ns=now_ns + ANSWER_MS * MS))

    def _acknowledge(self, owed: _Owed) -> None:
        """Acknowledge in the order of arrival, as MQTT demands (5, section 4.6)."""
        owed.done = True
        while self._owed and self._owed[0].done and self._link is not None:
            self._link.acknowledge(self._owed.popleft().mid)


@dataclass(slots=True)
class _Owed:
    """A QoS 1 message that the broker waits to have acknowledged."""

    mid: int
    key: tuple[str, str] = ("", "")
    done: bool = False
