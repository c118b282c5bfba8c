"""Frames at up to ten times what a graph can take: nothing late, nearly all of its best, no command lost; and plain Ray.

python launch/bench_overload.py [--seconds N] [--quick]

The steps wait for a device (20 and 12 ms), so that what the graph can take is 50 frames a second however busy the host is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
FIRST_MS, SECOND_MS, BUDGET_MS, CAN_HZ = 20.0, 12.0, 150, 50.0
FACTORS = (1.0, 1.5, 2.0, 4.0, 10.0)
LEAD_S, AFTER_S = 1.0, 3.0

GRAPH = """graph: overload
budget: {budget}ms
nodes:
  camera: {{use: "busy_nodes:Pulse", with: {{rate_hz: {rate}, seconds: {seconds}, after_hz: 25}}, on: camera}}
  detect: {{use: "busy_nodes:Wait", with: {{step_ms: {first}}}, inputs: {{frame: camera}}, on: eyes}}
  track:  {{use: "busy_nodes:Found", with: {{step_ms: {second}}}, inputs: {{frame: detect}}, on: hands}}
  end:    {{use: "busy_nodes:Nowhere", inputs: {{item: {{from: track, queue: newest}}}}, on: mind}}
  typed:  {{use: "bench_nodes:Numbers", with: {{count: 1000000, rate_hz: 10}}, on: ears}}
  obeys:  {{use: "busy_nodes:Obeys", on: mind, inputs: {{text: typed, seen: {{from: track, take: latest, lag: 40ms}}}}}}
  robot:  {{use: "bench_nodes:Discard", inputs: {{item: obeys}}, on: body}}
"""


@dataclass
class Found:
    """Of one run: ages in ms, what was delivered a second, and how long it took to be as always afterwards."""

    ages: list[float]
    goodput_hz: float
    late: int
    back_s: float
    commands: int
    commands_lost: int
    command_p99_ms: float
    ledger: dict[str, int]


async def run(factor: float, seconds: float) -> Found:
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    words = {"budget": BUDGET_MS, "rate": factor * CAN_HZ, "seconds": seconds + LEAD_S, "first": FIRST_MS, "second": SECOND_MS}
    plan = make_plan(parse_graph(GRAPH.format(**words), str(HERE / "overload.yaml")), "planned")
    clock, home = SystemClock(), RunDir()
    crew = RayCrew(plan, RunOptions(offset_ns=clock.offset_ns, run_dir=home.path))
    conductor = Conductor(plan, crew, clock, fresh=False)
    try:
        outcome = await conductor.run(for_s=seconds + LEAD_S + AFTER_S)
    finally:
        home.remove()
    began = outcome.started_ns + int(LEAD_S * 1e9)
    ends = began + int(seconds * 1e9)
    frames = [(r[2], (r[0] - r[2]) / 1e6) for r in outcome.records["end"]]
    during = [age for cause, age in frames if began <= cause < ends]
    after = [(cause, age) for cause, age in frames if cause >= ends]
    usual = sorted(age for cause, age in after if cause >= ends + 1e9)
    limit = 1.5 * usual[int(len(usual) * 0.9)] if usual else 0.0
    slow = [cause for cause, age in after if age > limit and cause < ends + 1e9]
    ways = [outcome.edges[key]["fates"] for key in ("typed.out->obeys.text", "obeys.out->robot.item")]
    lost = sum(n for fates in ways for fate, n in fates.items() if fate not in ("consumed", "stopped"))  # at the run's end
    commands = sorted((r[0] - r[2]) / 1e6 for r in outcome.records["robot"])
    return Found(
        sorted(during), len(during) / seconds, sum(age > BUDGET_MS for _, age in frames),
        (max(slow) - ends) / 1e9 if slow else 0.0, outcome.nodes["typed"]["out"], lost,
        commands[int(len(commands) * 0.99)], dict(outcome.ledger),
    )  # fmt: skip


def plain_ray(factor: float, seconds: float) -> dict[str, float]:
    """The same steps as actors that call each other, in a process apart, with a Ray of its own."""
    command = [sys.executable, __file__, "--plain-ray", str(factor), "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def plain_ray_here(factor: float, seconds: float) -> dict[str, float]:
    import numpy as np
    import ray

    class Step:
        def __init__(self, ms: float) -> None:
            self.ms = ms

        def step(self, item: Any) -> Any:
            time.sleep(self.ms / 1000)
            return item

    class End:
        def __init__(self) -> None:
            self.ages: list[float] = []

        def take(self, item: Any) -> None:
            self.ages.append((time.monotonic() - item[0]) * 1e3)

        def all(self) -> list[float]:
            return self.ages

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        make = lambda kind, *args: ray.remote(kind).options(num_cpus=0).remote(*args)  # noqa: E731
        first, second, end = make(Step, FIRST_MS), make(Step, SECOND_MS), make(End)
        ray.get(end.all.remote())
        frame, when, ends = np.zeros((240, 320, 3), np.uint8), time.monotonic(), time.monotonic() + seconds
        while when < ends:
            when += 1 / (factor * CAN_HZ)
            time.sleep(max(0.0, when - time.monotonic()))
            end.take.remote(second.step.remote(first.step.remote((time.monotonic(), frame))))
        ages = sorted(ray.get(end.all.remote()))
        in_time = sum(age <= BUDGET_MS for age in ages)
        return {"goodput_hz": in_time / seconds, "late": len(ages) - in_time, "p99_ms": ages[int(len(ages) * 0.99)]}
    finally:
        ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--factors", type=float, nargs="*", default=FACTORS)
    parser.add_argument("--no-plain", action="store_true")
    parser.add_argument("--plain-ray", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = 5.0 if options.quick else options.seconds
    if options.plain_ray:
        print(json.dumps(plain_ray_here(options.plain_ray, seconds)))
        return
    print(f"load at start: {os.getloadavg()[0]:.2f}; {seconds:g} s each, budget {BUDGET_MS} ms\n")
    head = f"{'times':>6s} {'delivered/s':>12s} {'p50 ms':>8s} {'p99 ms':>8s} {'late':>6s} {'back s':>7s} "
    print(f"{head}{'commands lost':>14s} {'p99 ms':>8s}   plain Ray: in time/s, late, p99 ms")
    found: dict[float, Found] = {}
    for factor in options.factors:
        f = found[factor] = asyncio.run(run(factor, seconds))
        p50, p99 = (f.ages[int(len(f.ages) * q)] for q in (0.5, 0.99))
        row = f"{factor:6g} {f.goodput_hz:12.1f} {p50:8.1f} {p99:8.1f} {f.late:6d} {f.back_s:7.2f} "
        row += f"{f.commands_lost:5d} of {f.commands:5d} {f.command_p99_ms:8.1f}"
        if not options.no_plain:
            plain = plain_ray(factor, min(seconds, 20 / factor))  # what it has queued by then takes long enough
            row += f"   {plain['goodput_hz']:8.1f} {plain['late']:6.0f} {plain['p99_ms']:9.0f}"
        print(row, flush=True)
        print(f"       {f.ledger}", flush=True)
    best = max(f.goodput_hz for f in found.values())
    print(f"\nthe least of what is delivered, of the graph's own best: {min(f.goodput_hz for f in found.values()) / best:.0%}")


if __name__ == "__main__":
    main()
