"""`make soak`: workers of the demo are killed at random moments while it is spoken and typed to; the robot's diary judges.

    python launch/soak.py [--kills 50] [--seed 0] [--out build/soak]

Promised: the robot is at rest within 1.1 times its watchdog of each kill, and stays so until the worker is back; each command
has one effect, or its client or the ledger says why it has none; nothing is done after its time; each edge's messages add up.
The exit code is 1 where a promise is broken. One run holds up to 9 kills (10 restarts a minute are the runtime's limit), and
the robot is the same process in all runs, as a real one would be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import broker as brokers
from processes import end, free_port, spawn
from soak_verdict import Kill, Said, Verdict, judge

ROOT = Path(__file__).parents[1]
GRAPH = ROOT / "graphs" / "voice_robot.yaml"
RECORDING = ROOT / "graphs" / "recordings" / "voice_robot.mcap"
WATCHDOG_NS = 500_000_000
KILLS_A_RUN = 9
#: After the last command its sender still waits so long for an answer; the recording is over a little later.
PATIENCE_S = 6.0
TEXTS = ("go forward", "turn left", "open the gripper", "go backward", "turn right", "look up", "go forward two meters",
         "wave your hand", "close the gripper", "turn around")  # fmt: skip


@dataclass
class Script:
    """What happens in one run, in seconds after its start."""

    kills: int
    seed: int
    first_s: float = 2.5
    pause_s: tuple[float, float] = (4.0, 7.0)
    say_s: tuple[float, float] = (1.0, 2.0)
    quiet_s: float = 58.0  # nothing is killed or said after that
    for_s: float | None = None


@dataclass
class Stage:
    """Broker, robot and headset, as processes of their own."""

    folder: Path
    url: str
    actions: int
    commands: int
    diary: Path
    seen: int = 0
    clients: list[Any] = field(default_factory=list)

    def read_diary(self) -> list[dict[str, Any]]:
        """What the robot has written since it was asked last."""
        lines = self.diary.read_text().splitlines()
        new, self.seen = lines[self.seen :], len(lines)
        return [json.loads(line) for line in new]


@contextlib.contextmanager
def stage(folder: Path) -> Generator[Stage]:
    """Start the clients; end them whatever happens. To be called before this process has threads."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = brokers.start()
    made = Stage(folder, broker.url, free_port(), free_port(), folder / "robot.jsonl")
    try:
        with (folder / "clients.txt").open("w") as output:
            robot = ["robot.py", "--connect", f"tcp://127.0.0.1:{made.actions}", "--log", str(made.diary), "--quiet"]
            for args in (robot, ["headset.py", "--url", broker.url]):
                command = [sys.executable, str(ROOT / "launch" / args[0]), *args[1:]]
                made.clients.append(spawn(command, cwd=str(ROOT), stdout=output, stderr=output))
            yield made
    finally:
        for process in made.clients:
            end(process)
        broker.stop()


async def one_run(there: Stage, script: Script, name: str) -> Verdict:
    """The demo on Ray, once, with its kills and commands; what is to be said of it."""
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.flow.edge import Account
    from omnistream.graph.load import load_graph
    from omnistream.graph.plan import make_plan

    class TimedCrew(RayCrew):
        """Notes when each new life of a worker is open: before anybody has been told of it."""

        backs: list[tuple[str, int]]

        async def restart(self, worker: str, accounts: dict[str, Account]) -> None:
            await super().restart(worker, accounts)
            self.backs.append((worker, time.monotonic_ns()))

    sets = [f"nodes.robot.with.bind=tcp://127.0.0.1:{there.actions}", f"nodes.glasses.with.url={there.url}"]
    sets.append(f"nodes.typed.with.bind=tcp://127.0.0.1:{there.commands}")
    graph = load_graph(str(GRAPH), sets, [f"mic={RECORDING}", f"camera={RECORDING}"])
    plan = make_plan(graph, "planned")
    clock, home = SystemClock(), RunDir()
    kills: list[Kill] = []
    said: list[Said] = []
    with ThreadPoolExecutor(48) as pool:
        try:
            options = RunOptions(start_ns=clock.now(), offset_ns=clock.offset_ns, run_dir=home.path)
            crew = TimedCrew(plan, options)
            crew.backs = []
            conductor = Conductor(plan, crew, clock, fresh=False)
            tasks = [
                asyncio.create_task(_kill(conductor, crew, script, kills)),
                asyncio.create_task(_talk(conductor, there, script, said, name, pool)),
            ]
            try:
                outcome = await asyncio.wait_for(conductor.run(plan.graph.replaced, script.for_s), 240)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            home.remove()
    for kill in kills:
        kill.back_ns = next((at for worker, at in crew.backs if worker == kill.worker and at > kill.at_ns), 0)
    diary = there.read_diary()
    detail = {"rows": [r.as_dict() for r in outcome.rows], "edges": outcome.edges, "received": outcome.received}
    detail |= {"offset_ns": clock.offset_ns, "started_ns": outcome.started_ns, "events": conductor.events}
    (there.folder / f"{name}.json").write_text(json.dumps(detail, indent=1))
    verdict = judge(diary, kills, said, outcome.rows, outcome, offset_ns=clock.offset_ns, watchdog_ns=WATCHDOG_NS)
    with (there.folder / "verdict.jsonl").open("a") as file:
        told = {"run": name, "kills": [asdict(k) for k in kills], "commands": [asdict(c) for c in said]}
        file.write(json.dumps(told | {"broken": verdict.broken, "ledger": verdict.ledger}) + "\n")
    return verdict


