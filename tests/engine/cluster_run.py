"""One run on a Ray cluster, in a process that can be put in a network namespace: ``ADDRESS PLAN OUTCOME [FILE.mcap]``.

The plan is a pickle, and so is what is left of it: the outcome and what was known of the hosts. A line of stdin, "kill
WORKER", ends one; "start" is printed when the run has begun.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

from running import keep  # noqa: E402

from omnistream.clock import SystemClock  # noqa: E402
from omnistream.engine.conductor import Conductor  # noqa: E402
from omnistream.engine.options import RunOptions  # noqa: E402
from omnistream.engine.ray import RayCrew  # noqa: E402
from omnistream.engine.rundir import RunDir  # noqa: E402


async def main(address: str, plan_file: str, outcome_file: str, recording: str = "") -> None:
    plan = pickle.loads(Path(plan_file).read_bytes())
    clock, home = SystemClock(), RunDir()
    try:
        options = RunOptions(offset_ns=clock.offset_ns, run_dir=home.path, record=bool(recording))
        crew = RayCrew(plan, options, address)
        conductor = Conductor(plan, crew, clock, fresh=False)
        hosts: dict[str, Any] = {}

        async def follow() -> None:
            while not conductor.outcome.started_ns:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            print("start", flush=True)
            reader = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            while words := (await reader.readline()).split():
                crew.kill(words[1].decode())

        task = asyncio.create_task(follow())
        try:
            outcome = await asyncio.wait_for(conductor.run(), 90)
        finally:
            task.cancel()
            hosts = {name: (host.offset_ns - clock.offset_ns, host.error_ns) for name, host in crew._apart.items()}
        if recording:
            keep(plan, home.path, Path(recording), outcome)
        Path(outcome_file).write_bytes(pickle.dumps((outcome, hosts, conductor.events)))
    finally:
        home.remove()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
