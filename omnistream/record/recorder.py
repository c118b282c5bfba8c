"""The recorder's process, and whoever starts it: beside the run and not in it, so that recording holds nobody up.

The run says its end (and what a black box is written for) on the process's standard input, a line of JSON each; it answers
on its standard output. Where the input ends without that, the run is dead: what is spooled is taken, and the file is left
for `omnistream record recover`.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omnistream.clock import monotonic_ns
from omnistream.errors import RecordingError
from omnistream.record.about import About
from omnistream.record.part import DONE
from omnistream.record.progress import reserve
from omnistream.record.scribe import Made, Scribe

__all__ = ["Recorder", "main"]

_log = logging.getLogger("omnistream.record")
#: How often what is new is taken: what a chunk of the file may be younger than.
TURN_S = 0.2
_AGAIN_S = 1.0
_RESTARTS = 10
#: It yields to whoever steers the robot, and still gets a fair part of a busy core.
_NICE = 5


class Recorder:
    """The run's side. A process that dies is started again, and goes on where it was; at the end what is left is done here."""

    def __init__(self, run_dir: str, about: About, hold: Sequence[int] = ()) -> None:
        self.run_dir, self.about, self._hold = run_dir, about, tuple(hold)
        try:
            about.leave(run_dir)
            reserve(Path(run_dir, DONE))
        except OSError as error:
            raise RecordingError(f"{run_dir}: nothing can be recorded there ({error.strerror})") from None
        self._said: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._ending = False
        self._lock = threading.Lock()
        self._process = self._start()
        self._thread = threading.Thread(target=self._watch, name="omnistream-recorder", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "omnistream.record.recorder", self.run_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True, pass_fds=self._hold,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip

    def _watch(self) -> None:
        """What the process says, and that there is one."""
        for _ in range(_RESTARTS):
            process = self._process
            assert process.stdout is not None
            for line in process.stdout:
                with suppress(ValueError):
                    self._hear(json.loads(line))
            code = process.wait()
            with self._lock:
                if self._ending:
                    break
                _log.warning("the recorder ended (%s) and is started again; nothing is lost by that", code)
                self._process = self._start()
        self._said.put({"gone": True})

    def _hear(self, said: Mapping[str, Any]) -> None:
        if "log" in said:
            _log.warning("%s", said["log"])
        else:
            self._said.put(said)

    def tell(self, said: Mapping[str, Any]) -> None:
        """One line for the process. One that is dead does not hear it."""
        with suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(said) + "\n")
            self._process.stdin.flush()

    def happened(self, why: Sequence[str]) -> None:
        """Something that a black box is written for."""
        self.tell({"happened": list(why)})

    def finish(self, start_ns: int, rows: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> Made:
        """End the file. Raises RecordingError where it cannot be written."""
        with self._lock:
            self._ending = True
        self.tell({"end": {"start_ns": start_ns, "rows": list(rows), "run": dict(run)}})
        said = self._said.get()
        self.stop()
        if "made" in said:
            return Made.of(said["made"])
        if "failed" in said:
            raise RecordingError(said["failed"])
        scribe = Scribe(self.run_dir, self.about, remove=True)  # the process died on its last steps
        try:
            return scribe.finish(start_ns, rows, run)
        finally:
            scribe.close()

    def stop(self) -> None:
        """Let the process end. What it has not done is left. Idempotent."""
        with self._lock:
            self._ending = True
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join(5)


class _Desk:
    """The process's side."""

    def __init__(self, run_dir: str) -> None:
        self._dir = run_dir
        self._about = About.found(Path(run_dir))
        self._scribe: Scribe | None = None
        self._heard = b""
        self._full = ""
        self._why: list[str] = []
        self._due = 0

    def run(self) -> None:
        """Take what comes until the run says its end, or is dead, which is something to write a black box for."""
        while True:
            over, said = self._listen(TURN_S if not self._full else _AGAIN_S)
            if "happened" in said:
                self._due = self._due if self._why else monotonic_ns() + self._about.keep.after_ns
                self._why += [w for w in said["happened"] if w not in self._why]
            self._turn()
            if over and self._about.keep.box_ns:
                self._why.append("the run died")
            if self._why and ("end" in said or over or monotonic_ns() >= self._due):
                self._box()
            if "end" in said:
                self._finish(said["end"])
            if over or "end" in said:
                return

    def _box(self) -> None:
        try:
            path = self._scribe.write_box(self._why) if self._scribe is not None else ""
            if path:
                _say({"log": f"black box: {path} ({', '.join(self._why)})"})
        except RecordingError as error:
            _say({"log": f"the black box was not written: {error}"})
            self._leave()
        self._why = []

    def _turn(self) -> None:
        try:
            if self._scribe is None:
                self._scribe = Scribe(self._dir, self._about, remove=True)
            self._scribe.turn()
            self._full = ""
        except RecordingError as error:
            if not self._full:  # said once; the next turn tries again, from what is known to be done
                self._full = str(error)
                _say({"log": f"the recording waits: {error}"})
            self._leave()

    def _finish(self, end: Mapping[str, Any]) -> None:
        try:
            self._scribe = self._scribe or Scribe(self._dir, self._about, remove=True)
            made = self._scribe.finish(end["start_ns"], end["rows"], end["run"])
            _say({"made": asdict(made)})
        except RecordingError as error:
            _say({"failed": str(error)})
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._scribe is not None:
            self._scribe.close()
            self._scribe = None

    def _listen(self, seconds: float) -> tuple[bool, Mapping[str, Any]]:
        """Whether the run is dead, and what it said if it did."""
        if b"\n" not in self._heard and not select.select([0], [], [], seconds)[0]:
            return False, {}
        if b"\n" in self._heard:
            line, _, self._heard = self._heard.partition(b"\n")
            return False, json.loads(line)
        data = os.read(0, 1 << 20)
        self._heard += data
        while data and b"\n" not in self._heard:
            data = os.read(0, 1 << 20)
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        if not data:
            return True, {}
        return False, json.loads(line)


def _say(said: Mapping[str, Any]) -> None:
    with suppress(OSError):  # nobody is there any more
        os.write(1, json.dumps(said).encode() + b"\n")


def main() -> None:
    """Record the run whose directory is named."""
    with suppress(OSError):
        os.nice(_NICE)
    _Desk(sys.argv[1]).run()


if __name__ == "__main__":
    main()
