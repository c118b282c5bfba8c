"""What it costs to be observed: metrics scraped each second, 1 % traces into a file and `top` attached, against none of it.

python launch/bench_observe.py [--runs N] [--pairs N] [--engine ray]

Within a run observation takes turns, in an order that is drawn: `top` and the scraper are halted and go on, and the source's
stamps are such that 1 % of them are traced, or none. Each turn is compared with its neighbour, so that what differs between
runs falls out; in brackets is where 95 of 100 medians of such runs and turns would lie. What a worker does in either turn, to
find that a message is not traced, is measured apart. Processor time is that of the run and its workers, without who looks
(Prometheus, `top`) and without Ray's own processes.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from bench import chain_graph, machine  # noqa: E402
from observe_figures import Taken, asking_us, between, in_pairs, of_traced, of_turns  # noqa: E402
from observe_lookers import Lookers, NotObservedError  # noqa: E402
from observe_turns import MARGIN_S, SHARE, TURN_S, Turns  # noqa: E402
from processes import free_port  # noqa: E402

#: Nodes in the chain, and messages a second, by the engine: one worker, or a Ray actor each.
SETUPS = {"local": (10, 300.0), "ray": (4, 100.0)}


async def measured(engine: str, turns: Turns) -> dict[str, list[float]]:
    """One run in this process, by turn: percent of a core, and p50 and p99 of the way in us; and what each trace took more."""
    from rich.console import Console

    from omnistream.cli.watching import Watching
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.control import Control
    from omnistream.engine.local import LocalCrew
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    length, rate = SETUPS[engine]
    source = f'{{use: "observe_turns:InTurns", with: {{rate_hz: {rate}, marks: "{turns.marks}"}}}}'
    graph = parse_graph(chain_graph(length, source=source), str(HERE / "bench.yaml"))
    plan = make_plan(graph, "one" if engine == "local" else "each")
    clock, home, port = SystemClock(), RunDir(), free_port()
    taken: list[Taken] = []
    spent: list[float] = []
    tracing = True
    with tempfile.TemporaryDirectory() as folder, io.StringIO() as nowhere:
        options = RunOptions(offset_ns=clock.offset_ns, run_dir=home.path, trace_share=SHARE)
        crew: Any = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, clock, options)
        conductor = Conductor(plan, crew, clock, fresh=False)
        control, outcome = Control(conductor, "bench"), conductor.outcome
        watching = Watching(f"127.0.0.1:{port}", str(Path(folder, "t.json")), "", SHARE)

        async def take_turns() -> None:
            try:
                while not outcome.started_ns:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                lookers = Lookers(port)
                try:
                    await each_turn(lookers)
                finally:
                    await asyncio.to_thread(lookers.close)  # they may wait for an answer of ours
            finally:
                conductor.stop()

        async def each_turn(lookers: Lookers) -> None:
            nonlocal tracing
            for turn in range(len(turns)):
                begin_ns = outcome.started_ns + turns.begin_ns(turn)
                await clock.sleep_until(begin_ns)
                tracing, observed = False, turns.observed(turn)
                lookers.look(on=observed)
                await clock.sleep_until(begin_ns + int(MARGIN_S * 1e9))
                tracing = observed  # what was held of traces is written in what counts
                before, since = _used_ns(crew), clock.now()
                await clock.sleep_until(begin_ns + int(TURN_S * 1e9))
                spent.append(100 * (_used_ns(crew) - before) / (clock.now() - since))
            lookers.look(on=False)  # they were there to the last

        async with watching.of_run(conductor, Console(file=nowhere)) as look:

            def each_time(run: Conductor) -> None:
                if tracing:
                    look()
                control.note(run)
                records = outcome.records.get("end", [])
                taken.extend(Taken(r[1], r[0] - r[1]) for r in records)
                records.clear()  # else only the newest are kept

            conductor.watch = each_time
            try:
                await control.open(home.path)
                task = asyncio.create_task(take_turns())
                await conductor.run()
                await task
            finally:
                await control.close()
                home.remove()
    start = outcome.started_ns
    return of_turns(taken, start, turns) | {"cpu": spent, "traced": of_traced(taken, start, turns)}


def _used_ns(crew: Any) -> int:
    """Processor time of the run's processes, by their CPU clocks: what ps shows is in steps of 10 ms, 1 % of a turn."""
    pids = {os.getpid(), *getattr(crew, "pids", {}).values()}
    return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in pids)  # as clock_getcpuclockid(3) makes them on Linux


def in_a_process(engine: str, turns: Turns) -> dict[str, list[float]]:
    words = [sys.executable, __file__, "--one", engine, "--marks", turns.marks]
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:  # it has said why, unless it was killed
        sys.exit(done.returncode if done.returncode > 0 else f"a run that was measured died of signal {-done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def show(engine: str, runs: int, pairs: int) -> None:
    length, rate = SETUPS[engine]
    where = "in one worker" if engine == "local" else "Ray actors"
    print(f"{length} nodes, {where}, {rate:g} messages/s, {runs} runs of {pairs} pairs of turns of {TURN_S - MARGIN_S:g} s")
    drawn = [Turns.drawn(pairs, run) for run in range(runs)]
    found = [in_a_process(engine, turns) for turns in drawn]
    for name, unit in (("cpu", "% of a core"), ("p50", "us"), ("p99", "us")):
        pairs_of = [in_pairs(f[name], t) for f, t in zip(found, drawn, strict=True)]
        off, on = (statistics.median([pair[side] for run in pairs_of for pair in run]) for side in (0, 1))
        added = [[on - off for off, on in run] for run in pairs_of]
        each = " ".join(f"{statistics.median(run):+.1f}" for run in added)
        print(f"  {name:4s} {f'{off:.1f} -> {on:.1f} {unit}':34s} {_added(added)}   by run: {each}")
    traced = [f["traced"] for f in found]
    what = "a message that is traced, against those beside it, us"
    print(f"  {what}   {_added(traced)}   {sum(map(len, traced))} traces")
    workers, nodes = (1, length + 2) if engine == "local" else (length + 2, 1)
    asking = workers * asking_us(nodes, rate)
    share = asking * rate / 1e4
    print(f"  to find that a message is not traced, in either turn: {asking:.1f} us, {share:.2f} % of a core", flush=True)


def _added(runs: list[list[float]]) -> str:
    low, added, high = between(runs)
    return f"added {added:+8.1f} [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=15, help="of turns, in each run")
    parser.add_argument("--engine", choices=SETUPS, action="append", help="only this one")
    parser.add_argument("--one", choices=SETUPS, help=argparse.SUPPRESS)
    parser.add_argument("--marks", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        try:
            print(json.dumps(asyncio.run(measured(options.one, Turns(options.marks)))))
        except NotObservedError as error:
            sys.exit(f"bench_observe: {error}")
        return
    print(f"machine: {machine()}\nload at start: {os.getloadavg()[0]:.2f}\n")
    for engine in options.engine or SETUPS:
        show(engine, options.runs, options.pairs)
        print(f"  load at the end: {os.getloadavg()[0]:.2f}\n")


if __name__ == "__main__":
    main()
