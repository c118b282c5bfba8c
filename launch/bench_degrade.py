"""A graph with a burner on every core: how soon it takes cheaper variants, whether it keeps its budget, how soon it is back.

python launch/bench_degrade.py [--minutes N] [--quick]

Then the burners come and go for N minutes: how often are nodes switched?
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

from processes import load

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

GRAPH = """graph: degrade
budget: 150ms
nodes:
  camera: {{use: "bench_nodes:Patterns", with: {{shape: [240, 320, 3], rate_hz: {rate}}}, on: camera}}
  eyes:   {{use: "busy_nodes:Look", with: {{step_ms: {step}, small: 0.15}}, inputs: {{frame: camera}}, on: eyes}}
  end:    {{use: "busy_nodes:Nowhere", inputs: {{item: eyes}}, on: mind}}
"""


async def run(
    rate: float, step: float, lead_s: float, burn_s: float, back_s: float, minutes: float
) -> tuple[Any, list[tuple[str, int]]]:
    """The outcome, and what happened when: burners that came and went."""
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    plan = make_plan(parse_graph(GRAPH.format(rate=rate, step=step), str(HERE / "degrade.yaml")), "planned")
    clock, home, marks = SystemClock(), RunDir(), []
    crew = RayCrew(plan, RunOptions(offset_ns=clock.offset_ns, run_dir=home.path))
    conductor = Conductor(plan, crew, clock, fresh=False)

    async def burn(seconds: float) -> None:
        with load(os.cpu_count() or 1):
            marks.append(("burn", clock.now()))
            await asyncio.sleep(seconds)
        marks.append(("rest", clock.now()))

    async def script() -> None:
        while not conductor.outcome.started_ns:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if burn_s:
            await asyncio.sleep(lead_s)
            await burn(burn_s)
            await asyncio.sleep(back_s)
        chance, until = random.Random(1), clock.now() + int(minutes * 60e9)
        while clock.now() < until:
            await burn(chance.uniform(3, 15))
            await asyncio.sleep(chance.uniform(3, 15))
        conductor.stop("enough")

    task = asyncio.create_task(script())
    try:
        outcome = await conductor.run(for_s=lead_s + burn_s + back_s + minutes * 60 + 120)
        await task
    finally:
        home.remove()
    return outcome, marks


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--step-ms", type=float, default=35)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    minutes = 0.5 if options.quick else options.minutes
    print(f"load at start: {os.getloadavg()[0]:.2f}; a burner on each of {os.cpu_count()} cores")
    outcome, marks = asyncio.run(run(options.rate, options.step_ms, 5, 15, 8, 0))
    burn, rest = marks[0][1], marks[1][1]
    switches = switches_of(outcome)
    for at, text in switches:
        print(f"  {(at - burn) / 1e9:+7.2f} s  {text}")
    down = next((at for at, _ in switches if at >= burn), None)
    back = [at for at, text in switches if at >= rest and text.endswith("there is room")]
    nan = float("nan")
    for name, since, until in (("before", 0, burn), ("burning, from 1 s on", burn + 10**9, rest), ("after", rest, 1 << 62)):
        told(name, outcome, since, until)
    print(f"down after {(down - burn) / 1e9 if down else nan:.2f} s; up after {(back[0] - rest) / 1e9 if back else nan:.2f} s")
    print(f"ledger: {dict(outcome.ledger)}\n")
    outcome, marks = asyncio.run(run(options.rate, options.step_ms, 0, 0, 0, minutes))
    print(f"{len(marks)} changes of load in {minutes:g} minutes: {len(switches_of(outcome))} switches")
    told("the newest of it", outcome, 0, 1 << 62)
    print(f"ledger: {dict(outcome.ledger)}")


def switches_of(outcome: Any) -> list[tuple[int, str]]:
    return [(r.at_ns, r.detail) for r in outcome.rows if r.reason == "variant"]


def told(name: str, outcome: Any, since: int, until: int) -> None:
    """Ages of what was handed over in that time; a long run keeps the newest only."""
    ages = sorted((r[0] - r[2]) / 1e6 for r in outcome.records["end"] if since <= r[0] < until)
    if ages:
        p50, p95 = ages[len(ages) // 2], ages[int(len(ages) * 0.95)]
        print(f"{name:22s} p50 {p50:6.1f} ms, p95 {p95:6.1f} (n={len(ages)}), budget 150")


if __name__ == "__main__":
    main()
