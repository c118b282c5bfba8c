"""Parts over ZeroMQ `tcp://`, between hosts. Only who holds the run's keys is heard; a connection that breaks loses nothing.

A batch, or each piece of a large one, is numbered on its line and kept until the other end has said that it was read. When
the connection comes again all that is kept goes again; what had been read already is known by its number, so nothing is read
twice or out of order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils import z85

from omnistream.errors import LinkError
from omnistream.link.pieces import Assembly
from omnistream.link.tcp_line import TcpLine
from omnistream.link.tcp_terms import BATCH, READ, WINDOW, LinkKeys, Timing, tune

__all__ = ["TcpTransport"]

_log = logging.getLogger("omnistream.link")
_MOST_LINES = 4096
_TURN = 64
#: What was read is said after so long, so many batches, or so many bytes.
_SAY_S, _SAY_BATCHES, _SAY_BYTES = 0.02, 64, 4 << 20


class _Read:
    """How far a line of a peer has been read, and what of that it has not been told."""

    __slots__ = ("assembly", "batches", "next", "size", "told_again")

    def __init__(self) -> None:
        self.assembly = Assembly(WINDOW)
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
        tune(r, self.timing, address)
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
        if len(frames) != 2 or len(frames[1].buffer) <= BATCH.size:
            self.garbage("a peer sent what is no batch")
            return
        data = frames[1].buffer
        line, number, more = BATCH.unpack_from(data)
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
            parts = read.assembly.add(more, data[BATCH.size :])
        except ValueError as error:
            read.assembly = Assembly(WINDOW)
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
            self._router.send_multipart([b"L" + line, READ.pack(line, read.next, again)], zmq.NOBLOCK)
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
