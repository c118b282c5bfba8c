"""Where a broker is, under which name we are there, and what a topic may be. Pure."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

__all__ = ["Broker", "check_topic", "host_client_id"]


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's address: mqtt://[user:password@]host[:port], or mqtts:// for TLS."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None

    @staticmethod
    def parse(url: str) -> Broker:
        """Raises ValueError, without repeating a password, unless `url` is one."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or parts.query:
            shown = re.sub(r"//[^@/]*@", "//...@", url)
            raise ValueError(f"url: {shown!r} is no broker; write one like 'mqtt://127.0.0.1:1883' or 'mqtts://user:pass@host'")
        tls = parts.scheme == "mqtts"
        user, password = (unquote(x) if x is not None else None for x in (parts.username, parts.password))
        return Broker(parts.hostname, port or (8883 if tls else 1883), tls, user, password)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def check_topic(option: str, topic: str) -> None:
    """Raises ValueError unless one can publish to `topic`."""
    if not topic or any(c in topic for c in "+#\0") or len(topic.encode(errors="replace")) > 1000 or topic.startswith("$"):
        raise ValueError(f"{option}: {topic[:80]!r} is no topic; write one like 'ar/captions', without +, # and a leading $")


def host_client_id(name: str) -> str:
    """The same for every start of this node on this host: a broker then ends the connection of one that died."""
    return f"omnistream-{socket.gethostname()}-{name}"[:64]
