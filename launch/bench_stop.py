"""How long a stop takes to the robot's client while every queue is full and all cores burn: a real client at either end.

python launch/bench_stop.py [--seconds N] [--burners N] [--apart] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from processes import free_port, load

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

GRAPH = """graph: stop_under_load
workers:
  eyes: {threads: 1}
nodes:
  camera: {use: "bench_nodes:Patterns", with: {shape: [480, 640, 3], rate_hz: 60}, on: cameras}
  eyes:   {use: "busy_nodes:Look", with: {step_ms: 30, small: 1}, inputs: {frame: {from: camera, in_flight: 0}}, on: eyes}
  more:   {use: "busy_nodes:Look", with: {step_ms: 30, small: 1}, inputs: {frame: {from: camera, in_flight: 0}}, on: MORE}
  flood:  {use: "busy_nodes:Flood", with: {rate_hz: 2000}, on: cameras}
  chew:   {use: "busy_nodes:Chew", with: {step_ms: 1}, inputs: {item: {from: flood, queue: {drop_oldest: 64}}}, on: mind}
  end:    {use: "busy_nodes:Nowhere", inputs: {item: [eyes, more, chew]}, on: mind}
  clock:  {use: tick, with: {rate_hz: 20}, on: mind}
  typed:  {use: zmq_commands, with: {bind: "tcp://127.0.0.1:PORT1"}, on: ears}
  parse:  {use: command_parser, inputs: {text: typed}, on: ears}
  reason: {use: rule_reasoner, inputs: {intent: parse}, on: mind}
  drive:
    use: base_motion
    on: mind
    with: {rate_hz: 20, max_mps: 0.3, max_radps: 1.0, ttl_ms: 500}
    inputs:
      action: {from: reason.action, wait: 60ms}
      stop: {from: reason.stop, urgent: true}
      tick: {from: clock, queue: {drop_oldest: 4}}
  robot:
    use: zmq_actions
    on: body
    with: {bind: "tcp://127.0.0.1:PORT2", simulated: true}
    inputs:
      action: drive.motion
      stop: {from: reason.stop, urgent: true, wait: 5ms}
"""


def clients(ports: tuple[int, int], seconds: float, every_s: float) -> None:
    """An operator who says go and stop in turns, and the robot: prints the milliseconds from each stop sent to its arrival."""
    from omnistream.client import Commander, Robot

    sent: list[float] = []
    took: list[float] = []
    lost = 0
    ends = time.monotonic() + seconds
    over = threading.Event()

    def robot() -> None:
        with Robot(f"tcp://127.0.0.1:{ports[1]}") as link:
            print("ready", flush=True)
            while not over.is_set():
                action = link.receive(0.05)
                now = time.monotonic()
                if action is not None and action.is_stop and sent and len(took) < len(sent) and action.text == "stop":
                    took.append((now - sent[-1]) * 1000)

    thread = threading.Thread(target=robot)
    thread.start()
    with Commander(f"tcp://127.0.0.1:{ports[0]}") as commander:
        commander.send("go forward", wait="accepted", timeout=30)
        while time.monotonic() < ends:
            time.sleep(every_s / 2)
            commander.send("go forward", wait="accepted")
            time.sleep(every_s / 2)
            before = len(took)
            sent.append(time.monotonic())
            commander.send("stop", wait="accepted")
            until = time.monotonic() + 2
            while len(took) == before and time.monotonic() < until:
                time.sleep(0.002)
            if len(took) == before:
                took.append(2000.0)
                lost += 1
    over.set()
    thread.join()
    print(json.dumps({"took": took, "lost": lost}), flush=True)


async def run(seconds: float, burners: int, engine: str, every_s: float, harsh: bool, apart: bool) -> tuple[Any, Any]:
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.local import LocalCrew
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    ports = (free_port(), free_port())
    text = GRAPH.replace("MORE", "mind" if harsh else "more").replace("PORT1", str(ports[0])).replace("PORT2", str(ports[1]))
    plan = make_plan(parse_graph(text, str(HERE / "stop.yaml")), "planned")
    clock, home = SystemClock(), RunDir()
    options = RunOptions(offset_ns=clock.offset_ns, run_dir=home.path)
    crew: Any = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, clock, options)
    conductor = Conductor(plan, crew, clock, fresh=False)
    command = [
        sys.executable,
        __file__,
        "--clients",
        str(ports[0]),
        str(ports[1]),
        "--seconds",
        str(seconds),
        "--every",
        str(every_s),
    ]
    answer: dict[str, Any] = {}

    async def ask() -> None:
        while not conductor.outcome.started_ns:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        answer.update(json.loads(out.splitlines()[-1]))
        conductor.stop("enough")

    task = asyncio.create_task(ask())
    try:
        with load(burners, apart=apart):
            outcome = await conductor.run(for_s=seconds + 60)
            await task
    finally:
        home.remove()
    return answer, outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--burners", type=int, default=2)
    parser.add_argument("--every", type=float, default=0.2)
    parser.add_argument("--engine", default="ray")
    parser.add_argument("--harsh", action="store_true", help="a model's thread in the worker that decides, too")
    parser.add_argument("--apart", action="store_true", help="each burner in a session of its own")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--clients", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = 5.0 if options.quick else options.seconds
    if options.clients:
        clients(tuple(options.clients), seconds, options.every)
        return
    print(f"load at start: {os.getloadavg()[0]:.2f}; {options.burners} burners on {os.cpu_count()} cores")
    answer, outcome = asyncio.run(run(seconds, options.burners, options.engine, options.every, options.harsh, options.apart))
    took = sorted(answer["took"])
    at = lambda q: took[min(len(took) - 1, int(len(took) * q))]  # noqa: E731
    quantiles = ", ".join(f"{name} {at(q):.1f}" for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1)))
    print(f"a stop to the client, ms: {quantiles} (n={len(took)}, lost {answer['lost']})")
    ages = sorted((r[0] - r[2]) / 1e6 for r in outcome.records["robot"] if r[4] == "Action:stop")
    if ages:
        print(f"of that to the sink's hands, ms: p50 {ages[len(ages) // 2]:.1f}, p90 {ages[int(len(ages) * 0.9)]:.1f}")
    print(f"ledger: {dict(outcome.ledger)}")
    print({n: (s["in"], s["out"], s["step_ms"].get("p50")) for n, s in outcome.nodes.items()})


if __name__ == "__main__":
    main()
