"""Captions to AR headsets and displays over MQTT, as JSON (docs/protocol.md)."""

from __future__ import annotations

from dataclasses import dataclass

from omnistream.errors import PayloadError
from omnistream.message import INFINITY, MS, Caption, Message
from omnistream.node import Context, Sink
from omnistream.protocol.codec import caption_frame, encode
from omnistream.protocol.mqtt_address import Broker, check_topic, host_client_id
from omnistream.protocol.mqtt_link import MqttLink
from omnistream.protocol.outbox import Publish

__all__ = ["MqttCaptions"]


@dataclass(kw_only=True)
class MqttCaptions(Sink):
    """Publishes each caption to `topic` with QoS 1; while the broker is away up to `outbox` wait for it, and are sent in order.

    A caption that could not be sent within `expire_ms` after its deadline is reported as `expired`; the broker gets the same
    limit as message expiry (MQTT 5), receivers get the deadline in the payload. `<topic>/status` is "online", and "offline"
    when we go or die. Raises DeviceError where there is no broker at launch.

    ```yaml
    graph: one
    nodes:
      typed: {use: zmq_commands, with: {bind: "tcp://127.0.0.1:*"}}
      parse: {use: command_parser, inputs: {text: typed}}
      reason: {use: rule_reasoner, inputs: {intent: parse}}
      glasses: {use: mqtt_captions, inputs: {caption: reason.caption}, with: {url: "mqtt://127.0.0.1", topic: ar/captions}}
    ```
    """

    url: str  # mqtt://[user:password@]host[:port], or mqtts://
    topic: str
    client_id: str = ""  # the same after a restart; default: from the host's and the node's name
    expire_ms: int = 3000  # how long after its deadline a caption is still worth showing
    outbox: int = 64  # captions that may wait for the broker

    def __post_init__(self) -> None:
        self._broker = Broker.parse(self.url)
        check_topic("topic", self.topic)
        if self.outbox < 1 or self.expire_ms < 0:
            raise ValueError("outbox must be at least 1 and expire_ms at least 0")
        self._link: MqttLink | None = None

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx
        status = f"{self.topic}/status"
        self._link = MqttLink(
            self._broker,
            name=ctx.name,
            client_id=self.client_id or host_client_id(ctx.name),
            clock=ctx.clock,
            report=ctx.report,
            will=Publish(status, b"offline"),
            birth=Publish(status, b"online", retain=True),
            outbox=self.outbox,
        )
        await self._link.open(required=ctx.incarnation == 0)

    async def write(self, caption: Message[Caption]) -> None:
        assert self._link is not None
        frame = caption_frame(caption, run=self._ctx.start_ns)
        try:
            payload = encode(frame, "json")
        except PayloadError as error:
            self._ctx.report("refused", str(error))
            return
        base = caption.deadline_ns if caption.deadline_ns < INFINITY else self._ctx.clock.now()
        self._link.publish(
            Publish(
                self.topic,
                payload,
                what=f"caption {frame.id} rev {frame.rev}",
                expires_ns=base + self.expire_ms * MS,
                deadline_ns=caption.deadline_ns,
            )
        )

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close(Publish(f"{self.topic}/status", b"offline", what="status", retain=True))
