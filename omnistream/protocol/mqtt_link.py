"""One client's connection to an MQTT broker, kept up: MQTT 5, or 3.1.1 where the broker refuses that; QoS 1 with resends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omnistream.clock import Clock
from omnistream.errors import DeviceError
from omnistream.message import INFINITY, MS, SECOND
from omnistream.protocol.limiter import Reports
from omnistream.protocol.mqtt_address import Broker
from omnistream.protocol.outbox import Outbox, Publish, expiry_s

if TYPE_CHECKING:
    import aiomqtt

__all__ = ["MqttLink"]

log = logging.getLogger("omnistream")

KEEPALIVE_S = 10
CONNECT_S = 2.0
#: A broker must acknowledge within this, or the connection counts as dead.
ACK_S = 5.0
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.1, 5.0
TICK_NS = 50 * MS
#: Publishes that may wait for their acknowledgement together, urgent ones (few) aside; paho's own limit is 20.
MAX_UNDER_WAY = 16
#: QoS 1 messages that the broker may have under way to us.
RECEIVE_MAXIMUM = 20
MAX_PACKET_BYTES = 64 * 1024
_UNSUPPORTED_VERSION = (1, 132)  # in 3.1.1 and 5


class MqttLink:
    """Connects, subscribes, publishes `birth`, and hands each incoming message to `on_message`; again after every loss.

    `will` is what the broker says when we die. `keep_s` > 0 asks for a session that outlives a lost connection by so much;
    with `by_hand`, what was not acknowledged with `acknowledge` comes again then. `fresh` discards what an earlier session
    left. Losses and returns are reported, never raised.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        name: str,
        client_id: str,
        clock: Clock,
        report: Callable[[str, str], None],
        will: Publish | None = None,
        birth: Publish | None = None,
        subscribe: tuple[str, ...] = (),
        on_message: Callable[[aiomqtt.Message], None] | None = None,
        on_connect: Callable[[], None] | None = None,
        outbox: int = 64,
        keep_s: int = 0,
        by_hand: bool = False,
        fresh: bool = True,
    ) -> None:
        import aiomqtt

        from omnistream.protocol import mqtt_client

        self.broker, self.name, self.client_id = broker, name, client_id
        self._aiomqtt, self._clients = aiomqtt, mqtt_client
        self._clock, self._report = clock, report
        self._reports = Reports(report)
        self._will, self._birth, self._subscribe = will, birth, subscribe
        self._on_message, self._on_connect = on_message, on_connect
        self.outbox = Outbox(outbox)
        self._keep_s, self._by_hand, self._fresh = keep_s, by_hand, fresh
        self.version = 5
        self._client: Any = None
        self._closing = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None
        self._publishing: set[asyncio.Task[None]] = set()
        self._tried: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._lost_ns: int | None = None
        self._ever = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        return self._client is not None

    async def open(self, *, required: bool) -> None:
        """Connect. Where the broker cannot be had: DeviceError if `required`, else it is reported and tried again for ever."""
        self._tasks = [asyncio.create_task(self._keep_up()), asyncio.create_task(self._tick())]
        await asyncio.wait([self._tried, self._tasks[0]], return_when=asyncio.FIRST_COMPLETED)
        why = self._tried.result() if self._tried.done() else str(self._tasks[0].exception())
        if not why:
            return
        if required:
            await self.close()
            raise DeviceError(f"{self.name}: no MQTT broker at {self.broker} ({why}); start one there, or correct 'url'")
        self._report("no_broker", f"{self.broker}: {why}; trying again")

    def publish(self, publish: Publish) -> None:
        """Hand it to the connection, or keep it for the next one."""
        dropped = self.outbox.put(publish)
        if dropped is not None:
            text = f"{dropped.what} was dropped: {self.outbox.limit} wait for {self.broker} already"
            self._reports.add("no_broker" if not self.connected else "overflow", text, self._clock.now())
        self._pump()

    def acknowledge(self, mid: int) -> None:
        """Tell the broker that its QoS 1 message `mid` need not come again (only with `by_hand`)."""
        if self._client is not None:
            self._client.acknowledge(mid)

    async def close(self, last: Publish | None = None, *, flush_s: float = 0.5) -> None:
        """Send what is left and `last`, and disconnect; gives up after `flush_s` and little more."""
        if last is not None and self.connected:
            self.outbox.put(last)
            self._pump()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(flush_s):
                while self.connected and len(self.outbox):  # noqa: ASYNC110  two ends to wait for, and a few ms at most
                    await asyncio.sleep(0.005)
        for left in self.outbox:
            self._report("undrained", f"{left.what} did not reach {self.broker}")
        self._closing.set()
        if self._tasks:
            self._tasks[1].cancel()
            await asyncio.wait(self._tasks, timeout=CONNECT_S + 1)  # a connect in a thread is not to be cut off
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reports.flush()

    async def _keep_up(self) -> None:
        backoff, refusals = FIRST_BACKOFF_S, 0
        while not self._closing.is_set():
            since = self._clock.now()
            try:
                await self._connect()
                return
            except (self._aiomqtt.MqttError, OSError, ValueError) as error:
                if self._closing.is_set():
                    return
                refusals = refusals + 1 if self._other_version(error) else 0
                if refusals:
                    self.version = 4 if self.version == 5 else 5
                if refusals % 2:
                    continue  # the other version right away
                self._lost(str(error) or type(error).__name__)
            lasted = self._clock.now() - since
            backoff = FIRST_BACKOFF_S if lasted > 2 * SECOND and self._ever else min(2 * backoff, LAST_BACKOFF_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), backoff * random.uniform(0.5, 1))

    async def _connect(self) -> None:
        """One connection from its begin to its end.

        A session that is to last is discarded by a connection of its own: 3.1.1 knows no other way, and mosquitto 2.0.11 keeps
        no session over a restart that began with "clean start".
        """
        if self._fresh and self._keep_s:
            async with self._make(clean=True):
                self._fresh = False
        async with self._make(clean=not self._keep_s) as client:
            await self._serve(client)
        if self._keep_s and self.version == 4:
            async with self._make(clean=True):
                pass

    def _other_version(self, error: Exception) -> bool:
        """Whether the broker may want the other version: it says so, or it never answered the connect."""
        code = getattr(error, "rc", None)
        return getattr(code, "value", code) in _UNSUPPORTED_VERSION or (
            not self._ever and str(error) in ("Operation timed out", self._clients.HUNG_UP)
        )

    def _lost(self, why: str) -> None:
        if not self._tried.done():
            self._tried.set_result(why)
        elif self._lost_ns is None and self._ever:
            self._report("broker_lost", f"{self.broker}: {why}; trying again")
        if self._lost_ns is None:
            self._lost_ns = self._clock.now()
        elif self._keep_s and self._clock.now() - self._lost_ns > self._keep_s * SECOND:
            self._fresh = True  # what was said so long ago is not to be done now

    def _make(self, *, clean: bool) -> aiomqtt.Client:
        aiomqtt, five = self._aiomqtt, self.version == 5
        properties = None
        if five:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties

            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else self._keep_s
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            properties.MaximumPacketSize = MAX_PACKET_BYTES
        will = self._will
        return self._clients.Client(
            self.broker.host,
            self.broker.port,
            connect_s=CONNECT_S,
            by_hand=self._by_hand,
            username=self.broker.username,
            password=self.broker.password,
            identifier=self.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(will.topic, will.payload, 1, retain=True) if will else None,
            clean_session=None if five else clean,
            clean_start=clean if five else 3,
            properties=properties,
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_S,
            max_queued_incoming_messages=1024,
            tls_context=ssl.create_default_context() if self.broker.tls else None,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Everything on one connection, until it is lost (MqttError) or the link is closed."""
        for topic in self._subscribe:
            await client.subscribe(topic, qos=1)
        self._client, self._broken = client, asyncio.get_running_loop().create_future()
        self._connected_now()
        reader = asyncio.create_task(self._read(client))
        closing = asyncio.create_task(self._closing.wait())
        try:
            if self._birth is not None:
                await client.publish(self._birth.topic, self._birth.payload, qos=1, retain=self._birth.retain)
            self._pump()
            await asyncio.wait({reader, closing, self._broken}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (reader, self._broken):
                if ended.done():
                    ended.result()
        finally:
            self._client = None
            for task in (reader, closing, *self._publishing):
                task.cancel()
            await asyncio.gather(reader, closing, *self._publishing, return_exceptions=True)
            if self._broken.done():
                self._broken.exception()  # looked at: it may have failed besides the reader
            for late in self.outbox.again():
                self._report(
                    "superseded", f"{late.what} was on its way to {self.broker} when the connection broke and a stop came"
                )

    def _connected_now(self) -> None:
        if not self._tried.done():
            self._tried.set_result("")
        elif self._lost_ns is not None:
            away = (self._clock.now() - self._lost_ns) / SECOND
            self._report("broker_back", f"{self.broker} is back after {away:.1f} s; {len(self.outbox)} are sent again")
        log.info("%s: connected to %s with MQTT %s", self.name, self.broker, "5" if self.version == 5 else "3.1.1")
        self._lost_ns, self._ever = None, True
        if self._on_connect is not None:
            self._on_connect()

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if self._on_message is not None and isinstance(message.payload, bytes):
                self._on_message(message)

    def _pump(self) -> None:
        """Start what may be under way, in order."""
        now = self._clock.now()
        for late in self.outbox.expired(now):
            self._report("expired", f"{late.what} did not reach {self.broker} in time")
        while self._client is not None and (found := self.outbox.next(urgent=len(self._publishing) >= MAX_UNDER_WAY)):
            task = asyncio.create_task(self._send(self._client, *found))
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)

    async def _send(self, client: Any, key: int, publish: Publish) -> None:
        properties = None
        if self.version == 5:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties

            properties = Properties(PacketTypes.PUBLISH)
            if (seconds := expiry_s(publish, self._clock.now())) is not None:
                properties.MessageExpiryInterval = seconds
            if publish.deadline_ns < INFINITY:
                properties.UserProperty = ("deadline_ns", str(publish.deadline_ns))
        try:
            await client.publish(
                publish.topic, publish.payload, qos=publish.qos, retain=publish.retain, properties=properties, timeout=ACK_S
            )
        except (self._aiomqtt.MqttError, ValueError) as error:
            if isinstance(error, ValueError):  # not the connection's fault: this one can never be sent
                self.outbox.done(key)
                self._report("refused", f"{publish.what}: {error}")
            elif self._broken is not None and not self._broken.done():
                self._broken.set_exception(error)
            return
        self.outbox.done(key)
        asyncio.get_running_loop().call_soon(self._pump)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now() + TICK_NS)
            self._pump()
            self._reports.flush(self._clock.now())
