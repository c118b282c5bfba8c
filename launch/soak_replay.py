"""Replays, again and again: the same recording has one answer, and a live run that went badly can be had again.

    python launch/soak_replay.py [--count 100] [--recorded 10] [--seed 0] [--part 9s]

N fresh replays of the shipped recording (`--part`: of its beginning), each on an engine, with a layout and under a load drawn
by chance, must have one digest. N/10 replays as recorded of live runs that dropped, forced bounds, skipped late messages and
lost a worker twice must each have the digest of its run, again under load. The exit code is 1 at the first difference.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from processes import load

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "engine"))
RECORDING = ROOT / "graphs" / "recordings" / "voice_robot.mcap"
GRAPH = ROOT / "graphs" / "voice_robot.yaml"
#: One fresh replay in so many is on Ray, which takes seconds to start; a live run is made anew for so many replays of it.
RAY_EVERY, RUN_EVERY = 10, 10


async def fresh(engine: str, layout: str, part_ns: int | None) -> tuple[str, int, int]:
    """One replay: its digest, what the robot was told, and what was lost."""
    from omnistream.clock import SystemClock
    from omnistream.engine.local import LocalCrew
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.replay import Part, fresh_conductor, fresh_options, prepare
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.plan import make_plan

    found = prepare(RECORDING, GRAPH, (), Part(None, part_ns))
    plan, home = make_plan(found.graph, layout), RunDir()  # type: ignore[arg-type]
    try:
        options = fresh_options(found, home.path)
        crew = RayCrew(plan, options) if engine == "ray" else LocalCrew(plan, SystemClock(options.offset_ns), options)
        outcome = await asyncio.wait_for(fresh_conductor(plan, crew, options).run(), 900)
    finally:
        home.remove()
    return outcome.digest or "", int(outcome.nodes["robot"]["out"]), sum(outcome.ledger.values())


def soak_fresh(count: int, rng: random.Random, part_ns: int | None) -> bool:
    """Whether all of them had one digest."""
    first, how = "", Counter[str]()
    began = time.monotonic()
    for number in range(count):
        engine = "ray" if number % RAY_EVERY == RAY_EVERY - 1 else "local"
        layout, burners = rng.choice(["one", "each", "planned"]), rng.choice([0, 0, 1, 2])
        with load(burners):
            digest, told, lost = asyncio.run(fresh(engine, layout, part_ns))
        words = f"{engine}, {layout}, load {burners}"
        how[f"{engine} {layout}"] += 1
        first = first or digest
        if digest != first or not told or lost:
            print(f"fresh replay {number} ({words}): digest {digest}, the first had {first}; {told} actions, {lost} lost")
            return False
        if (number + 1) % 10 == 0 or number + 1 == count:
            print(f"fresh: {number + 1} of {count}, one digest {first}, {(time.monotonic() - began):.0f} s", flush=True)
    print("fresh: " + ", ".join(f"{n} on {words}" for words, n in sorted(how.items())))
    return True


async def soak_recorded(count: int, rng: random.Random) -> bool:
    """Whether each had the digest of the live run."""
    from bad_run import bad_plan, bad_run
    from running import replayed

    done, wrongs = 0, Counter[str]()
    while done < count:
        with tempfile.TemporaryDirectory() as folder:
            run = await bad_run(Path(folder), rng.randrange(1 << 30))
            if run.lacks:
                print(f"as recorded: a run that was not bad enough ({', '.join(run.lacks)} not); another one", flush=True)
                continue
            wrongs.update(run.wrongs)
            with load(rng.choice([0, 0, 1, 2])):
                replays = await asyncio.gather(*(replayed(bad_plan(), run.path) for _ in range(min(RUN_EVERY, count - done))))
            for outcome, cut in replays:
                done += 1
                if cut or outcome.digest != run.digest:
                    print(f"as recorded: replay {done} has the digest {outcome.digest}, the run had {run.digest}; cut {cut}")
                    return False
        print(f"as recorded: {done} of {count} equal to their live runs", flush=True)
    print("as recorded: the runs had " + ", ".join(f"{n} {what}" for what, n in sorted(wrongs.items())))
    return True


def main() -> int:
    from omnistream.graph.units import parse_duration

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--recorded", type=int, help="so many as recorded, in place of a tenth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", type=parse_duration, help="only so much of the recording's beginning, such as 9s")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    kept = soak_fresh(options.count, rng, options.part)
    recorded = -(-options.count // 10) if options.recorded is None else options.recorded
    kept = asyncio.run(soak_recorded(recorded, rng)) and kept
    print("all promises kept" if kept else "a promise is broken")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
