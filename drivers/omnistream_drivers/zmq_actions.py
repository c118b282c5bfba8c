"""Actions to robots over ZeroMQ: a ROUTER that clients' DEALERs connect to, acknowledged (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import Any

from omnistream.errors import DeviceError
from omnistream.message import MS
from omnistream.node import Context
from omnistream.protocol.codec import MAX_FRAME_BYTES, ActionFrame, State, encode
from omnistream.protocol.limiter import Reports
from omnistream_drivers.action_gate import check_limits
from omnistream_drivers.action_sink import ActionSink
from omnistream_drivers.zmq_clients import Client, Clients

__all__ = ["ZmqActions", "bind", "check_endpoint"]

TICK_NS = 20 * MS
#: A client connects again within 0.5 s and says hello within 0.2 s more.
REJOIN_NS = 1000 * MS
#: At the end, a stop may take so long to be acknowledged.
LAST_STOP_S = 0.3


@dataclass(kw_only=True)
class ZmqActions(ActionSink):
    """Sends each action to every connected client while it is valid, and a stop before anything else.

    A motion past its `valid_until`, out of `limits` (or not finite), seen before or behind a stop is refused and reported
    by name, never clipped. A stop never expires and is repeated until each client has acknowledged it; it is also sent by
    `safe`, at the end, and by the watchdog when the last velocity was not zero and no fresh one came for `watchdog_ms`.
    Without a client actions are reported as `no_client`. `bind` to anything but loopback only on a network that you trust:
    there is no password. Raises DeviceError where it cannot bind.

    ```yaml
    graph: one
    nodes:
      typed: {use: zmq_commands, with: {bind: "tcp://127.0.0.1:*"}}
      parse: {use: command_parser, inputs: {text: typed}}
      reason: {use: rule_reasoner, inputs: {intent: parse}}
      robot: {use: zmq_actions, inputs: {action: reason.action}, with: {bind: "tcp://127.0.0.1:*", simulated: true}}
    ```
    """

    bind: str  # where clients connect, such as tcp://127.0.0.1:5555 (port * takes a free one)
    pub: str = ""  # where copies of all that is sent, and our state, are published; empty: nowhere
    limits: dict[str, list[float]] = field(default_factory=dict)  # per value: [lowest, highest]
    strict_limits: bool = False  # refuse an action with a value that no limit is written for
    watchdog_ms: int = 500  # a velocity that is not renewed for so long is followed by a stop
    heartbeat_ms: int = 200  # how often clients say that they are there; three missed and they are not
    max_clients: int = 4
    simulated: bool = False  # true: nothing real moves, so no --arm is asked for

    def __post_init__(self) -> None:
        check_limits(self.limits)
        check_endpoint("bind", self.bind)
        if self.pub:
            check_endpoint("pub", self.pub)
        if min(self.watchdog_ms, self.heartbeat_ms, self.max_clients) < 1:
            raise ValueError("watchdog_ms, heartbeat_ms and max_clients must be at least 1")
        self.actuator = not self.simulated
        self._tasks: list[asyncio.Task[None]] = []
        self._zmq: Any = None

    async def open(self, ctx: Context) -> None:
        import zmq
        import zmq.asyncio

        self.start(ctx, limits=self.limits, strict=self.strict_limits, watchdog_ms=self.watchdog_ms)
        self._again, self._nowait = zmq.Again, int(zmq.DONTWAIT)
        self._reports = Reports(ctx.report)
        self.clients = Clients(
            run=ctx.start_ns,
            max_clients=self.max_clients,
            heartbeat_ms=self.heartbeat_ms,
            watchdog_ms=self.watchdog_ms,
        )
        if ctx.incarnation > 0:  # what the one before let out last is not known: rest first
            self.clients.greeting = self.gate.stop("the sink was restarted", ctx.clock.now())
        self._greeting = self.clients.greeting
        self._zmq = zmq.asyncio.Context()
        self._pub: Any = None
        try:
            self._socket: Any = self._zmq.socket(zmq.ROUTER)
            for option, value in (
                (zmq.ROUTER_MANDATORY, 1),  # else it drops without a word
                (zmq.SNDHWM, 16),
                (zmq.SNDBUF, 16384),  # what lies in the kernel cannot be overtaken by a stop
                (zmq.RCVHWM, 256),
            ):
                self._socket.setsockopt(option, value)
            self.endpoint = await bind(ctx, self._socket, "bind", self.bind)
            if self.pub:
                self._pub = self._zmq.socket(zmq.PUB)
                self._pub.setsockopt(zmq.SNDHWM, 64)
                self.pub_endpoint = await bind(ctx, self._pub, "pub", self.pub)
        except BaseException:
            self._zmq = self._zmq.destroy(linger=0)
            raise
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._tick())]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)
        if ctx.incarnation > 0:
            await self._rejoined()

    async def _rejoined(self) -> None:
        """A new life waits for a robot that the one before may have had: what is sent again now would find nobody."""
        clock, until = self.ctx.clock, self.ctx.clock.now() + REJOIN_NS
        while not len(self.clients) and clock.now() < until:
            await clock.sleep_until(clock.now() + TICK_NS)

    async def resume(self) -> None:
        await super().resume()
        self.clients.greeting = self._greeting

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._zmq is None:
            return
        await self.safe("the run has ended")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_STOP_S):
                while any(c.stop for c in self.clients):
                    self._send_stops()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._drain(), 0.02)
        for client in self.clients:
            if fault := self.clients.gone(client.peer, "did not answer at the end"):
                self.ctx.report(*fault)
        self._state(online=False)
        self._reports.flush()
        self._zmq = self._zmq.destroy(linger=200)

    # sending

    def send_motion(self, frame: ActionFrame, now_ns: int) -> None:
        handed = [self._send_action(client, frame) for client in self.clients]
        if any(handed):
            self.gate.sent(frame, now_ns)
            self.counts["sent"] += 1
        elif not handed:
            self.counts["no_client"] += 1
            self._reports.add("no_client", f"{frame.kind} {frame.id}: no client is connected to {self.endpoint}", now_ns)
        self._mirror(encode(frame))

    def send_stop(self, frame: ActionFrame, now_ns: int) -> None:
        self.counts["stops"] += 1
        if self.gate.safe_reason:
            self.clients.greeting = frame  # who joins now must rest, too
        if not len(self.clients):
            self._reports.add("no_client", f"stop: no client is connected to {self.endpoint}", now_ns)
        self.clients.stop(frame)
        self._send_stops()
        self._mirror(encode(frame))

    def _send_stops(self) -> None:
        now = self.ctx.clock.now()
        for client in self.clients.stops_due(now):
            stop = client.stop
            if stop is not None and self._send(client, encode(stop, client.form)):
                client.stop_sent_ns = now

    def _send_action(self, client: Client, frame: ActionFrame) -> bool:
        """Hand a motion over; a client that takes no more gets a stop first of all when it does again."""
        if client.blocked:
            self._send_stops()
        if not client.blocked and self._send(client, encode(frame, client.form)):
            return True
        self.counts["slow_client"] += 1
        self._reports.add(
            "slow_client", f"client {client.name} does not read; {frame.kind} {frame.id} was not sent", frame.sent_ns
        )
        if not client.blocked:  # a stop that has gone out already lies before what is missing now
            client.stop, client.stop_sent_ns = self.gate.stop("the client fell behind", frame.sent_ns), None
        return False

    def _send(self, client: Client, data: bytes) -> bool:
        error = self._send_multipart(client.peer, data)
        if error is None:
            return True
        if not isinstance(error, self._again):  # EHOSTUNREACH: the connection is gone
            self._gone(client, "has disconnected")
        return False

    def _send_multipart(self, peer: bytes, data: bytes) -> BaseException | None:
        return self._socket.send_multipart([peer, data], flags=self._nowait).exception()  # with DONTWAIT it is done at once

    def _mirror(self, data: bytes) -> None:
        if self._pub is not None:
            self._pub.send(data, flags=self._nowait).exception()

    def _state(self, *, online: bool) -> None:
        now, safe = self.ctx.clock.now(), self.gate.safe_reason[:200]
        self._mirror(encode(State(online=online, now_ns=now, clients=len(self.clients), safe=safe, counts=dict(self.counts))))

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.ctx.report("broken", f"{self.ctx.name} no longer hears its clients: {error!r}")

    def _gone(self, client: Client, why: str) -> None:
        fault = self.clients.gone(client.peer, why)
        self.ctx.report("client_gone", f"client {client.name} {why}")
        if fault:
            self.ctx.report(*fault)

    # receiving

    async def _receive(self) -> None:
        while True:
            await self._drain()
            await asyncio.sleep(0)  # a flood must not keep the others of this worker waiting

    async def _drain(self) -> None:
        """Wait for frames and take up to 32."""
        await self._socket.poll()
        for _ in range(32):
            received = self._socket.recv_multipart(flags=self._nowait)
            if received.exception() is not None:
                return
            peer, *frames = received.result()
            self._heard(peer, frames)

    def _heard(self, peer: bytes, frames: list[bytes]) -> None:
        now = self.ctx.clock.now()
        heard = self.clients.heard(peer, frames, now)
        if heard.answer is not None:
            self._send_multipart(peer, heard.answer)
        if heard.joined is not None:
            self._send_stops()
        if heard.fault is not None:
            self.counts[heard.fault[0]] += 1
            self._reports.add(*heard.fault, now)
        if heard.ack is not None:
            self.acknowledged(heard.ack.id, heard.ack.status, heard.ack.detail)

    async def _tick(self) -> None:
        clock, ticks = self.ctx.clock, 0
        while True:
            await clock.sleep_until(min(clock.now() + TICK_NS, self.gate.deadline_ns()))
            now = clock.now()
            self.watch(now)
            for client in self.clients.silent(now):
                self._gone(client, "is silent")
            self._send_stops()
            self._reports.flush(now)
            ticks += 1
            if ticks * TICK_NS >= self.heartbeat_ms * MS:
                ticks = 0
                self._state(online=True)


def check_endpoint(option: str, endpoint: str) -> None:
    """Raises ValueError unless it reads like tcp://HOST:PORT or ipc://PATH."""
    found = re.fullmatch(r"tcp://([^:/ ]+|\[[0-9a-fA-F:.]+\]):(\d{1,5}|\*)|ipc://.+", endpoint)
    if found is None or ((found[2] or "*") != "*" and int(found[2]) > 65535):
        raise ValueError(f"{option}: {endpoint!r} is no endpoint; write one like 'tcp://127.0.0.1:5555'")


async def bind(ctx: Context, socket: Any, option: str, endpoint: str) -> str:
    """Bind with the options that are off by default and should not be; the endpoint with its port.

    A worker that takes the place of a dead one waits up to 2 s for the port. Raises DeviceError.
    """
    import zmq

    for name, value in (
        (zmq.LINGER, 200),
        (zmq.MAXMSGSIZE, MAX_FRAME_BYTES),
        (zmq.HEARTBEAT_IVL, 500),
        (zmq.HEARTBEAT_TIMEOUT, 1500),
        (zmq.HANDSHAKE_IVL, 2000),
    ):
        socket.setsockopt(name, value)
    for attempt in range(40 if ctx.incarnation else 1):
        try:
            socket.bind(endpoint)
            return socket.getsockopt_string(zmq.LAST_ENDPOINT)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE or attempt == (39 if ctx.incarnation else 0):
                raise DeviceError(
                    f"{ctx.name}: cannot bind {endpoint} ({zmq.strerror(error.errno or 0)}); "
                    f"stop the program that has it, or write another endpoint in '{option}'"
                ) from None
        await asyncio.sleep(0.05)
    raise AssertionError
