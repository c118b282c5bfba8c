"""Channels between workers of one process: batches are handed over by reference, in order, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PipeHub", "PipePost"]

Receive = Callable[[str, list[tuple[Any, ...]]], None]


class PipeHub:
    """Where the workers of one process find each other: name -> (incarnation, its receiving function)."""

    def __init__(self) -> None:
        self.homes: dict[str, tuple[int, Receive]] = {}


class PipePost:
    """One worker's channels. `connect` names the life of a peer that is meant; batches to another life are dropped."""

    def __init__(self, hub: PipeHub, name: str, incarnation: int) -> None:
        self._hub, self._name, self._incarnation = hub, name, incarnation
        self._peers: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()

    def open(self, receive: Receive) -> None:
        self._hub.homes[self._name] = (self._incarnation, receive)

    def connect(self, peer: str, incarnation: int, address: str) -> None:
        self._peers[peer] = incarnation

    def disconnect(self, peer: str) -> None:
        self._peers.pop(peer, None)

    def send(self, peer: str, items: list[tuple[Any, ...]]) -> None:
        self._loop.call_soon(self._deliver, peer, self._peers[peer], items)

    def send_all(self, batches: Mapping[str, list[tuple[Any, ...]]]) -> None:
        for peer, items in batches.items():
            self.send(peer, items)

    def _deliver(self, peer: str, incarnation: int, items: list[tuple[Any, ...]]) -> None:
        home = self._hub.homes.get(peer)
        mine = self._hub.homes.get(self._name)
        if home is not None and home[0] == incarnation and mine is not None and mine[0] == self._incarnation:
            home[1](self._name, items)
