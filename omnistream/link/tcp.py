"""Parts over ZeroMQ `tcp://`, between hosts. Only who holds the run's keys is heard; a connection that breaks loses nothing.

A batch, or each piece of a large one, is numbered on its line and kept until the other end has said that it was read. When
the connection comes again all that is kept goes again; what had been read already is known by its number, so nothing is read
twice or out of order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import struct
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from omnistream.errors import LinkError
from omnistream.link.pieces import Assembly, cut

__all__ = ["LinkKeys", "TcpTransport", "Timing"]

_log = logging.getLogger("omnistream.link")
#: Before a message: its line, its number on it, and whether more of its batch follows (pieces.py).
_BATCH = struct.Struct("<8sQ?")
#: What a line is told: itself, how many of its batches were read, and whether those after them are to come again.
_READ = struct.Struct("<8sQ?")
_LARGEST = 1 << 30
#: No message is longer: a piece of a batch, or the sizes of its parts (pieces.py).
_LONGEST = 16 << 20
#: Kept for one peer at most. Credits keep far below it; a peer that reads nothing and grants no less is a fault.
_WINDOW = 2 << 30
_MOST_LINES = 4096
_TURN = 64
#: What the system may hold of a connection's bytes: heartbeats wait behind them, so a slow wire is one of half a megabit.
_UNSENT = 256 << 10
#: What was read is said after so long, so many batches, or so many bytes.
_SAY_S, _SAY_BATCHES, _SAY_BYTES = 0.02, 64, 4 << 20


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """One run's keys: a pair for the end that listens and one for the end that calls. Every worker of the run has both."""

    server_public: bytes = field(repr=False)
    server_secret: bytes = field(repr=False)
    client_public: bytes = field(repr=False)
    client_secret: bytes = field(repr=False)

    @classmethod
    def make(cls) -> LinkKeys:
        return cls(*zmq.curve_keypair(), *zmq.curve_keypair())


@dataclass(frozen=True, slots=True)
class Timing:
    """How soon a silent connection is given up and made again. One that needs longer than `silence_s` for a piece of a
    batch, or for what the system holds, is taken for silent."""

    beat_s: float = 1.0
    silence_s: float = 5.0
    again_s: float = 0.1
    again_most_s: float = 1.0


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _tune(socket: zmq.Socket[Any], timing: Timing, address: str) -> None:
    """What both ends have in common."""
    for option, value in (
        (zmq.LINGER, 0), (zmq.MAXMSGSIZE, _LONGEST), (zmq.HANDSHAKE_IVL, _ms(timing.silence_s)),
        (zmq.HEARTBEAT_IVL, _ms(timing.beat_s)), (zmq.HEARTBEAT_TIMEOUT, _ms(timing.silence_s)),
        (zmq.HEARTBEAT_TTL, _ms(timing.silence_s)), (zmq.IPV6, int("[" in address)), (zmq.SNDBUF, _UNSENT),
    ):  # fmt: skip
        socket.setsockopt(option, value)


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
        _tune(s, timing, address)
        s.setsockopt(zmq.ROUTING_ID, b"L" + self._id)
        s.setsockopt(zmq.IMMEDIATE, 1)
        s.setsockopt(zmq.RECONNECT_IVL, _ms(timing.again_s))
        s.setsockopt(zmq.RECONNECT_IVL_MAX, _ms(timing.again_most_s))
        s.setsockopt(zmq.CONNECT_TIMEOUT, _ms(timing.silence_s))
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
        if self._bytes + sum(sizes) > _WINDOW:
            self.close()
            self._transport.broken(f"{self._address} has not read {self._bytes >> 20} MiB that were sent to it")
            return
        for more, buffers in cut(parts):
            self._kept.append(b"".join((_BATCH.pack(self._id, self._next, more), *buffers)))
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
        if len(data) != _READ.size:
            return
        line, read, again = _READ.unpack(data)
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


class _Read:
    """How far a line of a peer has been read, and what of that it has not been told."""

    __slots__ = ("assembly", "batches", "next", "size", "told_again")

    def __init__(self) -> None:
        self.assembly = Assembly(_WINDOW)
        self.next = self.batches = self.size = 0
        self.told_again = -1


