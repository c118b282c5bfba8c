"""A node that is slower than a camera."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from zlib import crc32

from omnistream.message import Text, VideoFrame
from omnistream.node import Node


@dataclass(kw_only=True)
class Looks(Node):
    """Says the checksum of what it sees."""

    ms: int = 120

    async def step(self, frame: VideoFrame) -> Text:
        await asyncio.sleep(self.ms / 1000)
        return Text(f"saw {crc32(frame.image.tobytes()):08x} {frame.image.shape}")
