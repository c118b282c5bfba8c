"""GPU memory shown to other processes of the host, by CUDA IPC.

What torch's own multiprocessing would pickle goes as plain values. torch counts in a file who looks at what, and keeps memory
that is looked at; for a process that died that count is taken back here, by whoever showed it.

Work on the current stream is waited for by who opens a tensor; a node that computes on a stream of its own waits for it
before it emits.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from typing import Any

from omnistream.errors import PayloadError

__all__ = ["CudaSharing", "cuda_sharing"]

#: What array fields may hold, as torch names it.
_SIZES = {"uint8": 1, "uint16": 2, "int16": 2, "float32": 4}
_TICKET = (str, bytes, int, int, bytes, int, bytes, bool, str, tuple, int)


def cuda_sharing() -> CudaSharing | None:
    """None unless this process has loaded torch, and torch sees a GPU."""
    torch: Any = sys.modules.get("torch")
    return CudaSharing(torch) if torch is not None and torch.cuda.is_available() else None


class CudaSharing:
    """Shows the memory of the current GPU, by its own name: its number may differ in another process.

    A ticket is: the GPU, the allocation's handle, size and offset of the storage, the file and place of its count, an event
    and whether it is to be waited for, dtype, shape, and where the tensor begins in the storage.
    """

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._device: Any = torch.device("cuda", torch.cuda.current_device())
        self._numbers = {self._name(i): i for i in range(torch.cuda.device_count())}

    def _name(self, number: int) -> str:
        return str(self._torch.cuda.get_device_properties(number).uuid)

    def can_show(self, tensor: Any) -> bool:
        return tensor.device == self._device and tensor.layout == self._torch.strided and tensor.numel() > 0

    def show(self, tensor: Any) -> tuple[Any, tuple[Any, ...]]:
        kept = tensor.detach().contiguous()
        _, handle, size, offset, counts, place, event, wait = kept.untyped_storage()._share_cuda_()
        dtype = str(kept.dtype).removeprefix("torch.")
        where = (self._name(self._device.index), bytes(handle), int(size), int(offset), bytes(counts), int(place))
        return kept, (*where, bytes(event), bool(wait), dtype, tuple(kept.shape), int(kept.storage_offset()))

    def open(self, ticket: Any) -> Any:
        torch = self._torch
        if not (isinstance(ticket, tuple) and len(ticket) == len(_TICKET) and all(map(isinstance, ticket, _TICKET))):
            raise PayloadError("that is no ticket")
        name, handle, size, offset, counts, place, event, wait, dtype, shape, start = ticket
        whole = all(isinstance(n, int) and n >= 0 for n in (*shape, start, size, offset, place))
        if dtype not in _SIZES or not whole or (start + math.prod(shape)) * _SIZES[dtype] > size:
            raise PayloadError("a ticket for more than there is")
        number = self._numbers.get(name)
        if number is None:
            raise PayloadError(f"the GPU {name[:40]} is not to be seen from here")
        try:
            torch.cuda.init()
            with torch.cuda.device(number):
                shared = torch.UntypedStorage._new_shared_cuda(number, handle, size, offset, counts, place, event, wait)
                return torch.empty(0, dtype=getattr(torch, dtype), device=shared.device).set_(shared, start, shape)
        except RuntimeError as error:
            raise PayloadError(str(error).splitlines()[0][:200]) from None

    def abandon(self, ticket: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the count is gone with the process that held it, or was taken back already
            self._torch.UntypedStorage._release_ipc_counter_cuda(ticket[4], ticket[5])
        self._torch.cuda.ipc_collect()

    def make_trial(self) -> tuple[Any, bytes]:
        secret = os.urandom(16)
        return self._torch.tensor(list(secret), dtype=self._torch.uint8, device=self._device), secret

    def read(self, tensor: Any) -> bytes:
        return tensor.cpu().numpy().tobytes()
