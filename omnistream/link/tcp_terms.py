"""What both ends of a TCP connection agree on: the run's keys, how long silence may last, and what stands before a message."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import zmq

__all__ = ["BATCH", "READ", "WINDOW", "LinkKeys", "Timing", "in_ms", "tune"]

#: Before a message: its line, its number on it, and whether more of its batch follows (pieces.py).
BATCH = struct.Struct("<8sQ?")
#: What a line is told: itself, how many of its batches were read, and whether those after them are to come again.
READ = struct.Struct("<8sQ?")
#: Kept for one peer at most. Credits keep far below it; a peer that reads nothing and grants no less is a fault.
WINDOW = 2 << 30
#: No message is longer: a piece of a batch, or the sizes of its parts (pieces.py).
_LONGEST = 16 << 20
#: What the system may hold of a connection's bytes: heartbeats wait behind them, so a slow wire is one of half a megabit.
_UNSENT = 256 << 10


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


def in_ms(seconds: float) -> int:
    return int(seconds * 1000)


def tune(socket: zmq.Socket[Any], timing: Timing, address: str) -> None:
    """What both ends have in common."""
    for option, value in (
        (zmq.LINGER, 0), (zmq.MAXMSGSIZE, _LONGEST), (zmq.HANDSHAKE_IVL, in_ms(timing.silence_s)),
        (zmq.HEARTBEAT_IVL, in_ms(timing.beat_s)), (zmq.HEARTBEAT_TIMEOUT, in_ms(timing.silence_s)),
        (zmq.HEARTBEAT_TTL, in_ms(timing.silence_s)), (zmq.IPV6, int("[" in address)), (zmq.SNDBUF, _UNSENT),
    ):  # fmt: skip
        socket.setsockopt(option, value)
