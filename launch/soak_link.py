"""Messages of all sizes between Ray workers, one of which is killed at random every few seconds, with checksums on.

python launch/soak_link.py [--minutes 10] [--every 5] [--seed 0]

Promised: the per-edge law holds at the end, no payload is torn, nothing is left in shared memory, and memory is flat: the slope
is printed. The exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["OMNISTREAM_CHECKSUMS"] = "1"

import numpy as np  # noqa: E402
import psutil  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

GRAPH = """graph: soak
nodes:
  small: {use: "bench_nodes:Numbers", with: {count: 100000000, rate_hz: 200}}
  vga: {use: "bench_nodes:Patterns", with: {shape: [480, 640, 3], rate_hz: 30}}
  hd: {use: "bench_nodes:Patterns", with: {shape: [1080, 1920, 3], rate_hz: 5}}
  icon: {use: "bench_nodes:Patterns", with: {shape: [16, 16, 3], rate_hz: 50}}
  a: {use: passthrough, inputs: {message: small}, on: a}
  b: {use: passthrough, inputs: {message: vga}, on: b}
  c: {use: passthrough, inputs: {message: {from: hd, queue: {block: 4}}}, on: c}
  d: {use: passthrough, inputs: {message: {from: icon, queue: {drop_oldest: 8}}}, on: d}
  ka: {use: "bench_nodes:Discard", inputs: {item: a}, on: ka}
  kb: {use: "bench_nodes:Uniform", inputs: {item: b}, on: kb}
  kv: {use: "bench_nodes:Uniform", inputs: {item: vga}, on: ka}
  kc: {use: "bench_nodes:Uniform", inputs: {item: c}, on: kb}
  kd: {use: "bench_nodes:Uniform", inputs: {item: d}, on: ka}
"""


def shared_bytes(run_dir: str) -> int:
    """What the run holds of shared memory."""
    return sum(p.stat().st_size for p in Path(run_dir, "shm").resolve().glob("*"))


async def soak(minutes: float, every_s: float, seed: int) -> bool:
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    plan = make_plan(parse_graph(GRAPH, str(HERE / "soak.yaml")), "planned")
    clock, home, r = SystemClock(), RunDir(), random.Random(seed)
    memory = Path(home.memory or "/nowhere")
    crew = RayCrew(plan, RunOptions(offset_ns=clock.offset_ns, run_dir=home.path))
    conductor = Conductor(plan, crew, clock, fresh=False, restarts_per_minute=1000)
    kills, samples = 0, []

    async def killer() -> None:
        nonlocal kills
        while not conductor.outcome.started_ns:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        began = time.monotonic()
        while True:
            await asyncio.sleep(every_s)
            own = psutil.Process().memory_info().rss
            workers = sum(psutil.Process(pid).memory_info().rss for n, pid in crew.pids.items() if n not in conductor.down)
            samples.append(((time.monotonic() - began) / 60, own / 1e6, workers / 1e6, shared_bytes(home.path) / 1e6))
            alive = [w.name for w in plan.workers if w.name not in conductor.down]
            if alive:
                crew.kill(r.choice(alive))
                kills += 1

    task = asyncio.create_task(killer())
    try:
        outcome = await conductor.run(for_s=minutes * 60)
    finally:
        task.cancel()
        home.remove()
    return report(outcome, kills, np.array(samples), memory)


def report(outcome: Any, kills: int, samples: Any, memory: Path) -> bool:
    wrong: list[str] = []
    for key, edge in outcome.edges.items():
        if edge["sent"] != edge["pending"] + edge["held"] + sum(edge["fates"].values()):
            wrong.append(f"{key}: {edge}")
    for key, edge in outcome.received.items():
        if edge["received"] != sum(edge["fates"].values()) + edge["held"]:
            wrong.append(f"{key}, as received: {edge}")
    wrong += [f"{row.where}: {row.detail}" for row in outcome.rows if row.reason in ("error", "garbage")]
    if memory.exists():
        wrong.append(f"{memory} is left")
    print(f"{kills} kills in {outcome.duration_s:.0f} s; restarts {sum(outcome.restarts.values())}")
    print("handed over: " + ", ".join(f"{n} {s['out']}" for n, s in outcome.nodes.items() if s["role"] == "sink"))
    print("ledger: " + ", ".join(f"{k} {v}" for k, v in sorted(outcome.ledger.items())))
    settled = samples[len(samples) // 2 :]  # what is bounded has come to its bound
    for i, name in enumerate(("this process", "all workers", "shared memory"), 1):
        slope = np.polyfit(settled[:, 0], settled[:, i], 1)[0] if len(settled) > 2 else float("nan")
        low, high = settled[:, i].min(), settled[:, i].max()
        print(f"memory of {name:14s} {low:8.1f} to {high:8.1f} MB, {slope:+.2f} MB a minute")
    print("\n".join(wrong[:20]) if wrong else "all promises kept")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=5, help="seconds between kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, temporary directory {tempfile.gettempdir()}", flush=True)
    return 0 if asyncio.run(soak(options.minutes, options.every, options.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
