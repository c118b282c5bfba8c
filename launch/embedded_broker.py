"""The embedded MQTT broker (amqtt, MQTT 3.1.1, loopback): what launch/broker.py starts where no mosquitto is installed.

python launch/embedded_broker.py PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker

#: CONNACK: unacceptable protocol version (MQTT 3.1.1, section 3.2.2.3).
REFUSED = bytes([0x20, 2, 0, 1])
PATIENCE_S = 10.0


class _Begun(StreamReaderAdapter):
    """A stream of which the first bytes were read already."""

    def __init__(self, begin: bytes, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._begin = begin

    async def read(self, n: int = -1) -> bytes:
        if not self._begin:
            return await super().read(n)
        taken, self._begin = (self._begin, b"") if n < 0 else (self._begin[:n], self._begin[n:])
        rest = n - len(taken)
        return taken if rest == 0 else taken + await super().read(rest if n >= 0 else -1)


async def _begin(reader: asyncio.StreamReader) -> bytes:
    """What a CONNECT begins with: its type, its length in 1 to 4 bytes, "MQTT" and the version (3.1.1, section 3.1)."""
    begin = await reader.readexactly(2)
    while begin[-1] & 0x80 and len(begin) < 5:
        begin += await reader.readexactly(1)
    return begin + await reader.readexactly(7)


async def serve(port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    amqtt would read an MQTT 5 CONNECT as one of 3.1.1 and wait for bytes that never come, and a client that falls back would
    wait for it: so we look at the version first.
    """
    anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": {"type": "external"}}, "plugins": anonymous})
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            begin = await asyncio.wait_for(_begin(reader), PATIENCE_S)
            if begin[-5:-1] != b"MQTT" or begin[-1] == 4:
                await broker.external_connected(_Begun(begin, reader), StreamWriterAdapter(writer), "default")
                return
            writer.write(REFUSED)
            await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass  # it has gone, or never said who it is
        finally:
            writer.close()

    await broker.start()
    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await ended.wait()
    server.close()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(broker.shutdown(), 1)


if __name__ == "__main__":
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)
    asyncio.run(serve(int(sys.argv[1])))
