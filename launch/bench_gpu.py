"""Step times of the networks on a GPU, for 1 to 64 streams and more, and how many streams one GPU takes within the budget.

python launch/bench_gpu.py [--device cuda] [--steps 300]

Of the ears a step is 20 ms of each stream's sound; of the fused reasoner, one decision of each, all kinds of evidence there.
`streams`: how many would fill the device, in batches of that size: for the ears so many steps of 20 ms, for the reasoner one
decision of each within 25 ms. With CUDA graphs, and without. `--device cpu` tries it out where there is no GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from omnistream_models.ears.export import load_ears
from omnistream_models.ears.features import MELS
from omnistream_models.ears.manifest import shipped_folder
from omnistream_models.fused import export, tokens
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.weights import shipped
from omnistream_models.streams import Recorded, Streams

BATCHES = (1, 2, 4, 8, 16, 32, 64, 256)
EARS_MS, DECISION_MS = 20.0, 25.0


def timed(step: Callable[[], Any], steps: int, device: str) -> np.ndarray:
    """Milliseconds of each of `steps`, done and not only asked for."""
    took: list[float] = []
    for _ in range(steps + 10):
        began = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        took.append((time.perf_counter() - began) * 1e3)
    return np.array(took[10:])


def ears(count: int, dtype: torch.dtype, device: str, *, recorded: bool) -> Callable[[], Any]:
    network: Any = load_ears(shipped_folder())[0].to(device, dtype)
    chunk = torch.randn(count, 2, MELS, device=device, dtype=dtype)
    if recorded:
        streams = Streams(network, count, (2, MELS))
        return lambda: streams.step(chunk)
    state = network.init_state(count)

    def step() -> None:
        nonlocal state
        with torch.inference_mode():
            _, state = network.step(chunk, state)

    return step


def reasoner(count: int, dtype: torch.dtype, device: str, *, recorded: bool) -> Callable[[], Any]:
    model = export.load(shipped())[0].to(device)
    items = [tokens.tokens(scene(9, n % 32).evidence) for n in range(count)]
    x = {name: torch.from_numpy(v).to(device) for name, v in tokens.batch(items).items()}

    def decide(*given: torch.Tensor) -> Any:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, dtype != torch.float32, cache_enabled=False):
            return model(dict(zip(x, given, strict=True)))[2:]

    there = list(x.values())
    run = Recorded(decide, there) if recorded else decide
    return lambda: run(*there)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    device: str = options.device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU here, or torch is not built for it (make test-gpu TORCH=cuda): nothing was measured")
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU, one thread"
    torch.set_num_threads(1)
    print(f"{name}; torch {torch.__version__}; {options.steps} steps each\n")
    print(f"{'network':10}{'type':>10}{'graph':>7}{'batch':>7}{'p50 ms':>9}{'p99 ms':>9}{'streams':>10}")
    for what, make, budget in (("ears", ears, EARS_MS), ("reasoner", reasoner, DECISION_MS)):
        for dtype in (torch.float32, torch.bfloat16):
            for recorded in (False, True) if device == "cuda" else (True,):
                for batch in BATCHES:
                    took = timed(make(batch, dtype, device, recorded=recorded), options.steps, device)
                    p50, p99 = np.quantile(took, [0.5, 0.99])
                    kind = str(dtype).removeprefix("torch.")
                    graph = "yes" if recorded and device == "cuda" else "-"
                    print(
                        f"{what:10}{kind:>10}{graph:>7}{batch:7}{p50:9.2f}{p99:9.2f}{batch * budget / p99:10,.0f}", flush=True
                    )


if __name__ == "__main__":
    main()
