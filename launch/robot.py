"""A small differential-drive robot, simulated: connects to a graph's actions as a user's robot would, and prints its pose.

    python launch/robot.py [--connect tcp://127.0.0.1:5555] [--log FILE] [--quiet]

It does what omnistream.client gives it, and has a watchdog of its own beneath: without a fresh velocity for 500 ms the wheels
stop, whatever the link says. --log writes one JSON line per event, with the host's monotonic time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from omnistream.client import ActionFrame, Robot

STEP_NS = 20_000_000
WATCHDOG_NS = 500_000_000
PRINT_NS = 400_000_000


@dataclass(slots=True)
class Drive:
    """Pose in metres and radians, and the velocity that the wheels hold."""

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0
    x_mps: float = 0.0
    yaw_radps: float = 0.0

    @property
    def moving(self) -> bool:
        return self.x_mps != 0 or self.yaw_radps != 0

    def step(self, dt_s: float) -> None:
        """Move on for `dt_s`, along the arc's chord."""
        middle = self.yaw_rad + self.yaw_radps * dt_s / 2
        self.x_m += self.x_mps * dt_s * math.cos(middle)
        self.y_m += self.x_mps * dt_s * math.sin(middle)
        self.yaw_rad = math.remainder(self.yaw_rad + self.yaw_radps * dt_s, math.tau)

    def __str__(self) -> str:
        return f"x {self.x_m:+.2f} m  y {self.y_m:+.2f} m  heading {math.degrees(self.yaw_rad):+4.0f} deg"


class Simulation:
    """The robot: obeys actions, integrates at 50 Hz, and keeps its diary."""

    def __init__(self, log: IO[str] | None, *, quiet: bool) -> None:
        self.drive = Drive()
        self._log, self._quiet = log, quiet
        self._fresh_ns = self._stepped_ns = time.monotonic_ns()
        self._printed_ns = 0
        self._going = False
        self._told = ""  # why it stopped, if that was the last word

    def obey(self, action: ActionFrame) -> None:
        now = time.monotonic_ns()
        self.turn_wheels(now)
        if action.is_stop:
            self.stop(now, action.text or "asked to", action.id)
            return
        if action.kind == "velocity":
            self._fresh_ns = now
            self.drive.x_mps = action.values.get("x_mps", 0.0)
            self.drive.yaw_radps = action.values.get("yaw_radps", 0.0)
            if self.drive.moving != self._going:
                self._going = self.drive.moving
                self._say(f"{'goes' if self._going else 'has arrived'}: {self.drive}")
        else:
            details = [action.target, *(f"{k} {v:g}" for k, v in action.values.items())]
            self._say(" ".join(d for d in [action.kind, *details] if d))
        self._note(
            now, "action", id=action.id, kind=action.kind, values=dict(action.values), target=action.target,
            stamp_ns=action.stamp_ns, valid_until_ns=action.valid_until_ns,
        )  # fmt: skip

    def turn_wheels(self, now: int) -> None:
        """Bring the pose up to now; stop the wheels where nothing fresh came."""
        while now - self._stepped_ns >= STEP_NS:
            self._stepped_ns += STEP_NS
            if not self.drive.moving:
                continue
            if self._stepped_ns - self._fresh_ns >= WATCHDOG_NS:
                self.stop(now, "own watchdog: no fresh velocity for 500 ms", "")
            self.drive.step(STEP_NS / 1e9)
            self._note(self._stepped_ns, "pose")
        if self.drive.moving and now - self._printed_ns >= PRINT_NS:
            self._printed_ns = now
            self._say(f"{self.drive.x_mps:+.2f} m/s {self.drive.yaw_radps:+.2f} rad/s  {self.drive}")

    def stop(self, now: int, why: str, action_id: str) -> None:
        was = self.drive.moving
        self.drive.x_mps = self.drive.yaw_radps = 0.0
        self._going = False
        self._note(now, "stop", why=why, id=action_id, was_moving=was)
        said = f"STOP ({why})  {self.drive}" if was else f"stop ({why})"
        if was or why != self._told:  # stops come again and again; whoever reads along is told once
            self._say(said)
            self._told = why

    def link(self, *, up: bool) -> None:
        self._note(time.monotonic_ns(), "link", up=up)
        self._say("connected" if up else "has lost the link")

    def _say(self, text: str) -> None:
        self._told = ""
        if not self._quiet:
            print(text, flush=True)

    def _note(self, now: int, event: str, **more: Any) -> None:
        if self._log is not None:
            d = self.drive
            pose: Mapping[str, float] = {
                "x_m": d.x_m,
                "y_m": d.y_m,
                "yaw_rad": d.yaw_rad,
                "x_mps": d.x_mps,
                "yaw_radps": d.yaw_radps,
            }
            self._log.write(json.dumps({"t_ns": now, "event": event, **more, **pose}) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", default="tcp://127.0.0.1:5555", metavar="ENDPOINT")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write events as JSON lines")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    options = parser.parse_args()
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: ended.append(number))
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("w", buffering=1)) if options.log else None
        simulation = Simulation(log, quiet=options.quiet)
        try:
            robot = stack.enter_context(Robot(options.connect, name="sim"))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        up = False
        while not ended:
            action = robot.receive(STEP_NS / 1e9)
            if action is not None:
                simulation.obey(action)
            simulation.turn_wheels(time.monotonic_ns())
            if robot.connected != up:
                up = not up
                simulation.link(up=up)
    return 0


if __name__ == "__main__":
    sys.exit(main())
