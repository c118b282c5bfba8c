"""Which way to which peer: a Unix socket and shared memory on the same host, TCP to all others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnistream.errors import LinkError
from omnistream.link.post import HostPost, Line
from omnistream.link.tcp import TcpTransport
from omnistream.link.tcp_terms import LinkKeys
from omnistream.link.unix import UnixTransport

__all__ = ["ClusterPost", "WaysTransport"]


class WaysTransport:
    """Listens on both ways. Its address is `HOST unix://PATH tcp://ADDRESS:PORT`; who dials it compares the host."""

    def __init__(self, host: str, path: str, tcp: TcpTransport) -> None:
        self._host = host
        self._unix = UnixTransport(path)
        self._tcp = tcp
        self.address = f"{host} {self._unix.address} {tcp.address}"

    def listen(self, deliver: Callable[[list[Any]], None], garbage: Callable[[str], None]) -> None:
        self._unix.listen(deliver, garbage)
        self._tcp.listen(deliver, garbage)

    def dial(self, address: str) -> Line:
        host, _, ways = address.partition(" ")
        unix, _, tcp = ways.rpartition(" ")  # a path may have spaces
        return self._unix.dial(unix) if host == self._host else self._tcp.dial(tcp)

    async def close(self) -> None:
        await self._unix.close()
        await self._tcp.close()


class ClusterPost(HostPost):
    """A post of a worker on the host `host` of a cluster. Raises LinkError if it cannot listen.

    `broken` is called with a sentence if a living peer on another host stops reading for good.
    """

    def __init__(
        self, run_dir: str, name: str, incarnation: int, *, host: str, keys: LinkKeys, address: str,
        ports: tuple[int, int] | None = None, broken: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        path = str(Path(run_dir, f"{name}.{incarnation}.sock"))
        if len(path) > 100:
            raise LinkError(f"the socket path {path} is too long for the system; set TMPDIR to a shorter one")
        tcp = TcpTransport(keys, address, ports)
        if broken is not None:
            tcp.broken = broken
        super().__init__(run_dir, name, incarnation, WaysTransport(host, path, tcp))
