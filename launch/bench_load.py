"""What idle workers cost, what a second to an eighth reader of a large frame costs, and how old frames get under overload.

python launch/bench_load.py [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import psutil  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
#: From when to when the processor's time is counted, in seconds after the start.
FROM_S, TO_S = 3.0, 13.0

IDLE = """graph: idle
nodes:
  never: {use: "bench_nodes:Numbers", with: {count: 1, rate_hz: 0.001}, on: a}
  end: {use: "bench_nodes:Discard", inputs: {item: never}, on: b}
"""
VGA = """graph: vga
nodes:
  camera: {use: "bench_nodes:Patterns", with: {shape: [480, 640, 3], rate_hz: 50}, on: a}
  end: {use: "bench_nodes:Discard", inputs: {item: camera}, on: b}
"""


def fan_out(readers: int, folder: str) -> str:
    """A 1080p frame ten times a second to so many readers, each a worker, which write down when they have it."""
    ends = "".join(
        f'  k{i}: {{use: "bench_link:Probe", with: {{path: {folder}/{i}}}, inputs: {{item: camera}}, on: k{i}}}\n'
        for i in range(readers)
    )
    camera = 'camera: {use: "bench_nodes:Patterns", with: {shape: [1080, 1920, 3], rate_hz: 10}, on: a}'
    return f"graph: fan\nnodes:\n  {camera}\n{ends}"


async def run(text: str) -> tuple[Any, float]:
    """The outcome, and how much of one core the workers took."""
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    plan = make_plan(parse_graph(text, str(HERE / "load.yaml")), "planned")
    clock, home = SystemClock(), RunDir()
    crew = RayCrew(plan, RunOptions(offset_ns=clock.offset_ns, run_dir=home.path))
    conductor = Conductor(plan, crew, clock, fresh=False)
    share = 0.0

    async def watch() -> None:
        nonlocal share
        while not conductor.outcome.started_ns:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(FROM_S)
        before = used(crew)
        await asyncio.sleep(TO_S - FROM_S)
        share = (used(crew) - before) / (TO_S - FROM_S)

    task = asyncio.create_task(watch())
    try:
        return await conductor.run(for_s=TO_S + 0.5), share
    finally:
        task.cancel()
        home.remove()


def used(crew: Any) -> float:
    """Seconds of processor time that the workers have taken."""
    return seconds([psutil.Process(pid) for pid in crew.pids.values()])


def seconds(processes: list[Any]) -> float:
    return sum(t.user + t.system for t in (p.cpu_times() for p in processes))


def plain_ray() -> float:
    """How much of one core two actors of Ray's own take that are never called; in a process apart, with a Ray of its own."""
    done = subprocess.run([sys.executable, __file__, "--plain-ray"], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def plain_ray_here() -> float:
    import ray

    class Idle:
        async def pid(self) -> int:
            return os.getpid()

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        actors: list[Any] = [ray.remote(Idle).options(num_cpus=0).remote() for _ in range(2)]
        processes = [psutil.Process(ray.get(a.pid.remote())) for a in actors]
        time.sleep(FROM_S)
        before = seconds(processes)
        time.sleep(TO_S - FROM_S)
        return (seconds(processes) - before) / (TO_S - FROM_S)
    finally:
        ray.shutdown()


def last_reader_ms(readers: int) -> float:
    """Median time from a frame's stamp until the last of its readers has it."""
    last: dict[int, int] = defaultdict(int)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(fan_out(readers, folder)))
        for i in range(readers):
            for seq, _, took, _ in json.loads(Path(folder, str(i)).read_text()):
                last[seq] = max(last[seq], took)
    return statistics.median(last.values()) / 1e6


def ages(overload: float) -> list[float]:
    """How old frames are when the step of a node of 40 ms begins, in those 40 ms, at so many times what it can take."""
    period_ms = 40
    with tempfile.TemporaryDirectory() as folder:
        text = (
            f'graph: overload\nnodes:\n  camera: {{use: "bench_nodes:Patterns", with: {{shape: [480, 640, 3], '
            f"rate_hz: {overload * 1000 / period_ms}}}, on: a}}\n"
            f'  slow: {{use: "bench_nodes:Slow", with: {{step_ms: {period_ms}, path: {folder}/ages}}, on: b,\n'
            f"    inputs: {{item: {{from: camera, queue: newest}}}}}}\n"
        )
        asyncio.run(run(text))
        return [age / 1e6 / period_ms for age in json.loads(Path(folder, "ages").read_text())[5:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-ray", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain_ray:
        print(plain_ray_here())
        return
    print(f"load at start: {os.getloadavg()[0]:.2f}; medians of {options.rounds} interleaved rounds\n")
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        found["two idle actors of plain Ray, % of a core"].append(100 * plain_ray())
        found["two idle workers, % of a core"].append(100 * asyncio.run(run(IDLE))[1])
        found["VGA at 50 Hz between two, % of a core"].append(100 * asyncio.run(run(VGA))[1])
        found["1080p to one reader, ms"].append(last_reader_ms(1))
        found["1080p to the last of eight, ms"].append(last_reader_ms(8))
    for name, values in found.items():
        print(f"{name:44s} {statistics.median(values):8.2f}   ({min(values):.2f} to {max(values):.2f})")
    one, eight = (statistics.median(found[n]) for n in ("1080p to one reader, ms", "1080p to the last of eight, ms"))
    print(f"{'eight readers / one':44s} {eight / one:8.2f} x")
    print("\nage of a frame when a step of 40 ms begins, in steps (p50, p99, max):")
    for overload in (1.5, 4, 10):
        found_ages = sorted(ages(overload))
        p50, p99 = found_ages[len(found_ages) // 2], found_ages[int(len(found_ages) * 0.99)]
        print(f"  {overload:g} times what it can take {p50:8.2f} {p99:8.2f} {found_ages[-1]:8.2f}   (n={len(found_ages)})")


if __name__ == "__main__":
    main()
