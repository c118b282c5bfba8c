"""Nodes that pass tensors on, beside nodes that know arrays only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from omnistream.message import MS, Event, Features, VideoFrame
from omnistream.node import Context, Emit, Node, Sink, Source

#: What nodes of this process were given.
GIVEN: list[Any] = []


@dataclass(kw_only=True)
class Frames(Source):
    """Frames of 80 KiB, which go by shared memory between workers."""

    count: int = 6
    is_device = False

    async def run(self, ctx: Context) -> AsyncIterator[VideoFrame]:
        for i in range(1, self.count + 1):
            image = np.random.default_rng(i).integers(0, 255, (160, 170, 3), np.uint8)
            at = ctx.start_ns + i * 20 * MS
            if ctx.live:
                await ctx.clock.sleep_until(at)
            yield Emit(VideoFrame(image), stamp_ns=at)


@dataclass(kw_only=True)
class Encode(Node):
    """Rows of features as a tensor; `kind` is what it makes of them."""

    kind: str = "float32"
    device: str = "cpu"
    takes_tensors: ClassVar[bool] = True

    async def open(self, ctx: Context) -> None:
        import torch

        self.torch = torch

    async def step(self, frame: VideoFrame) -> Features:
        assert isinstance(frame.image, self.torch.Tensor)
        rows: Any = frame.image.to(self.torch.float32).reshape(-1, 170) / 255
        data = rows.numpy() if self.kind == "array" else rows.to(self.device, getattr(self.torch, self.kind))
        GIVEN.append(data)
        return Features(data)


@dataclass(kw_only=True)
class Halve(Node):
    """Takes tensors and gives tensors."""

    takes_tensors: ClassVar[bool] = True

    async def step(self, features: Features) -> Features:
        import torch

        assert isinstance(features.data, torch.Tensor)
        GIVEN.append(features.data)
        return Features(features.data / 2)


@dataclass(kw_only=True)
class Sums(Node):
    """Knows arrays only."""

    seen: int = field(default=0, init=False)

    async def step(self, features: Features) -> Event:
        assert type(features.data) is np.ndarray
        GIVEN.append(features.data)
        self.seen += 1
        return Event("sum", {"n": self.seen, "sum": float(features.data.sum()), "shape": list(features.data.shape)})


@dataclass(kw_only=True)
class Keeps(Sink):
    """Everything, whatever it is."""

    async def write(self, message: Features | Event) -> None:
        if isinstance(message, Features):
            assert type(message.data) is np.ndarray
