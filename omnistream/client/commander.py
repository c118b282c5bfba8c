"""Commands to a running graph over ZeroMQ, each sent until it is known what became of it."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import zmq

from omnistream.client.robot import dealer
from omnistream.clock import Clock, SystemClock
from omnistream.errors import PayloadError
from omnistream.protocol.codec import Ack, CommandFrame, Form, decode, encode

__all__ = ["Commander", "Receipt"]

_MS = 1_000_000
FIRST_RESEND_NS, LAST_RESEND_NS = 250 * _MS, 2_000 * _MS


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a command: `accepted`, `done`, `lost` or `refused`, and why."""

    id: str
    status: str
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.status in ("accepted", "done")


class CommandSession:
    """One command on its way, without I/O: sent again until there is an answer that ends it."""

    def __init__(self, frame: CommandFrame, *, until_done: bool, form: Form = "msgpack") -> None:
        self.frame = frame
        self._data = encode(frame, form)
        self._until_done = until_done
        self._next_ns: int | None = None  # when it is to be sent (again); None: now
        self._resend_ns = FIRST_RESEND_NS
        self.accepted = False

    def due(self, now_ns: int) -> bytes | None:
        """The bytes to send now, if it is time."""
        if self._next_ns is not None and now_ns < self._next_ns:
            return None
        self._next_ns = now_ns + self._resend_ns
        self._resend_ns = min(2 * self._resend_ns, LAST_RESEND_NS)
        return self._data

    def unsent(self, now_ns: int) -> None:
        """Nobody was there: try again soon, and begin anew with the waiting."""
        self._next_ns, self._resend_ns = now_ns + 50 * _MS, FIRST_RESEND_NS

    def wake_ns(self, now_ns: int) -> int:
        return now_ns if self._next_ns is None else self._next_ns

    def received(self, data: bytes) -> Receipt | None:
        """The end, where `data` is an answer that ends it. Anything else is ignored."""
        try:
            ack = decode(data, Ack)
        except PayloadError:
            return None
        if ack.id != self.frame.id or ack.status == "busy":
            return None
        self.accepted = True
        if ack.status == "accepted" and self._until_done:
            return None
        return Receipt(ack.id, ack.status, ack.detail)


class Commander:
    """Sends commands. `client` names the sender: keep it to resend a command under its id from another process.

        with Commander("tcp://127.0.0.1:5560") as commander:
            print(commander.send("go forward", timeout=5).status)

    Raises TimeoutError where there was no final answer in time: whether the command was done is not known then, and it is
    safe to send it again with the same `command_id`.
    """

    def __init__(self, endpoint: str, *, client: str = "", clock: Clock | None = None) -> None:
        self.endpoint = endpoint
        self.client = client or f"commander-{uuid.uuid4().hex[:12]}"
        self._clock = clock or SystemClock()
        self._context: zmq.Context[Any] | None = None
        self._socket: Any = None

    def send(
        self,
        text: str,
        *,
        timeout: float = 10.0,
        wait: Literal["accepted", "done"] = "done",
        command_id: str = "",
        lang: str = "en",
    ) -> Receipt:
        """Send one command and wait until it was accepted, or until every effect of it was acknowledged (`done`)."""
        with self:
            frame = CommandFrame(text=text, id=command_id or uuid.uuid4().hex, client=self.client, lang=lang)
            session = CommandSession(frame, until_done=wait == "done")
            until = self._clock.now() + int(timeout * 1e9)
            while (now := self._clock.now()) < until:
                data = session.due(now)
                if data is not None:
                    try:
                        self._socket.send(data, zmq.DONTWAIT)
                    except zmq.Again:
                        session.unsent(now)
                wait_ms = max(0, -(-(min(session.wake_ns(now), until) - now) // _MS))
                if not self._socket.poll(wait_ms):
                    continue
                frames = self._socket.recv_multipart()
                receipt = session.received(frames[0]) if len(frames) == 1 else None
                if receipt is not None:
                    return receipt
        what = "it was accepted, but is not done" if session.accepted else f"no answer from {self.endpoint}"
        raise TimeoutError(f"{text[:60]!r} (id {frame.id}): {what} after {timeout:g} s")

    async def asend(
        self,
        text: str,
        *,
        timeout: float = 10.0,
        wait: Literal["accepted", "done"] = "done",
        command_id: str = "",
        lang: str = "en",
    ) -> Receipt:
        """As `send`, without blocking the event loop; each call has a connection of its own."""
        other = Commander(self.endpoint, client=self.client, clock=self._clock)
        return await asyncio.to_thread(other.send, text, timeout=timeout, wait=wait, command_id=command_id, lang=lang)

    def __enter__(self) -> Self:
        if self._context is None:
            self._context = zmq.Context()
            self._socket = dealer(self._context, self.endpoint)
            self._depth = 0
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._context is not None and self._depth == 0:
            self._socket.close(linger=200)
            self._context.term()
            self._context = self._socket = None
