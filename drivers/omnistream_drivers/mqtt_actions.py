"""Actions to robots over MQTT, as JSON, acknowledged on a topic of their own (docs/protocol.md)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omnistream.errors import PayloadError
from omnistream.message import INFINITY, MS
from omnistream.node import Context
from omnistream.protocol.codec import Ack, ActionFrame, Ping, Pong, decode, encode
from omnistream.protocol.limiter import Bucket, Reports
from omnistream.protocol.mqtt_address import Broker, check_topic, host_client_id
from omnistream.protocol.mqtt_link import MqttLink
from omnistream.protocol.outbox import Publish
from omnistream_drivers.action_gate import check_limits
from omnistream_drivers.action_sink import ActionSink

if TYPE_CHECKING:
    import aiomqtt

__all__ = ["MqttActions"]

TICK_NS = 20 * MS
#: The broker keeps a stop for us (QoS 1); it is repeated for robots that missed it.
STOP_REPEAT_NS, STOP_REPEATS = 500 * MS, 10


@dataclass(kw_only=True)
class MqttActions(ActionSink):
    """Publishes each action to `topic` while it is valid, and each stop until one client has acknowledged it.

    The rules are those of `zmq_actions`: expired, refused, repeated and superseded actions do not go out and are reported by
    name; a stop is sent by `safe`, by the watchdog and at the end. Clients acknowledge on `<topic>/ack`, may ask for the run
    time with a ping on `<topic>/ping` (answered on `<topic>/pong`), and must stop when `<topic>/status` turns "offline":
    that is our last will. Whether anybody listens is not known to a publisher. Raises DeviceError without a broker at launch.

    ```yaml
    graph: one
    nodes:
      typed: {use: zmq_commands, with: {bind: "tcp://127.0.0.1:*"}}
      parse: {use: command_parser, inputs: {text: typed}}
      reason: {use: rule_reasoner, inputs: {intent: parse}}
      robot:
        use: mqtt_actions
        inputs: {action: reason.action}
        with: {url: "mqtt://127.0.0.1", topic: robot/actions, simulated: true}
    ```
    """

    url: str  # mqtt://[user:password@]host[:port], or mqtts://
    topic: str
    client_id: str = ""  # the same after a restart; default: from the host's and the node's name
    limits: dict[str, list[float]] = field(default_factory=dict)  # per value: [lowest, highest]
    strict_limits: bool = False  # refuse an action with a value that no limit is written for
    watchdog_ms: int = 500  # a velocity that is not renewed for so long is followed by a stop
    outbox: int = 64  # actions that may wait for the broker
    simulated: bool = False  # true: nothing real moves, so no --arm is asked for

    def __post_init__(self) -> None:
        self._broker = Broker.parse(self.url)
        check_topic("topic", self.topic)
        check_limits(self.limits)
        if min(self.watchdog_ms, self.outbox) < 1:
            raise ValueError("watchdog_ms and outbox must be at least 1")
        self.actuator = not self.simulated
        self._link: MqttLink | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, ctx: Context) -> None:
        self.start(ctx, limits=self.limits, strict=self.strict_limits, watchdog_ms=self.watchdog_ms)
        self._reports = Reports(ctx.report)
        self._bucket = Bucket(500, 500)
        self._stop: ActionFrame | None = None
        self._stop_sent_ns = self._stop_count = 0
        status = f"{self.topic}/status"
        self._link = MqttLink(
            self._broker,
            name=ctx.name,
            client_id=self.client_id or host_client_id(ctx.name),
            clock=ctx.clock,
            report=ctx.report,
            will=Publish(status, b"offline"),
            birth=Publish(status, b"online", retain=True),
            subscribe=(f"{self.topic}/ack", f"{self.topic}/ping"),
            on_message=self._heard,
            outbox=self.outbox,
        )
        await self._link.open(required=ctx.incarnation == 0)
        if ctx.incarnation > 0:  # what the one before let out last is not known: rest first
            now = ctx.clock.now()
            self.send_stop(self.gate.stop("the sink was restarted", now), now)
        self._task = asyncio.create_task(self._tick())

    def send_motion(self, frame: ActionFrame, now_ns: int) -> None:
        assert self._link is not None
        until = frame.valid_until_ns or 0
        self._link.publish(
            Publish(self.topic, encode(frame, "json"), f"{frame.kind} {frame.id}", expires_ns=until, deadline_ns=until)
        )
        self.gate.sent(frame, now_ns)
        self.counts["sent"] += 1

    def send_stop(self, frame: ActionFrame, now_ns: int) -> None:
        self.counts["stops"] += 1
        self._stop, self._stop_count = frame, 0
        self._publish_stop(now_ns)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.safe("the run has ended")
            self._reports.flush()
        if self._link is not None:
            await self._link.close(Publish(f"{self.topic}/status", b"offline", what="status", retain=True))

    def _publish_stop(self, now_ns: int) -> None:
        assert self._link is not None
        if self._stop is None:
            return
        what = f"stop {self._stop.id}"
        for publish in list(self._link.outbox):
            if publish.what == what and not publish.under_way:  # it waits for the broker already
                return
        for publish in self._link.outbox.withdraw(self.topic):
            self.ctx.report("superseded", f"{publish.what} waited for the broker when a stop came")
        self._link.outbox.withdraw(self.topic, urgent=True)  # this stop stands for those before it
        self._link.publish(Publish(self.topic, encode(self._stop, "json"), what, expires_ns=INFINITY, urgent=True))
        self._stop_sent_ns = now_ns
        self._stop_count += 1

    def _heard(self, message: aiomqtt.Message) -> None:
        assert self._link is not None
        now = self.ctx.clock.now()
        if not self._bucket.allow(now):
            self._reports.add("flood", f"more messages on {message.topic} than are handled", now)
            return
        try:
            frame = decode(bytes(message.payload), Ack, Ping)
        except PayloadError as error:
            self.counts["garbage"] += 1
            self._reports.add("garbage", f"on {message.topic}: {error}", now)
            return
        if isinstance(frame, Ping):
            pong = Pong(t0_ns=frame.t0_ns, t1_ns=now, t2_ns=now, run=self.ctx.start_ns)
            self._link.publish(Publish(f"{self.topic}/pong", encode(pong, "json"), "pong", expires_ns=now + 1000 * MS, qos=0))
            return
        if self._stop is not None and frame.id == self._stop.id:
            self._stop = None
        self.acknowledged(frame.id, frame.status, frame.detail)

    async def _tick(self) -> None:
        clock = self.ctx.clock
        while True:
            await clock.sleep_until(min(clock.now() + TICK_NS, self.gate.deadline_ns()))
            now = clock.now()
            self.watch(now)
            self._reports.flush(now)
            if self._stop is None or now - self._stop_sent_ns < STOP_REPEAT_NS:
                continue
            if self._stop_count < STOP_REPEATS:
                self._publish_stop(now)
            else:
                self.ctx.report("stop_unconfirmed", f"nobody acknowledged {self._stop.id} ({self._stop.text})")
                self._stop = None
