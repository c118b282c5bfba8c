"""A robot's connection over ZeroMQ: iterate over it and do what comes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import zmq
import zmq.asyncio

from omnistream.client.session import RobotSession
from omnistream.clock import Clock, SystemClock
from omnistream.protocol.codec import MAX_FRAME_BYTES, ActionFrame

__all__ = ["Robot", "dealer"]


class Robot:
    """Actions for a robot, each once and while it is valid; stops first.

        with Robot("tcp://127.0.0.1:5555") as robot:
            for action in robot:
                drive(action.kind, action.values)

    An action is acknowledged as done when the next one is asked for, as refused where `refuse` was called or the loop raised.
    Expired, repeated and superseded actions are acknowledged as that and never seen. A stop of its own (`text` says why) comes
    when a velocity was not renewed for `watchdog_ms` (default: what the sender says) or the link is lost: ask at least that
    often, with `receive` where there is other work. `async with` and `async for` do the same on an event loop.
    Waits and reconnects for ever; nothing here raises when the sender is away.
    """

    def __init__(
        self, endpoint: str, *, name: str = "robot", watchdog_ms: int | None = None, clock: Clock | None = None
    ) -> None:
        self.endpoint = endpoint
        self._clock = clock or SystemClock()
        self._session = RobotSession(f"{name}-{uuid.uuid4().hex[:12]}", watchdog_ms=watchdog_ms)
        self._context: zmq.Context[Any] | None = None
        self._socket: Any = None
        self._async_socket: Any = None

    @property
    def connected(self) -> bool:
        """Whether the sender answers."""
        return self._session.connected(self._clock.now())

    @property
    def counts(self) -> dict[str, int]:
        """How many actions were done, expired, duplicate, superseded, refused; stops, watchdog stops, garbage."""
        return dict(self._session.counts)

    def refuse(self, detail: str) -> None:
        """Acknowledge the action given last as refused, with the reason, instead of done."""
        self._session.finish("refused", detail)

    # on a thread of one's own

    def receive(self, timeout_s: float | None = None) -> ActionFrame | None:
        """The next action, or None when `timeout_s` is over. None as timeout waits for ever; 0 only looks."""
        until = self._until(timeout_s)
        while True:
            action, wait_ms = self._turn(until)
            if action is not None or wait_ms < 0:
                return action
            self._socket.poll(wait_ms)

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close(error)

    def __iter__(self) -> Iterator[ActionFrame]:
        while True:
            action = self.receive()
            if action is not None:
                yield action

    # on an event loop

    async def areceive(self, timeout_s: float | None = None) -> ActionFrame | None:
        """As `receive`, on an event loop."""
        until = self._until(timeout_s)
        while True:
            action, wait_ms = self._turn(until)
            if action is not None or wait_ms < 0:
                return action
            await self._async_socket.poll(wait_ms)

    async def __aenter__(self) -> Self:
        self._open()
        self._async_socket = zmq.asyncio.Socket.from_socket(self._socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(error)

    async def __aiter__(self) -> AsyncIterator[ActionFrame]:
        while True:
            action = await self.areceive()
            if action is not None:
                yield action

    # both

    def _until(self, timeout_s: float | None) -> int | None:
        if self._socket is None:
            raise RuntimeError("this Robot is not open; use it in a `with` or `async with`")
        return None if timeout_s is None else self._clock.now() + int(timeout_s * 1e9)

    def _turn(self, until: int | None) -> tuple[ActionFrame | None, int]:
        """Send and read what there is; the action to do, or how many ms to wait for the next turn (-1: the time is over)."""
        session, now = self._session, self._clock.now()
        for _ in range(256):
            try:
                session.received(self._socket.recv_multipart(zmq.DONTWAIT), self._clock.now())
            except zmq.Again:
                break
        action = session.next(self._clock.now())
        self._send(session.outgoing(now))
        if action is not None:
            return action, 0
        now = self._clock.now()
        if until is not None and now >= until:
            return None, -1
        wake = session.wake_ns(now) if until is None else min(session.wake_ns(now), until)
        return None, max(0, -(-(wake - now) // 1_000_000))

    def _send(self, frames: list[bytes]) -> None:
        for data in frames:
            try:
                self._socket.send(data, zmq.DONTWAIT)
            except zmq.Again:  # nobody there: hellos are said again, and stops are repeated to us
                self._session.unsent(self._clock.now())

    def _open(self) -> None:
        self._context = zmq.Context()
        try:
            self._socket = dealer(self._context, self.endpoint)
        except ValueError:
            self._context.term()
            self._context = None
            raise

    def _close(self, error: BaseException | None) -> None:
        if self._context is None:
            return
        interrupted = error is None or isinstance(error, (KeyboardInterrupt, GeneratorExit, SystemExit))
        self._session.finish("done" if interrupted else "refused", "" if interrupted else f"{type(error).__name__}: {error}")
        self._send(self._session.goodbye())
        if self._async_socket is not None:
            self._async_socket.close(linger=200)
            self._async_socket = None
        self._socket.close(linger=200)
        self._context.term()
        self._context = self._socket = None


def dealer(context: zmq.Context[Any], endpoint: str) -> Any:
    """A DEALER to a driver's ROUTER: never queues for a peer that is not there, and notices when it has gone."""
    socket = context.socket(zmq.DEALER)
    for option, value in (
        (zmq.IMMEDIATE, 1),
        (zmq.LINGER, 200),
        (zmq.MAXMSGSIZE, MAX_FRAME_BYTES),
        (zmq.HEARTBEAT_IVL, 500),
        (zmq.HEARTBEAT_TIMEOUT, 1500),
        (zmq.RECONNECT_IVL, 50),
        (zmq.RECONNECT_IVL_MAX, 500),
        (zmq.SNDHWM, 256),
        (zmq.RCVHWM, 64),
        (zmq.RCVBUF, 16384),  # what is to be overtaken by a stop must not lie in the kernel
    ):
        socket.setsockopt(option, value)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        raise ValueError(f"{endpoint!r} is no endpoint ({error}); write one like 'tcp://127.0.0.1:5555'") from None
    return socket
