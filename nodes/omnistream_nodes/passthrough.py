"""A node that hands on what it is given: the least there is, for measuring a hop and for a first look."""

from __future__ import annotations

from dataclasses import dataclass

from omnistream.message import Payload
from omnistream.node import Node

__all__ = ["PassThrough"]


@dataclass(kw_only=True)
class PassThrough(Node):
    """Any payload -> the same payload, untouched.

    ```yaml
    graph: passthrough
    nodes:
      ticks: {use: tick, with: {rate_hz: 10, count: 10}}
      same: {use: passthrough, inputs: {message: ticks}}
      show: {use: console, inputs: {message: same}}
    ```
    """

    async def step(self, message: Payload) -> Payload:
        return message
