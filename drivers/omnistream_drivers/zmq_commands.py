"""Typed commands from clients over ZeroMQ: a ROUTER that clients' DEALERs connect to (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from omnistream.message import Text
from omnistream.node import Context, Emit, Source
from omnistream.protocol.limiter import Reports
from omnistream_drivers.command_desk import CommandDesk, Taken
from omnistream_drivers.zmq_actions import bind, check_endpoint

__all__ = ["ZmqCommands"]


@dataclass(kw_only=True)
class ZmqCommands(Source):
    """Commands from clients, each once: answered `accepted` when taken, and `done` or `lost` when all its effects are known.

    A client resends until it has the answer; its command is known by client and id, here and downstream, also after a restart.
    Text of more than 1000 characters is refused, a flood is answered `busy`, garbage is counted. `bind` to anything but
    loopback only on a network that you trust. Raises DeviceError where it cannot bind.

    ```yaml
    graph: one
    nodes:
      typed: {use: zmq_commands, with: {bind: "tcp://127.0.0.1:*"}}
      show: {use: console, inputs: {message: typed}}
    ```
    """

    bind: str  # where clients connect, such as tcp://127.0.0.1:5560 (port * takes a free one)

    def __post_init__(self) -> None:
        check_endpoint("bind", self.bind)
        self._zmq: Any = None

    async def open(self, ctx: Context) -> None:
        import zmq
        import zmq.asyncio

        self._nowait = int(zmq.DONTWAIT)
        self._desk = CommandDesk()
        self._reports = Reports(ctx.report)
        self._zmq = zmq.asyncio.Context()
        try:
            self._socket: Any = self._zmq.socket(zmq.ROUTER)
            self._socket.setsockopt(zmq.SNDHWM, 64)
            self._socket.setsockopt(zmq.RCVHWM, 64)  # while the graph has no room the rest waits with the clients
            self.endpoint = await bind(ctx, self._socket, "bind", self.bind)
        except BaseException:
            self._zmq = self._zmq.destroy(linger=0)
            raise

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Text]]:
        while True:
            peer, *frames = await self._socket.recv_multipart()
            now = ctx.clock.now()
            if len(frames) == 1:
                taken = self._desk.take(peer, frames[0], now, client=peer.hex())
            else:
                taken = Taken(fault=("garbage", f"{len(frames)} frames; a message is one"))
            if taken.fault is not None:
                self._reports.add(*taken.fault, now)
            if taken.answer is not None:
                self._send(peer, taken.answer)
            if taken.command is not None:
                text = Text(taken.command.text, taken.command.lang)
                yield Emit(text, origin=taken.origin, settled=partial(self._settled, taken.key))

    async def close(self) -> None:
        if self._zmq is not None:
            self._reports.flush()
            self._zmq = self._zmq.destroy(linger=200)

    def _settled(self, key: tuple[str, str], outcome: str) -> None:
        told = self._desk.settle(key, outcome)
        if told is not None and self._zmq is not None:
            self._send(*told)

    def _send(self, peer: bytes, data: bytes) -> None:
        """Answer if that can be at once; a client that missed it asks again."""
        self._socket.send_multipart([peer, data], flags=self._nowait).exception()
