"""What ears cost: parameters, bytes, and the time of one 20 ms step as `spoken_commands` takes it, on one thread.

Run: ``.venv/bin/python launch/bench_ears.py shipped my-conformer`` (seconds). The folders take turns, 500 steps at a time, so
that whatever else the host does meets all of them; `step` is the log-mels and the network, p50 and p95 of all steps, in ms.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from bench import machine  # pyright: ignore[reportMissingImports]

from omnistream.clock import perf_ns
from omnistream.errors import OmniStreamError
from omnistream_models.ears.export import load_ears
from omnistream_models.ears.manifest import read_manifest, shipped_folder
from omnistream_nodes.early_ears import STEP, EarlyEars

_TURN, _WARM = 500, 20


def step_ms(ears: EarlyEars, sound: np.ndarray) -> list[float]:
    """How long each step took, but for the first ones."""
    took: list[float] = []
    for samples in sound:
        begun = perf_ns()
        ears.step(samples)
        took.append((perf_ns() - begun) / 1e6)
    return took[_WARM:]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("ears", nargs="*", default=["shipped"], help="folders of trained ears")
    options.add_argument("--turns", type=int, default=8)
    given = options.parse_args()
    sound = np.random.default_rng(0).normal(0, 900, (_WARM + _TURN, STEP)).astype(np.int16)
    opened = {name: EarlyEars(name, 1) for name in given.ears}
    took: dict[str, list[float]] = {name: [] for name in opened}
    for _ in range(given.turns):
        for name, ears in opened.items():
            took[name] += step_ms(ears, sound)
    print(f"{machine()}\n\nears                     network       parameters  onnx MB  step ms: p50    p95  of a core")
    for name, times in took.items():
        folder = shipped_folder() if name == "shipped" else Path(name).expanduser()
        network = str(read_manifest(folder).shape.get("network", "convolutions"))
        parameters = sum(p.numel() for p in load_ears(folder)[0].parameters())
        p50, p95 = np.percentile(times, [50, 95])
        size = (folder / "ears.onnx").stat().st_size / 1e6
        print(f"{name:24} {network:12} {parameters:11,} {size:8.2f} {p50:13.3f} {p95:6.3f} {p50 / 20:9.1%}")


if __name__ == "__main__":
    try:
        main()
    except OmniStreamError as error:
        sys.exit(str(error))
