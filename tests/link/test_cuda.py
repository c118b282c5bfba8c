"""A GPU's memory seen from two processes. Run by `make test-gpu TORCH=cuda` only."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

import msgpack
import numpy as np
import pytest
import torch

from omnistream.errors import PayloadError
from omnistream.link.cuda import CudaSharing, cuda_sharing
from omnistream.link.wire import encode_payload
from omnistream.message import Features
from omnistream.tensor import to_array

pytestmark = pytest.mark.gpu

BORROWER = """
import sys, struct, msgpack, torch
from omnistream.link.cuda import cuda_sharing
sharing = cuda_sharing()
while head := sys.stdin.buffer.read(4):
    tensor = sharing.open(msgpack.unpackb(sys.stdin.buffer.read(struct.unpack("<I", head)[0]), use_list=False))
    print(tensor.device.type, float(tensor.double().sum()), flush=True)
    tensor += 1
    torch.cuda.synchronize()
    print("added", flush=True)
    sys.stdin.buffer.read(1)
    del tensor
    print("let go", flush=True)
"""


@pytest.fixture
def sharing() -> CudaSharing:
    found = cuda_sharing()
    assert found is not None, "there is no GPU, or torch is not built for it: make test-gpu TORCH=cuda"
    return found


class Borrower:
    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", BORROWER], stdin=pipe, stdout=pipe)

    def say(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def lend(self, ticket: Any) -> None:
        data: Any = msgpack.packb(ticket)
        self.say(len(data).to_bytes(4, "little") + data)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()


@pytest.fixture
def borrower():
    made = Borrower()
    yield made
    made.process.kill()
    made.process.wait()


def allocated() -> int:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.ipc_collect()
    return torch.cuda.memory_allocated()


def test_another_process_sees_the_same_memory_and_lets_it_go(sharing: CudaSharing, borrower: Borrower) -> None:
    before = allocated()
    values = torch.arange(3_000_000, dtype=torch.float32, device="cuda").reshape(1000, 3000)
    for part in (values, values[10:20], values[:, ::3]):
        kept, ticket = sharing.show(part)
        expected = float(part.double().sum())
        borrower.lend(ticket)
        assert borrower.line() == f"cuda {expected}"
        assert borrower.line() == "added"
        assert float(kept.double().sum()) == expected + part.numel()
        borrower.say(b".")
        assert borrower.line() == "let go"
        del kept, part
    del values
    assert allocated() == before


def test_what_a_dead_borrower_held_is_had_back(sharing: CudaSharing, borrower: Borrower) -> None:
    before = allocated()
    kept, ticket = sharing.show(torch.ones(4_000_000, device="cuda"))
    borrower.lend(ticket)
    assert borrower.line() == "cuda 4000000.0"
    assert borrower.line() == "added"
    borrower.process.kill()
    borrower.process.wait()
    del kept
    assert allocated() > before  # torch keeps what it believes to be looked at
    sharing.abandon(ticket)
    assert allocated() == before


def test_forged_tickets_are_refused(sharing: CudaSharing) -> None:
    _, ticket = sharing.show(torch.ones(100, 100, device="cuda"))
    for place, value in ((0, "GPU-0"), (1, b"x" * 64), (2, 10), (8, "float64"), (9, (1 << 40, 2)), (9, (-1,)), (10, 1 << 40)):
        with pytest.raises(PayloadError):
            sharing.open((*ticket[:place], value, *ticket[place + 1 :]))
    for malformed in ((), None, ticket[:-1]):
        with pytest.raises(PayloadError):
            sharing.open(malformed)


def test_through_pinned_memory_come_the_same_bytes() -> None:
    rows = np.random.default_rng(1).random((500, 300), np.float32)
    tensor = torch.from_numpy(rows).cuda()
    array = to_array(tensor)
    assert not array.flags.writeable
    assert np.array_equal(array, rows)
    assert encode_payload(Features(tensor)) == encode_payload(Features(rows))
    assert encode_payload(Features(tensor[::2, ::3])) == encode_payload(Features(rows[::2, ::3]))
    tensor *= 2
    assert np.array_equal(array, rows)  # a copy
