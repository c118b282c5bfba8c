"""Lines that a person types at the terminal."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from omnistream.errors import DeviceError
from omnistream.message import Text
from omnistream.node import Context, Emit, Source
from omnistream_drivers._reader import Reader

__all__ = ["ConsoleCommands", "Lines"]

MAX_CHARACTERS = 1000
_READ_BYTES = 4096
_ROOM = 64
_REFUSED = "{n} typed lines were refused: longer than 1000 characters or not UTF-8 text"


class Lines:
    """Bytes into lines of text, without I/O. None for one that is too long or not UTF-8; empty lines are left out."""

    def __init__(self, most: int = MAX_CHARACTERS) -> None:
        self._most = most
        self._rest = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[str | None]:
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._add(part)
            yield from self.end()
        self._add(rest)

    def end(self) -> Iterator[str | None]:
        """The line as far as it has come, at a newline or at the end of the input."""
        raw, too_long = bytes(self._rest), self._too_long
        self._rest.clear()
        self._too_long = False
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            yield None
            return
        if too_long or len(text) > self._most:
            yield None
            return
        text = "".join(c if c.isprintable() else " " for c in text).strip()
        if text:
            yield text

    def _add(self, part: bytes) -> None:
        if self._too_long or len(self._rest) + len(part) > 4 * self._most:  # a character has at most 4 bytes
            self._too_long = True
            self._rest.clear()
        else:
            self._rest += part


@dataclass(kw_only=True)
class ConsoleCommands(Source):
    """Each line of standard input as a `Text`; end of input (Ctrl-D) ends the stream.

    A line longer than 1000 characters, or not UTF-8, is refused and counted (``refused``); control characters become spaces.
    While the graph has no room, nothing more is read. `lang`: the language of the texts.

    Raises DeviceError at launch where there is no input to read: a background job and a worker of the ray engine have none.

    ```yaml
    graph: echo
    nodes:
      typed: {use: console_commands}
      show:  {use: console, inputs: {message: typed}}
    ```
    """

    lang: str = "en"

    def __post_init__(self) -> None:
        self._reader: Reader[str] | None = None

    async def open(self, ctx: Context) -> None:
        if ctx.live:
            _input(ctx.name)

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Text]]:
        number = _input(ctx.name)
        self._reader = Reader(ctx, lambda reader: _read(reader, number), room=_ROOM, wait=True, counted={"refused": _REFUSED})
        try:
            while (line := await self._reader.next()) is not None:
                yield Emit(Text(line, self.lang))
        finally:
            self._reader.stop()


def _read(reader: Reader[str], number: int) -> None:
    lines = Lines()
    poll = select.poll()
    poll.register(number, select.POLLIN | select.POLLHUP)
    data = b" "
    while data and not reader.stopping:
        reader.flush()
        if poll.poll(100):
            data = os.read(number, _READ_BYTES)
            for line in lines.feed(data) if data else lines.end():
                if line is None:
                    reader.count("refused")
                else:
                    reader.put(line)


def _input(name: str) -> int:
    """The file descriptor of standard input."""
    try:
        number = sys.stdin.fileno()
        where = os.fstat(number)
        nothing = Path(os.devnull).stat()
    except (AttributeError, OSError, ValueError) as error:
        raise DeviceError(f"{name}: {_NONE}") from error
    if where.st_rdev == nothing.st_rdev:
        raise DeviceError(f"{name}: {_NONE}")
    if os.isatty(number) and _in_background(number):
        raise DeviceError(f"{name}: {_NONE}")  # to read would stop the process
    return number


def _in_background(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # it controls another session, whose jobs do not concern us
        return False


_NONE = (
    "there is no terminal or pipe to read commands from (a background job has none, nor has a worker of the ray engine); "
    "run with --engine local in the foreground, or use zmq_commands or mqtt_commands"
)