class TcpTransport:
    """A ROUTER at `address`, a name or number by which peers reach this host, and at the first free one of `ports`.

    Where the address is not this host's own (a container's, seen from outside), it listens on all that are. `broken` is
    called with a sentence where a peer does not read what was sent to it, though it was not told to be dead.
    Raises LinkError if none of the ports is free.
    """

    def __init__(
        self, keys: LinkKeys, address: str, ports: tuple[int, int] | None = None, timing: Timing | None = None
    ) -> None:
        self.keys = keys
        self.timing = timing or Timing()
        self.broken: Callable[[str], None] = lambda text: _log.error("%s", text)
        self.garbage: Callable[[str], None] = lambda _: None
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[Any] = zmq.Context()
        self._deliver: Callable[[list[Any]], None] | None = None
        self._lines: set[TcpLine] = set()
        self._read: OrderedDict[bytes, _Read] = OrderedDict()
        self._due: set[bytes] = set()
        self._saying: asyncio.TimerHandle | None = None
        self._strangers: set[str] = set()
        self._door: zmq.Socket[Any] = self._context.socket(zmq.REP)
        self._door.bind("inproc://zeromq.zap.01")
        self._loop.add_reader(self._door, self._knock)
        r = self._router = self._context.socket(zmq.ROUTER)
        _tune(r, self.timing, address)
        r.setsockopt(zmq.ROUTER_HANDOVER, 1)
        r.setsockopt(zmq.ZAP_DOMAIN, b"omnistream")
        r.curve_server, r.curve_secretkey = True, keys.server_secret
        try:
            self.address = f"tcp://{address}:{self._bind(address, ports)}"
        except LinkError:
            self._close()
            raise

    def _bind(self, address: str, ports: tuple[int, int] | None) -> int:
        numbers = ["*"] if ports is None else [str(n) for n in range(ports[0], ports[1] + 1)]
        for host in (address, "*"):
            for number in numbers:
                try:
                    self._router.bind(f"tcp://{host}:{number}")
                except zmq.ZMQError as error:
                    if error.errno == zmq.EADDRINUSE:
                        continue
                    if host == "*":
                        raise LinkError(f"nobody can listen at port {number}: {error}") from None
                    break  # not an address of this host
                return int(str(self._router.getsockopt_string(zmq.LAST_ENDPOINT)).rpartition(":")[2])
            else:
                break
        raise LinkError(f"no port of {numbers[0]}-{numbers[-1]} is free at {address}; give `ports` a larger range")

    # -- who is heard ------------------------------------------------------------------------------

    def _knock(self) -> None:
        """Answer ZeroMQ's question whether a caller's key is the run's (RFC 27)."""
        with contextlib.suppress(zmq.Again):
            while not self._door.closed:
                words = self._door.recv_multipart(zmq.NOBLOCK)
                welcome = words[5:] == [b"CURVE", z85.decode(self.keys.client_public)]
                if not welcome:
                    self._refused(words[3].decode(errors="replace"))
                self._door.send_multipart(
                    [b"1.0", words[1], b"200" if welcome else b"400", b"", b"peer" if welcome else b"", b""]
                )

    def _refused(self, address: str) -> None:
        if address not in self._strangers and len(self._strangers) < 100:
            self._strangers.add(address)
            self.garbage(f"{address} called without the keys of this run, and was not heard")

    # -- in ----------------------------------------------------------------------------------------

    def listen(self, deliver: Callable[[list[Any]], None], garbage: Callable[[str], None]) -> None:
        self._deliver, self.garbage = deliver, garbage
        self._loop.add_reader(self._router, self._ready)
        self._loop.call_soon(self._ready)

    def _ready(self) -> None:
        """Read until there is nothing more: the descriptor tells only of what comes after that."""
        for _ in range(_TURN):
            if self._deliver is None:
                return
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                self._take(frames, self._deliver)
            except BaseException:
                self._loop.call_soon(self._ready)
                raise
        self._loop.call_soon(self._ready)

    def _take(self, frames: list[Any], deliver: Callable[[list[Any]], None]) -> None:
        if len(frames) != 2 or len(frames[1].buffer) <= _BATCH.size:
            self.garbage("a peer sent what is no batch")
            return
        data = frames[1].buffer
        line, number, more = _BATCH.unpack_from(data)
        read = self._read.get(line)
        if read is None:
            read = self._read[line] = _Read()
            if len(self._read) > _MOST_LINES:
                self._read.popitem(last=False)
        self._read.move_to_end(line)
        if number > read.next and read.told_again != read.next:  # something was lost with a connection
            read.told_again = read.next
            self._say(line, again=True)
        fresh = number == read.next
        if fresh:
            read.next += 1
            read.batches += 1
            read.size += len(data)
        self._due.add(line)
        if read.batches >= _SAY_BATCHES or read.size >= _SAY_BYTES:
            self._say(line)
        elif self._saying is None:
            self._saying = self._loop.call_later(_SAY_S, self._say_all)
        if not fresh:
            return
        try:
            parts = read.assembly.add(more, data[_BATCH.size :])
        except ValueError as error:
            read.assembly = Assembly(_WINDOW)
            self.garbage(str(error))
            return
        if parts is not None:
            deliver(parts)

    def _say_all(self) -> None:
        self._saying = None
        for line in list(self._due):
            self._say(line)

    def _say(self, line: bytes, *, again: bool = False) -> None:
        """Tell a line how far it has been read."""
        self._due.discard(line)
        read = self._read.get(line)
        if read is None or self._router.closed:
            return
        read.batches = read.size = 0
        with contextlib.suppress(zmq.ZMQError):  # it is away, and is told when it comes again
            self._router.send_multipart([b"L" + line, _READ.pack(line, read.next, again)], zmq.NOBLOCK)
        if self._deliver is not None and int(self._router.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._loop.call_soon(self._ready)

    # -- out ---------------------------------------------------------------------------------------

    def dial(self, address: str) -> TcpLine:
        line = TcpLine(self, self._context, address)
        self._lines.add(line)
        return line

    def forget(self, line: TcpLine) -> None:
        self._lines.discard(line)

    async def close(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._router.closed:
            return
        for line in list(self._lines):
            line.close()
        if self._saying is not None:
            self._saying.cancel()
        self._loop.remove_reader(self._door)
        if self._deliver is not None:
            self._deliver = None
            self._loop.remove_reader(self._router)
        self._router.close(0)
        self._door.close(0)
        self._context.destroy(linger=0)
