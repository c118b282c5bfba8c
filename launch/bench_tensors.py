"""How long a tensor on a GPU takes to be seen by another process there: shown by CUDA IPC, or copied through pinned memory.

python launch/bench_tensors.py [--times 200]

From just before it is shown, or copied to the host, until the other process has it on its GPU and its last byte is read back:
p50 and p99, ms. `the floor` is the same conversation without a tensor. What a link adds of its own, bench_link.py shows.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import time
from multiprocessing import resource_tracker, shared_memory
from typing import IO, Any

import msgpack
import numpy as np
import torch

from omnistream.link.cuda import CudaSharing, cuda_sharing
from omnistream.tensor import to_array

SHAPES = ((480, 640, 3), (1080, 1920, 3), (1080, 1920, 12), (4, 1080, 1920, 12))


def put(to: IO[bytes], value: Any) -> None:
    data: Any = msgpack.packb(value)
    to.write(struct.pack("<I", len(data)) + data)
    to.flush()


def take(source: IO[bytes]) -> Any:
    head = source.read(4)
    return msgpack.unpackb(source.read(struct.unpack("<I", head)[0]), use_list=False) if head else None


def borrow() -> None:
    """The other process: opens what it is told of, and answers with its last byte."""
    sharing, source, to = found(), sys.stdin.buffer, sys.stdout.buffer
    torch.zeros(1, device="cuda")
    put(to, "ready")
    memory: dict[str, shared_memory.SharedMemory] = {}
    while told := take(source):
        way, what = told
        if way == "shown":
            tensor = sharing.open(what)
        elif way == "copied":
            name, shape = what
            if name not in memory:
                memory[name] = shared_memory.SharedMemory(name)
                resource_tracker.unregister(f"/{name}", "shared_memory")  # else ours unlinks, as we end, what is not ours
            host = np.ndarray(shape, np.uint8, memory[name].buf)
            tensor = torch.from_numpy(host).pin_memory().cuda(non_blocking=True)
        else:
            put(to, 0)
            continue
        put(to, int(tensor.view(-1)[-1]))
        del tensor


def found() -> CudaSharing:
    sharing = cuda_sharing()
    if sharing is None:
        sys.exit("there is no GPU here, or torch is not built for it (make test-gpu TORCH=cuda): nothing was measured")
    return sharing


class Other:
    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, __file__, "--borrow"], stdin=pipe, stdout=pipe)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        take(self._out)

    def ask(self, way: str, what: Any) -> int:
        put(self._in, (way, what))
        return take(self._out)

    def end(self) -> None:
        self._in.close()
        self._process.wait()


def one(other: Other, sharing: CudaSharing, way: str, tensor: torch.Tensor, memory: shared_memory.SharedMemory) -> float:
    """Milliseconds. `tensor` is new, but torch may well have shown its memory before, as in a running graph.

    The other process holds nothing of it by then: torch keeps a handle open only while a tensor lies in what it opened
    (getIpcDevPtr in c10/cuda/CUDACachingAllocator.cpp), so that opening it is within the time that is taken.
    """
    torch.cuda.synchronize()
    began = time.perf_counter()
    if way == "shown":
        kept, ticket = sharing.show(tensor)
        answer = other.ask(way, ticket)
        del kept
    elif way == "copied":
        np.copyto(np.ndarray(tensor.shape, np.uint8, memory.buf), to_array(tensor))
        answer = other.ask(way, (memory.name, tuple(tensor.shape)))
    else:
        return 1e3 * (time.perf_counter() - began) if other.ask(way, None) == 0 else np.nan
    took = 1e3 * (time.perf_counter() - began)
    assert answer == int(tensor.view(-1)[-1])
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--borrow", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.borrow:
        borrow()
        return
    sharing, other = found(), Other()
    memory = shared_memory.SharedMemory(create=True, size=max(int(np.prod(s)) for s in SHAPES))
    print(f"{torch.cuda.get_device_name()}; torch {torch.__version__}; {options.times} times each\n")
    print(f"{'MB':>8}  {'way':12}{'p50 ms':>9}{'p99 ms':>9}{'GB/s':>8}")
    try:
        for shape in SHAPES:
            for way in ("the floor", "shown", "copied"):
                took: list[float] = []
                for n in range(options.times + 5):
                    tensor = torch.full(shape, n % 251, dtype=torch.uint8, device="cuda")
                    took.append(one(other, sharing, way, tensor, memory))
                    torch.cuda.ipc_collect()
                p50, p99 = np.quantile(took[5:], [0.5, 0.99])
                size = float(np.prod(shape)) / 1e6
                speed = "" if way == "the floor" else f"{size / p50:8.1f}"
                print(f"{size:8.1f}  {way:12}{p50:9.2f}{p99:9.2f}{speed}", flush=True)
    finally:
        memory.unlink()  # whatever becomes of the other
        other.end()
        memory.close()


if __name__ == "__main__":
    main()
