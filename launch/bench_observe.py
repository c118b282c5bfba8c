"""What it costs to be observed: metrics scraped each second, 1 % traces into a file and `top` attached, against none of it.

python launch/bench_observe.py [--rounds N] [--seconds N] [--engine ray]

Counted is the processor time of the run and its workers, without that of who looks (Prometheus, `top`) and of Ray's own
processes; and the time from stamp to sink. Rounds with and without take turns; in brackets is where 95 of 100 medians of such
rounds would lie.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import pty
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import psutil  # noqa: E402
from bench import OMNISTREAM, chain_graph, machine  # noqa: E402
from processes import end, free_port  # noqa: E402

#: Nodes in the chain, and messages a second, by the engine: one worker, or a Ray actor each.
SETUPS = {"local": (10, 300.0), "ray": (4, 100.0)}
#: Until then who looks has started, too.
_WARM_S = 4.0


async def measured(engine: str, seconds: float, observed: bool) -> dict[str, float]:
    """One run in this process: percent of a core, and p50 and p99 of the way in microseconds."""
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
    count = int((seconds + _WARM_S + 1) * rate)
    plan = make_plan(
        parse_graph(chain_graph(length, count, rate), str(HERE / "bench.yaml")), "one" if engine == "local" else "each"
    )
    clock, home, port = SystemClock(), RunDir(), free_port()
    with tempfile.TemporaryDirectory() as folder, io.StringIO() as nowhere:
        trace = str(Path(folder, "t.json"))
        watching = Watching(f"127.0.0.1:{port}", trace, "", 0.01) if observed else Watching()
        options = RunOptions(offset_ns=clock.offset_ns, run_dir=home.path, trace_share=watching.share)
        crew: Any = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, clock, options)
        conductor = Conductor(plan, crew, clock, fresh=False)
        control = Control(conductor, "bench")
        used = 0.0

        def seconds_used() -> float:
            pids = {os.getpid(), *getattr(crew, "pids", {}).values()}
            return sum(t.user + t.system for t in (psutil.Process(pid).cpu_times() for pid in pids))

        async def watch() -> None:
            nonlocal used
            while not conductor.outcome.started_ns:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            lookers = start_lookers(port) if observed else None
            try:
                await asyncio.sleep(_WARM_S)
                before = seconds_used()
                await asyncio.sleep(seconds)
                used = seconds_used() - before
            finally:
                if lookers is not None:
                    await asyncio.to_thread(end, lookers)
                conductor.stop()

        async with watching.of_run(conductor, Console(file=nowhere)) as look:

            def each_time(run: Conductor) -> None:
                look()
                control.note(run)

            conductor.watch = each_time
            await control.open(home.path)
            task = asyncio.create_task(watch())
            outcome = await conductor.run()
            await task
            await control.close()
    home.remove()
    took = [(r[0] - r[1]) / 1000 for r in outcome.records["end"]][int(_WARM_S * rate) :]
    return {"cpu": 100 * used / seconds, "p50": statistics.median(took), "p99": statistics.quantiles(took, n=100)[98]}


def start_lookers(port: int) -> subprocess.Popen[Any]:
    """Somebody who scrapes each second, and `top`: in a process apart."""
    return subprocess.Popen([sys.executable, __file__, "--look", str(port)], stdout=subprocess.DEVNULL, start_new_session=True)


def look(port: int) -> None:
    """Ends with whoever started it."""
    master, slave = pty.openpty()
    command = [*OMNISTREAM, "top", str(os.getppid())]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=os.environ | {"TERM": "xterm"}) as top:
        threading.Thread(target=_drain, args=(master,), daemon=True).start()
        while top.poll() is None:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                page.read()
            with_end = threading.Event()
            with_end.wait(1)


def _drain(master: int) -> None:
    while os.read(master, 1 << 16):
        pass


def in_a_process(engine: str, seconds: float, observed: bool) -> dict[str, float]:
    words = [sys.executable, __file__, "--one", engine, "--seconds", str(seconds), *(["--observed"] if observed else [])]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def middle(added: Sequence[float]) -> tuple[float, float, float]:
    """The median, and between what 95 of 100 medians of such rounds drawn anew lie."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(added, k=len(added))) for _ in range(1000))
    return medians[25], statistics.median(added), medians[974]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--engine", choices=SETUPS, action="append", help="only this one")
    parser.add_argument("--one", choices=SETUPS, help=argparse.SUPPRESS)
    parser.add_argument("--observed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--look", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look:
        look(options.look)
        return
    if options.one:
        print(json.dumps(asyncio.run(measured(options.one, options.seconds, options.observed))))
        return
    print(f"machine: {machine()}\nload at start: {os.getloadavg()[0]:.2f}; medians of {options.rounds} interleaved rounds\n")
    for engine in options.engine or SETUPS:
        length, rate = SETUPS[engine]
        found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for i in range(options.rounds):
            for observed in (False, True) if i % 2 else (True, False):
                found[observed].append(in_a_process(engine, options.seconds, observed))
        where = "in one worker" if engine == "local" else "Ray actors"
        print(f"{length} nodes, {where}, {rate:g} messages/s   load now: {os.getloadavg()[0]:.2f}")
        for name, unit in (("cpu", "% of a core"), ("p50", "us"), ("p99", "us")):
            off, on = ([r[name] for r in found[observed]] for observed in (False, True))
            low, added, high = middle([b - a for a, b in zip(off, on, strict=True)])
            shown = f"{statistics.median(off):9.1f} -> {statistics.median(on):9.1f} {unit}"
            spread = f"(without: {min(off):.1f} to {max(off):.1f}, with: {min(on):.1f} to {max(on):.1f})"
            print(f"  {name:4s} {shown:36s} added {added:+8.1f} [{low:+.1f}, {high:+.1f}]   {spread}")


if __name__ == "__main__":
    main()
