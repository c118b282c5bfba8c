"""CPU memory shown to other processes, in the place of a GPU's: torch's own files in /dev/shm, opened by name."""

from __future__ import annotations

import math
import os
from typing import Any

import torch

from omnistream.errors import PayloadError


class FileSharing:
    """What `CudaSharing` does, with a storage in a file."""

    def __init__(self, blind: bool = False) -> None:
        self.blind = blind
        self.shown = 0
        self.abandoned: list[Any] = []

    def can_show(self, tensor: Any) -> bool:
        return tensor.device.type == "cpu" and tensor.numel() > 0

    def show(self, tensor: Any) -> tuple[Any, tuple[Any, ...]]:
        self.shown += 1
        kept = tensor.detach().clone()
        manager, name, size = kept.untyped_storage()._share_filename_cpu_()
        return kept, (manager, name, size, str(kept.dtype).removeprefix("torch."), tuple(kept.shape))

    def open(self, ticket: Any) -> Any:
        if self.blind:
            raise PayloadError("it cannot be seen")
        manager, name, size, dtype, shape = ticket
        if math.prod(shape) * getattr(torch, dtype).itemsize > size:
            raise PayloadError("a ticket for more than there is")
        shared = torch.UntypedStorage._new_shared_filename_cpu(manager, name, size)
        return torch.empty(0, dtype=getattr(torch, dtype)).set_(shared, 0, shape)

    def abandon(self, ticket: Any) -> None:
        self.abandoned.append(ticket)

    def make_trial(self) -> tuple[Any, bytes]:
        secret = os.urandom(16)
        return torch.tensor(list(secret), dtype=torch.uint8), secret

    def read(self, tensor: Any) -> bytes:
        return tensor.numpy().tobytes()
