"""One page over HTTP, made anew for each who asks: enough of the protocol for a scraper or a browser, and no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from omnistream.errors import OmniStreamError

__all__ = ["Page"]

_LINE, _LINES, _ASKING_S, _AT_ONCE = 4096, 64, 5.0, 16
#: How a conversation may end before its answer: by who asks, or as the run ends.
_CUT_OFF = (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError)


class Page:
    """`render` gives the text of /metrics. Nothing of a run can be changed here."""

    def __init__(self, render: Callable[[], str], content_type: str) -> None:
        self._render, self._type = render, content_type
        self._server: asyncio.AbstractServer | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self, host: str, port: int) -> None:
        """Serve there; 0 is any free port. Raises OmniStreamError where that cannot be."""
        try:
            self._server = await asyncio.start_server(self._met, host, port, limit=_LINE)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OmniStreamError(
                f"metrics cannot be served at {host}:{port} ({reason}); name another with --metrics"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(*_CUT_OFF):
                wanted = await asyncio.wait_for(_request(reader), _ASKING_S) if len(self._open) <= _AT_ONCE else None
                status, body = self._answer(wanted)
                said = (
                    f"HTTP/1.1 {status}",
                    f"Content-Type: {self._type}",
                    f"Content-Length: {len(body)}",
                    "Connection: close",
                )
                head = "".join(f"{line}\r\n" for line in (*said, ""))
                writer.write(head.encode() + (b"" if wanted is not None and wanted[0] == "HEAD" else body))
                await asyncio.wait_for(writer.drain(), _ASKING_S)
        finally:
            self._open.discard(writer)
            writer.close()

    def _answer(self, wanted: tuple[str, str] | None) -> tuple[str, bytes]:
        if wanted is None:
            return "503 Service Unavailable", b"too many ask at once\n"
        method, path = wanted
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", b"only GET\n"
        if path.partition("?")[0] != "/metrics":
            return "404 Not Found", b"the page is /metrics\n"
        return "200 OK", self._render().encode()


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Method and path; what else it says is read and left. Raises ValueError for what is no request."""
    method, path, _ = (await reader.readline()).decode("ascii").split()
    for _ in range(_LINES):
        if not (await reader.readline()).strip():
            return method, path
    raise ValueError("too many header lines")
