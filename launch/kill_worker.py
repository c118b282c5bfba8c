"""Kill a worker of the demo that runs in another terminal, with no warning: the robot must stop, and go on when it is back.

python launch/kill_worker.py          (Linux: it looks for the demo's own processes in /proc, and touches no others)
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from pathlib import Path

PID_FILE = Path(__file__).parents[1] / "build" / "demo.pid"
WORKER = b"ray::RayWorker"


def workers_of(ancestor: int) -> list[int]:
    """Processes named ray::RayWorker that descend from `ancestor`."""
    parents: dict[int, int] = {}
    names: dict[int, bytes] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended meanwhile
            pid = int(entry.name)
            parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            names[pid] = (entry / "cmdline").read_bytes()
    found: list[int] = []
    for pid, name in names.items():
        at = pid
        while at > 1 and at != ancestor:
            at = parents.get(at, 0)
        if at == ancestor and name.startswith(WORKER):
            found.append(pid)
    return sorted(found)


def main() -> int:
    try:
        demo = int(PID_FILE.read_text())
        found = workers_of(demo)
    except (OSError, ValueError):
        found = []
    if not found:
        print("no worker of a demo is running here; start one with: make run", file=sys.stderr)
        return 2
    pid = random.choice(found)
    os.kill(pid, signal.SIGKILL)
    print(f"killed worker process {pid}, one of {len(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
