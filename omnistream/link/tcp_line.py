"""The end of a TCP connection that calls and sends: what the other end has not read is kept, and goes again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from omnistream.link.pieces import cut
from omnistream.link.tcp_terms import BATCH, READ, WINDOW, in_ms, tune

if TYPE_CHECKING:
    from omnistream.link.tcp import TcpTransport

__all__ = ["TcpLine"]

_log = logging.getLogger("omnistream.link")
_LARGEST = 1 << 30


class TcpLine:
    """A DEALER to one address. What the other end has not read yet is kept, and goes again on a new connection."""

    def __init__(self, transport: TcpTransport, context: zmq.Context[Any], address: str) -> None:
        self._transport, self._address = transport, address
        self._loop = asyncio.get_running_loop()
        self._id = os.urandom(8)
        self._kept: deque[bytes] = deque()
        self._bytes = 0
        self._first = self._going = self._next = 0  # numbers: the oldest kept, the next for the socket, the next of all
        self._timer: asyncio.TimerHandle | None = None
        self._socket: zmq.Socket[Any] | None = None
        timing, keys = transport.timing, transport.keys
        s = context.socket(zmq.DEALER)
        tune(s, timing, address)
        s.setsockopt(zmq.ROUTING_ID, b"L" + self._id)
        s.setsockopt(zmq.IMMEDIATE, 1)
        s.setsockopt(zmq.RECONNECT_IVL, in_ms(timing.again_s))
        s.setsockopt(zmq.RECONNECT_IVL_MAX, in_ms(timing.again_most_s))
        s.setsockopt(zmq.CONNECT_TIMEOUT, in_ms(timing.silence_s))
        s.curve_serverkey, s.curve_publickey, s.curve_secretkey = keys.server_public, keys.client_public, keys.client_secret
        self._monitor = s.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._fds = [int(s.getsockopt(zmq.FD)), int(self._monitor.getsockopt(zmq.FD))]
        try:
            s.connect(address)
        except zmq.ZMQError as error:  # not an address: its peer is told of elsewhere
            _log.warning("there is no way to %s: %s", address, error)
        self._socket = s
        self._loop.add_reader(self._fds[0], self._ready)
        self._loop.add_reader(self._fds[1], self._joined)
        self._loop.call_soon(self._joined)

    def send(self, parts: list[Any]) -> None:
        if self._socket is None:
            return
        sizes = [len(p) for p in parts]
        if max(sizes) > _LARGEST:
            self._transport.garbage(f"a batch with {max(sizes)} bytes in one piece is too large, and was not sent")
            return
        if self._bytes + sum(sizes) > WINDOW:
            self.close()
            self._transport.broken(f"{self._address} has not read {self._bytes >> 20} MiB that were sent to it")
            return
        for more, buffers in cut(parts):
            self._kept.append(b"".join((BATCH.pack(self._id, self._next, more), *buffers)))
            self._bytes += len(self._kept[-1])
            self._next += 1
        self._pump()
        if self._timer is None:
            self._wait()

    def _pump(self) -> None:
        """Give the socket what it takes. What comes in meanwhile its descriptor does not tell of, so that is asked."""
        s = self._socket
        if s is None:
            return
        with contextlib.suppress(zmq.Again):
            while self._going < self._next:
                s.send(self._kept[self._going - self._first], zmq.NOBLOCK, copy=False)
                self._going += 1
        if int(s.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._loop.call_soon(self._ready)

    def _ready(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(zmq.Again):
            while True:
                self._heard(self._socket.recv(zmq.NOBLOCK))
        self._pump()

    def _heard(self, data: bytes) -> None:
        if len(data) != READ.size:
            return
        line, read, again = READ.unpack(data)
        if line != self._id or read > self._next:
            return
        if read > self._first:
            self._wait()
        while self._first < read:
            self._bytes -= len(self._kept.popleft())
            self._first += 1
        self._going = self._first if again else max(self._going, self._first)

    def _joined(self) -> None:
        """A connection was made: all that is kept goes by it."""
        if self._socket is None:
            return
        with contextlib.suppress(zmq.Again):
            while True:
                if parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self._going = self._first
        self._socket.getsockopt(zmq.EVENTS)  # the socket itself may not have seen it yet
        self._pump()

    def _wait(self) -> None:
        """Look again later whether what is kept has been read."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(2 * self._transport.timing.silence_s, self._late, self._first)

    def _late(self, first: int) -> None:
        self._timer = None
        if self._socket is None or not self._kept:
            return
        if self._first == first:
            self._going = first
            self._pump()
        self._wait()

    def close(self) -> None:
        s, self._socket = self._socket, None
        if s is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        for fd in self._fds:
            self._loop.remove_reader(fd)
        s.disable_monitor()
        self._monitor.close(0)
        s.close(0)
        self._kept.clear()
        self._transport.forget(self)
