"""A node that says how many threads its process uses, by the libraries' own account, and how nice it is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from omnistream.message import Event, Message
from omnistream.node import Context, Node


@dataclass(kw_only=True)
class Counts(Node):
    """Loads torch when it opens, as a model does, and leaves in a file what it finds at each step."""

    file: str
    blocking: ClassVar[bool] = True

    async def open(self, ctx: Context) -> None:
        import torch

        self.ctx, self.torch, self.said = ctx, torch, list[Any]()

    async def step(self, item: Message[Event]) -> Event:
        from threadpoolctl import threadpool_info

        blas = [d["num_threads"] for d in threadpool_info() if d["user_api"] == "blas"]
        said: dict[str, Any] = {"ctx": self.ctx.threads, "torch": self.torch.get_num_threads(), "blas": blas}
        said["variables"] = {n: os.environ.get(n) for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        said["nice"] = os.getpriority(os.PRIO_PROCESS, 0)
        self.said.append(said)
        Path(self.file).write_text("".join(json.dumps(s) + "\n" for s in self.said))
        return Event("m", {"v": "counted"})