async def _kill(conductor: Any, crew: Any, script: Script, kills: list[Kill]) -> None:
    """SIGKILL to random workers, each as often as the others, one at a time."""
    rng = random.Random(script.seed)
    deck: list[str] = []
    start = await _started(conductor)
    at = start + script.first_s
    while len(kills) < script.kills:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        await _until(lambda: not conductor.down)
        if time.monotonic() > start + script.quiet_s:
            return
        deck = deck or rng.sample(conductor.workers, len(conductor.workers))
        worker = deck.pop()
        kills.append(Kill(worker, time.monotonic_ns()))
        os.kill(crew.pids[worker], signal.SIGKILL)
        at = time.monotonic() + rng.uniform(*script.pause_s)


async def _talk(conductor: Any, there: Stage, script: Script, said: list[Said], name: str, pool: ThreadPoolExecutor) -> None:
    """A person who types: a command every second or two, each sent until it is known what became of it."""
    from omnistream.client import Commander

    rng = random.Random(script.seed + 1)
    start = await _started(conductor)
    loop = asyncio.get_running_loop()

    def send(command: Said) -> None:
        commander = Commander(f"tcp://127.0.0.1:{there.commands}", client=f"soak-{name}")
        patience = start + script.quiet_s + PATIENCE_S - time.monotonic()
        with contextlib.suppress(TimeoutError):
            receipt = commander.send(command.text, timeout=patience, command_id=command.id)
            command.status, command.detail = receipt.status, receipt.detail

    number = 0
    while time.monotonic() < start + script.quiet_s:
        command = Said(f"{name}-{number}", TEXTS[number % len(TEXTS)], time.monotonic_ns())
        said.append(command)
        loop.run_in_executor(pool, send, command)
        number += 1
        await asyncio.sleep(rng.uniform(*script.say_s))


async def _started(conductor: Any) -> float:
    await _until(lambda: conductor.outcome.started_ns)
    return time.monotonic()


async def _until(true: Callable[[], Any]) -> None:
    while not true():  # noqa: ASYNC110  the conductor is watched as it is, without an event for us
        await asyncio.sleep(0.02)


def print_verdict(verdict: Verdict) -> None:
    """The table, and what was broken."""
    from rich.console import Console
    from rich.table import Table

    table = Table("worker", "kills", "of these moving", "to rest, ms: p50", "p95", "max", "back, ms: p50", "p95", "max")
    workers = sorted({k.worker for k in verdict.kills})
    for worker in [*workers, "all"]:
        mine = [k for k in verdict.kills if worker in ("all", k.worker)]
        rest = [k.rest_ns for k in mine if k.moving or k.rest_ns]
        back = [k.back_ns - k.at_ns for k in mine if k.back_ns]
        table.add_row(worker, str(len(mine)), str(sum(k.moving for k in mine)), *_figures(rest), *_figures(back))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    fates = [c.fate for c in verdict.commands]
    told = {f: fates.count(f) for f in sorted(set(fates)) if f not in ("done", "missing")}
    shown = ", ".join(f"{n} {f}" for f, n in told.items()) or "none otherwise"
    silent = sum(c.status == "silence" for c in verdict.commands)
    console.print(
        f"commands: {len(fates)} sent, {fates.count('done')} done, {shown}, {fates.count('missing')} missing;", end=" "
    )
    console.print(f"{silent} without a receipt", highlight=False)
    twice = sum(c.effects > 1 for c in verdict.commands)
    console.print(f"actions: {verdict.actions} done, {verdict.repeated + twice} twice, {verdict.late} late")
    console.print("ledger: " + ", ".join(f"{n} {reason}" for reason, n in sorted(verdict.ledger.items())), highlight=False)
    for sentence in verdict.broken:
        console.print(f"[red]broken:[/] {sentence}", highlight=False)
    console.print(f"{len(verdict.broken)} promises broken" if verdict.broken else "all promises kept")


def _figures(ns: list[int]) -> list[str]:
    if not ns:
        return ["", "", ""]
    ordered = sorted(ns)
    return [f"{ordered[min(len(ordered) - 1, int(q * len(ordered)))] / 1e6:.0f}" for q in (0.5, 0.95, 1.0)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "soak", help="where the details of each run go")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    whole = Verdict()
    with stage(options.out) as there:
        (there.folder / "verdict.jsonl").unlink(missing_ok=True)
        number = 0
        while len(whole.kills) < options.kills:
            script = Script(min(KILLS_A_RUN, options.kills - len(whole.kills)), options.seed * 1000 + number)
            verdict = asyncio.run(one_run(there, script, f"{options.seed}-{number}"))
            whole.add(verdict)
            number += 1
            print(f"soak: run {number}: {len(verdict.kills)} kills, {len(verdict.commands)} commands, "
                  f"{len(verdict.broken)} promises broken", flush=True)  # fmt: skip
    print_verdict(whole)
    return 1 if whole.broken else 0


if __name__ == "__main__":
    sys.exit(main())
