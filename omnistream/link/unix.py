"""Parts over Unix stream sockets, written and read on the event loop itself: one wake of the peer, and no thread between.

A frame is a mark, the number of parts, their lengths, and the parts. What a socket does not take at once is kept and
goes when it can. Only processes of the same user are heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnistream.errors import LinkError
from omnistream.link.post import HostPost

__all__ = ["Frames", "UnixPost", "UnixTransport", "frame"]

_HEAD = struct.Struct("<4sI")
_MARK = b"OS1\n"
_MOST_PARTS = 1 << 20
_LARGEST = 1 << 30
_CHUNK = 1 << 18
#: Reads of one socket before the event loop has its turn.
_TURN = 16
#: Up to this size the parts of a frame are put together, which costs less than a long vector.
_SMALL = 1 << 16
_VECTOR = 512


def frame(parts: list[Any]) -> list[Any]:
    """The buffers that carry these parts."""
    sizes = [len(p) for p in parts]
    head = _HEAD.pack(_MARK, len(parts)) + struct.pack(f"<{len(parts)}Q", *sizes)
    if sum(sizes) <= _SMALL:
        return [b"".join((head, *parts))]
    return [head, *parts]


class Frames:
    """Bytes in, lists of parts out. Parts are read-only views of what was fed, copied only where a frame came in pieces.

    Raises ValueError for what is no frame; nothing more can be read after that.
    """

    def __init__(self) -> None:
        self._rest = b""  # of a frame whose size is not known yet
        self._whole = bytearray()  # of one whose size is known
        self._filled = 0

    def room(self) -> memoryview | None:
        """Where the next bytes are best put, if most of a large frame is still to come."""
        return memoryview(self._whole)[self._filled :] if self._whole else None

    def filled(self, n: int) -> list[list[memoryview]]:
        """`n` bytes were put into `room`."""
        self._filled += n
        if self._filled < len(self._whole):
            return []
        whole, self._whole, self._filled = self._whole, bytearray(), 0
        return self._cut(memoryview(whole).toreadonly())

    def feed(self, data: bytes) -> list[list[memoryview]]:
        """Frames that are complete now."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        return self._cut(memoryview(data))

    def _cut(self, data: memoryview) -> list[list[memoryview]]:
        found: list[list[memoryview]] = []
        at = 0
        while len(data) - at >= _HEAD.size:
            mark, count = _HEAD.unpack_from(data, at)
            if mark != _MARK or not 0 < count <= _MOST_PARTS:
                raise ValueError("these bytes are no frame")
            start = at + _HEAD.size + 8 * count
            if len(data) < start:
                break
            sizes = struct.unpack_from(f"<{count}Q", data, at + _HEAD.size)
            total = sum(sizes)
            if total > _LARGEST:
                raise ValueError(f"a frame of {total} bytes is too large")
            end = start + total
            if len(data) < end:
                self._whole = bytearray(end - at)
                self._filled = len(data) - at
                self._whole[: self._filled] = data[at:]
                return found
            parts: list[memoryview] = []
            for size in sizes:
                parts.append(data[start : start + size])
                start += size
            found.append(parts)
            at = end
        self._rest = bytes(data[at:])
        return found


class UnixLine:
    """A connection to one address, for sending."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[memoryview] = deque()
        self._socket: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(0)
        try:
            self._socket.connect(address.removeprefix("unix://"))
        except OSError:  # nobody is there: the peer is dead, and its end is told elsewhere
            self.close()

    def send(self, parts: list[Any]) -> None:
        if self._socket is None:
            return
        buffers = frame(parts)
        if not self._waiting:
            if not self._write(buffers) or not buffers:
                return
            self._loop.add_writer(self._socket, self._ready)
        self._waiting.extend(memoryview(bytes(b)) for b in buffers)  # what they lie in is not ours

    def _write(self, buffers: list[Any]) -> bool:
        """Take from `buffers` what can be written now. False if the other end is gone."""
        assert self._socket is not None
        try:
            while buffers:
                n = self._socket.sendmsg(buffers[:_VECTOR]) if len(buffers) > 1 else self._socket.send(buffers[0])
                while buffers and n >= len(buffers[0]):
                    n -= len(buffers.pop(0))
                if n:
                    buffers[0] = memoryview(buffers[0])[n:]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return False
        return True

    def _ready(self) -> None:
        if self._socket is None:
            return
        buffers = [self._waiting.popleft() for _ in range(min(_VECTOR, len(self._waiting)))]
        if self._write(buffers):
            self._waiting.extendleft(reversed(buffers))
            if not self._waiting:
                self._loop.remove_writer(self._socket)

    def close(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
            self._waiting.clear()


class UnixTransport:
    """A socket that listens at `path`, and the connections that were made to it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.address = f"unix://{path}"
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._readers: set[socket.socket] = set()
        self._inbox = memoryview(bytearray(_CHUNK))  # a new one for each read would be mapped and touched anew
        self._deliver: Callable[[list[Any]], None] = lambda _: None
        self._garbage: Callable[[str], None] = lambda _: None

    def listen(self, deliver: Callable[[list[Any]], None], garbage: Callable[[str], None]) -> None:
        self._deliver, self._garbage = deliver, garbage
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(0)
        try:
            self._listener.bind(self._path)
        except OSError as error:
            raise LinkError(f"there can be no socket at {self._path}: {error.strerror}") from None
        self._listener.listen(1024)
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while self._listener is not None:
                connection, _ = self._listener.accept()
                user = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
                if user not in (os.geteuid(), 0):
                    connection.close()
                    continue
                connection.settimeout(0)
                self._readers.add(connection)
                self._loop.add_reader(connection, self._ready, connection, Frames())

    def _ready(self, connection: socket.socket, frames: Frames) -> None:
        """Read what is there, as far as one turn goes; the loop calls again while there is more."""
        for _ in range(_TURN):
            n = 0
            try:
                room = frames.room()
                if room is not None:
                    n = connection.recv_into(room)
                    found = frames.filled(n) if n else None
                else:
                    n = connection.recv_into(self._inbox)
                    found = frames.feed(bytes(self._inbox[:n])) if n else None
            except (BlockingIOError, InterruptedError):
                return
            except ValueError as error:
                self._garbage(f"a connection was closed: {error}")
                found = None
            except OSError:
                found = None
            if found is None:
                self._forget(connection)
                return
            while found:
                parts = found.pop(0)
                try:
                    self._deliver(parts)
                except BaseException:
                    for other in found:
                        self._loop.call_soon(self._deliver, other)
                    raise
            if connection not in self._readers or (n < _CHUNK and frames.room() is None):
                return

    def _forget(self, connection: socket.socket) -> None:
        self._loop.remove_reader(connection)
        self._readers.discard(connection)
        connection.close()

    def dial(self, address: str) -> UnixLine:
        return UnixLine(address)

    async def close(self) -> None:
        if self._listener is None:
            return
        self._loop.remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        for connection in list(self._readers):
            self._forget(connection)
        Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240  one unlink, at the end


class UnixPost(HostPost):
    """A post between processes of one host, with its socket in the run's own directory, which only its user can enter."""

    def __init__(self, run_dir: str, name: str, incarnation: int) -> None:
        path = str(Path(run_dir, f"{name}.{incarnation}.sock"))
        if len(path) > 100:
            raise LinkError(f"the socket path {path} is too long for the system; set TMPDIR to a shorter one")
        super().__init__(run_dir, name, incarnation, UnixTransport(path))
