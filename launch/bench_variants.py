"""What each variant of the shipped nodes costs: processor time for each second of the shipped recording, and each step's time.

python launch/bench_variants.py [--rounds N]      one thread; the variants take turns, so that all have the same neighbours
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import itertools
import os
import statistics
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from omnistream.message import SECOND  # noqa: E402
from omnistream.record import Recording  # noqa: E402
from omnistream.testing import context  # noqa: E402

RECORDING = Path(__file__).resolve().parent.parent / "graphs" / "recordings" / "voice_robot.mcap"


async def costs(make: Any, stream: str, variant: str, part: str) -> tuple[float, list[float]]:
    """Percent of one core, and the milliseconds of each step."""
    node, ctx = make(), context("bench", variant=variant, variants=(variant,))
    await node.open(ctx)
    steps: list[float] = []
    with Recording(RECORDING) as file:
        shown = [(t["start_ns"] - SECOND, t["end_ns"] + SECOND) for t in file.truth() if t["kind"] == "gesture"]
        messages = [
            m for m in file.messages(stream) if not part or (part == "hand") == any(a < m.stamp_ns < b for a, b in shown)
        ]
    used = time.process_time()
    for m in messages:
        ctx.now = m.stamp_ns
        began = time.perf_counter()
        given = node.step(m.payload)
        if inspect.isasyncgen(given):
            async for _ in given:
                pass
        else:
            await given
        steps.append((time.perf_counter() - began) * 1e3)
    used = time.process_time() - used
    await node.close()
    seconds = len(messages) * statistics.median(b.stamp_ns - a.stamp_ns for a, b in itertools.pairwise(messages)) / 1e9
    return 100 * used / seconds, steps


def main() -> None:
    from omnistream_nodes.hand_gesture import HandGesture
    from omnistream_nodes.speech_recognizer import SpeechRecognizer
    from omnistream_nodes.spoken_commands import SpokenCommands

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"load at start: {os.getloadavg()[0]:.2f}; medians of {options.rounds} interleaved rounds\n")
    print(f"{'node':20s} {'shown':10s} {'variant':12s} {'% of a core':>12s} {'p50 ms':>8s} {'p99 ms':>8s}")
    hands = (HandGesture, "camera", "hand"), (HandGesture, "camera", "none")
    for node, stream, part in (*hands, (SpeechRecognizer, "mic", ""), (SpokenCommands, "mic", "")):
        found: dict[str, list[tuple[float, float, float]]] = {v: [] for v in node.variants}
        for _ in range(options.rounds):
            for variant in node.variants:
                share, steps = asyncio.run(costs(node, stream, variant, part))
                steps.sort()
                found[variant].append((share, steps[len(steps) // 2], steps[int(len(steps) * 0.99)]))
        for variant, values in found.items():
            share, p50, p99 = (statistics.median(v[i] for v in values) for i in range(3))
            print(f"{node.__name__:20s} {part or 'speech':10s} {variant:12s} {share:12.1f} {p50:8.2f} {p99:8.2f}")


if __name__ == "__main__":
    main()
