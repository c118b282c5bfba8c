"""A source of large frames that ends, and a sink that keeps none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from omnistream.message import Message, VideoFrame
from omnistream.node import Context, Sink, Source


@dataclass(kw_only=True)
class Frames(Source):
    """`count` frames, each full of its own number."""

    count: int = 30

    async def run(self, ctx: Context) -> AsyncIterator[VideoFrame]:
        for n in range(self.count):
            yield VideoFrame(np.full((160, 320), n, np.uint8))
            await asyncio.sleep(0.002)


@dataclass(kw_only=True)
class Looks(Sink):
    async def write(self, frame: Message[VideoFrame]) -> None:
        image = frame.payload.image
        assert (image == image[0, 0]).all()
