"""`make bench`: speed, each figure beside a baseline taken in the same run, in interleaved rounds; medians are printed.

python launch/bench.py [--quick] [--rounds N]      --quick leaves out the replays and the long recording
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RECORDING = ROOT / "graphs" / "recordings" / "voice_robot.mcap"
OMNISTREAM = [sys.executable, "-m", "omnistream.cli.main"]
sys.path[:0] = [str(HERE), str(ROOT / "graphs" / "recordings")]


def chain_graph(length: int, count: int = 0, rate_hz: float = 0.0, source: str = "") -> str:
    """A source (of `count` texts, or as written), `length` pass-through nodes and a sink, as a graph file."""
    numbers = f'{{use: "bench_nodes:Numbers", with: {{count: {count}, rate_hz: {rate_hz}}}}}'
    lines = [f"graph: chain{length}", "nodes:", f"  n0: {source or numbers}"]
    lines += [f"  n{i + 1}: {{use: passthrough, inputs: {{message: n{i}}}}}" for i in range(length)]
    lines.append(f'  end: {{use: "bench_nodes:Discard", inputs: {{item: n{length}}}}}')
    return "\n".join(lines) + "\n"


async def _run(text: str, engine: str, layout: str) -> Any:
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.local import LocalCrew
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    plan = make_plan(parse_graph(text, str(HERE / "bench.yaml")), layout)  # type: ignore[arg-type]
    clock, home = SystemClock(), RunDir()
    try:
        options = RunOptions(offset_ns=clock.offset_ns, run_dir=home.path)
        crew = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, clock, options)
        return await Conductor(plan, crew, clock, fresh=False).run()
    finally:
        home.remove()


def rate(outcome: Any) -> float:
    """Messages a second at the sink, from the first to the last that it took."""
    times = [r[0] for r in outcome.records["end"]]
    return (len(times) - 1) / ((times[-1] - times[0]) / 1e9)


def latency_us(outcome: Any) -> float:
    """Median time from stamp to sink."""
    return statistics.median(r[0] - r[1] for r in outcome.records["end"]) / 1000


def ray_chain(length: int, count: int) -> float:
    """Messages a second through `length` plain Ray actors, each calling the next; 64 are under way at a time."""
    import ray

    ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:

        class Hop:
            def __init__(self, following: Any) -> None:
                self.following = following

            async def take(self, text: str) -> str:
                return text if self.following is None else await self.following.take.remote(text)

        actors: list[Any] = []
        for _ in range(length):
            actors.append(ray.remote(Hop).options(num_cpus=0).remote(actors[-1] if actors else None))
        ray.get(actors[-1].take.remote("warm"))
        waiting: list[Any] = []
        began = time.perf_counter()
        for _ in range(count):
            if len(waiting) >= 64:
                ready, waiting = ray.wait(waiting)
                ray.get(ready)
            waiting.append(actors[-1].take.remote("go forward ten meters"))
        ray.get(waiting)
        return count / (time.perf_counter() - began)
    finally:
        ray.shutdown()


def first_message_s() -> float:
    """From the command's start to the first line that a console sink prints, on the local engine."""
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, "beat.yaml")
        nodes = "  t: {use: tick, with: {rate_hz: 100}}\n  c: {use: console, inputs: {message: t}}\n"
        graph.write_text(f"graph: beat\nnodes:\n{nodes}")
        began = time.perf_counter()
        command = [*OMNISTREAM, "run", str(graph), "--engine", "local", "--for", "0.5s"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            took = time.perf_counter() - began
            process.stdout.read()
        return took


def fresh_speed() -> float:
    """Times real time of a fresh replay of the shipped recording through pass-through nodes, without models."""
    import json

    graph = (
        "graph: pass\nnodes:\n  mic: {use: microphone, with: {device: x}}\n  camera: {use: camera, with: {device: x}}\n"
        "  a: {use: passthrough, inputs: {message: mic}}\n  v: {use: passthrough, inputs: {message: camera}}\n"
        '  ka: {use: "bench_nodes:Discard", inputs: {item: a}}\n  kv: {use: "bench_nodes:Discard", inputs: {item: v}}\n'
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pass.yaml").write_text(graph)
        summary = Path(folder, "s.json")
        command = [*OMNISTREAM, "replay", str(RECORDING), f"{folder}/pass.yaml", "--summary", str(summary)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(HERE)})
        from omnistream.record.reader import Recording

        with Recording(RECORDING) as file:
            return (file.end_ns - file.start_ns) / 1e9 / json.loads(summary.read_text())["duration_s"]


def spoken_commands() -> dict[str, Any]:
    """The long recording of spoken commands through voice_robot on Ray: its summary."""
    import json

    from make import bench_recording

    path = bench_recording()
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder, "s.json")
        command = [sys.executable, str(HERE / "demo.py"), "--recording", str(path), "--summary", str(summary)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(summary.read_text())


def replay_digests(count: int) -> set[str]:
    """The digests of fresh replays of the recording's first twelve seconds: half on Ray with a worker a node, half here,
    every other one beside a process that burns a core."""
    import json

    from cut import cut

    found: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        clip, summary = Path(folder, "clip.mcap"), Path(folder, "s.json")
        cut(RECORDING, clip, 12)
        for i in range(count):
            engine = ["--engine", "ray", "--layout", "each"] if i % 2 else ["--engine", "local"]
            burner = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if i % 4 > 1 else None
            try:
                command = [*OMNISTREAM, "replay", str(clip), str(ROOT / "graphs" / "voice_robot.yaml"), *engine]
                subprocess.run([*command, "--summary", str(summary)], check=True, capture_output=True)
            finally:
                if burner is not None:
                    burner.kill()
                    burner.wait()
            found.add(json.loads(summary.read_text())["digest"])
    return found


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the long recording")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"machine: {machine()}\nload at start: {os.getloadavg()[0]:.2f}; medians of {options.rounds} interleaved rounds\n")

    def here(length: int, count: int, rate_hz: float = 0) -> Any:
        return asyncio.run(_run(chain_graph(length, count, rate_hz), "local", "one"))

    def there(length: int, count: int, rate_hz: float = 0) -> Any:
        return asyncio.run(_run(chain_graph(length, count, rate_hz), "ray", "each"))

    measures: dict[str, tuple[Callable[[], float], str]] = {
        "chain of 10 in one worker": (lambda: rate(here(10, 30_000)), "messages/s"),
        "chain of none": (lambda: rate(here(0, 30_000)), "messages/s"),
        "chain of 10, a Ray actor each": (lambda: rate(there(10, 6_000)), "messages/s"),
        "10 plain Ray actors": (lambda: ray_chain(10, 600), "messages/s"),
        "latency, 10 in one worker": (lambda: latency_us(here(10, 600, 300)), "us p50"),
        "latency, none between": (lambda: latency_us(here(0, 600, 300)), "us p50"),
        "latency, 10 Ray actors of ours": (lambda: latency_us(there(10, 400, 50)), "us p50"),
        "first message, local engine": (first_message_s, "s"),
        "fresh replay without models": (fresh_speed, "x real time"),
    }
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(options.rounds):
        for name, (measure, _unit) in measures.items():
            found[name].append(measure())
    medians = {name: statistics.median(values) for name, values in found.items()}
    for name, (_, unit) in measures.items():
        low, high = min(found[name]), max(found[name])
        print(f"{name:34s} {medians[name]:10.2f} {unit:12s} ({low:.2f} to {high:.2f})")
    busy = (1e6 / medians["chain of 10 in one worker"] - 1e6 / medians["chain of none"]) / 10
    print(f"{'one pass-through node, busy':34s} {busy:10.2f} us")
    idle = (medians["latency, 10 in one worker"] - medians["latency, none between"]) / 10
    print(f"{'one pass-through node, 300 a second':34s} {idle:9.2f} us p50")
    plain = medians["10 plain Ray actors"]
    ours, apart = medians["chain of 10 in one worker"], medians["chain of 10, a Ray actor each"]
    print(f"{'in one worker / plain Ray actors':34s} {ours / plain:10.1f} x")
    print(f"{'our Ray actors / plain Ray actors':34s} {apart / plain:10.1f} x")
    if not options.quick:
        digests = replay_digests(20)
        print(f"{'20 fresh replays, both engines':34s} {len(digests):10d} digest(s)")
        summary = spoken_commands()
        for name in ("command_to_action_ms", "reaction_ms", "window_fill_ms"):
            print(f"{name:34s} {summary[name]}")
        print(f"{'ledger':34s} {summary['ledger']}")


if __name__ == "__main__":
    main()
