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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from omnistream.clock import monotonic_ns
from omnistream.errors import RecordingError
from omnistream.message import SECOND
from omnistream.record.about import About
from omnistream.record.black_box import make_room
from omnistream.record.done import Made
from omnistream.record.part import DONE
from omnistream.record.progress import reserve
from omnistream.record.scribe import Scribe

__all__ = ["Recorder", "main"]

_log = logging.getLogger("omnistream.record")
#: How often what is new is taken: what a chunk of the file may be younger than.
TURN_S = 0.2
_AGAIN_S = 1.0
#: How long a recorder may be silent at the end of a run: its disk may hang.
PATIENCE_S = 30.0
_SIGN_NS = SECOND
_RESTARTS = 10
#: It yields to whoever steers the robot, and still gets a fair part of a busy core.
_NICE = 5
_T = TypeVar("_T")


class Recorder:
    """The run's side. A process that dies is started again, and goes on where it was; at the end what is left is done here.

    `hold` are file descriptors that the process keeps open as long as it lives. One that is silent for `patience_s` at the
    end of the run is ended. Raises RecordingError where nothing can be recorded.
    """

    def __init__(self, run_dir: str, about: About, hold: Sequence[int] = (), *, patience_s: float = PATIENCE_S) -> None:
        self.run_dir, self.about = run_dir, about
        try:
            about.leave(run_dir)
            reserve(Path(run_dir, DONE))
        except OSError as error:
            raise RecordingError(f"{run_dir}: nothing can be recorded there ({error.strerror})") from None
        self._hold, self._patience_s = tuple(hold), patience_s
        self._said: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._asked: dict[str, int] = {}  # for what, and since when
        self._gone = ""
        self._ending = self._hangs = False
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._process = self._start()
        self._thread = threading.Thread(target=self._watch, name="omnistream-recorder", daemon=True)
        self._thread.start()
        threading.Thread(target=self._speak, name="omnistream-recorder-told", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "omnistream.record.recorder", self.run_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, pass_fds=self._hold,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip

    def _watch(self) -> None:
        """What the process says, and that there is one."""
        try:
            for again in range(_RESTARTS + 1):
                process = self._process
                assert process.stdout is not None
                for line in process.stdout:
                    with suppress(ValueError):
                        self._hear(json.loads(line))
                code = process.wait()
                with self._lock:
                    if self._ending or not self._start_again(code, last=again == _RESTARTS):
                        return
        finally:
            self._said.put({"gone": True})

    def _start_again(self, code: int, *, last: bool) -> bool:
        """Whether there is a process again. That there is none is said, also to whoever waits for a black box."""
        try:
            if not last:
                self._process = self._start()
        except OSError as error:
            self._gone = f"the recorder ended ({code}) and cannot be started again ({error.strerror})"
        else:
            self._gone = f"the recorder has ended {_RESTARTS + 1} times ({code}) and is not started again" if last else ""
        if self._gone:
            _log.error(
                "%s; what is spooled in %s, `queue` for each worker at most, is taken at the end", self._gone, self.run_dir
            )
            self._refuse()
            return False
        _log.warning("the recorder ended (%s) and is started again; nothing is lost by that", code)
        if self._asked:
            self.tell({"happened": list(self._asked)})
        return True

    def _hear(self, said: Mapping[str, Any]) -> None:
        if "log" in said:
            _log.warning("%s", said["log"])
            with self._asking:
                answered = said.get("box", ())
                self._asked = {why: at for why, at in self._asked.items() if why not in answered}
        elif "at" not in said or self._ending:
            self._said.put(said)

    def tell(self, said: Mapping[str, Any]) -> None:
        """One line for the process; it is not waited for. One that is dead does not hear it."""
        self._lines.put(json.dumps(said).encode() + b"\n")

    def _speak(self) -> None:
        while True:
            line, process = self._lines.get(), self._process
            assert process.stdin is not None
            if line is None:
                process.stdin.close()
                return
            left = memoryview(line)
            with suppress(OSError):
                while left:
                    left = left[os.write(process.stdin.fileno(), left) :]

    def happened(self, why: Sequence[str]) -> None:
        """Something that a black box is written for. What becomes of it is said in the log."""
        at = monotonic_ns()
        with self._asking:
            new = [w for w in why if w not in self._asked]
            self._asked |= dict.fromkeys(new, at)
        if self._gone:
            self._refuse()
            return
        self.tell({"happened": list(why)})
        if new:
            late = threading.Timer(self.about.keep.after_ns / 1e9 + self._patience_s, self._is_late, [new, at])
            late.daemon = True
            late.start()

    def _refuse(self) -> None:
        with self._asking:
            asked, self._asked = list(self._asked), {}
        if asked:
            _log.warning("the black box was not written (%s): %s", ", ".join(asked), self._gone)

    def _is_late(self, why: Sequence[str], at: int) -> None:
        if waiting := [w for w in why if self._asked.get(w) == at]:
            _log.warning("the black box is not written yet (%s): the recorder does not answer", ", ".join(waiting))

    def finish(self, start_ns: int, rows: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> Made:
        """End the file. Raises RecordingError where it cannot be written, or the process does not say that it is."""
        with self._lock:
            self._ending = True
        self.tell({"end": {"start_ns": start_ns, "rows": list(rows), "run": dict(run)}})
        said = self._answer()
        self.stop()
        if "made" in said:
            return Made.of(said["made"])
        if "failed" in said:
            raise RecordingError(said["failed"])
        try:
            scribe = Scribe(self.run_dir, self.about, remove=True)  # the process died on its last steps
            try:
                return scribe.finish(start_ns, rows, run)
            finally:
                scribe.close()
        except OSError as error:
            raise RecordingError(f"{self.about.path} cannot be finished ({error})") from error

    def _answer(self) -> Mapping[str, Any]:
        """What the process says to the end, as long as it gives a sign of life now and then."""
        since, told = monotonic_ns(), False
        while True:
            with suppress(queue.Empty):
                said = self._said.get(timeout=min(0.5, self._patience_s))
                if "at" not in said:
                    return said
                since = monotonic_ns()
            silent_s = (monotonic_ns() - since) / 1e9
            if silent_s > self._patience_s:
                self._hangs = True
                why = f"the recorder has not answered for {self._patience_s:g} s and was ended"
                return {"failed": f"{why}: {self.about.path} is not finished"}
            if not told and silent_s > self._patience_s / 10:
                told = True
                text = "waiting for the recorder to finish %s, up to %g s while it does not answer"
                _log.warning(text, self.about.path, self._patience_s)

    def stop(self) -> None:
        """Let the process end. What it has not done is left. Idempotent."""
        with self._lock:
            self._ending = True
        with self._asking:
            self._asked = {}  # whoever has not been answered by now is told with the end
        self._lines.put(None)
        try:
            self._process.wait(0 if self._hangs else 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)  # on a disk that hangs it does not even die
        self._thread.join(2)


class _Desk:
    """The process's side."""

    def __init__(self, run_dir: str) -> None:
        self._dir = run_dir
        self._about = About.found(Path(run_dir))
        self._scribe: Scribe | None = None
        self._heard = b""
        self._full = ""
        self._why: list[str] = []
        self._owed: list[str] = []
        self._due = self._told = 0

    def run(self) -> None:
        """Take what comes until the run says its end, or is dead, which is something to write a black box for."""
        while True:
            over, said = self._listen(TURN_S if not self._full else _AGAIN_S)
            if "happened" in said:
                self._due = self._due if self._why else monotonic_ns() + self._about.keep.after_ns
                self._why += [w for w in said["happened"] if w not in self._why]
            self._turn()
            if over or "end" in said:
                self._why += [w for w in self._owed if w not in self._why]
            if over and self._about.keep.box_ns:
                self._why.append("the run died")
            if self._why and ("end" in said or over or monotonic_ns() >= self._due):
                self._box()
            if "end" in said:
                self._finish(said["end"])
            if over or "end" in said:
                return

    def _box(self) -> None:
        """Write what was asked for, and say what has become of it. What fails is tried again at the end."""
        why, self._why = self._why, []
        words = ", ".join(why)
        try:
            path = self._with_scribe(lambda scribe: scribe.write_box(why))
            self._owed = []
            text = (
                f"black box: {path} ({words})" if path else f"no black box ({words}): nothing came that is not in one already"
            )
        except RecordingError as error:
            self._full = self._full or str(error)
            self._owed = why
            text = f"the black box was not written ({words}): {error}"
        _say({"log": text, "box": why})

    def _turn(self) -> None:
        try:
            self._with_scribe(Scribe.turn)
            self._full = ""
        except RecordingError as error:
            if not self._full:  # said once; the next turn tries again, from what is known to be done
                self._full = str(error)
                _say({"log": f"the recording waits: {error}"})

    def _with_scribe(self, act: Callable[[Scribe], _T]) -> _T:
        """Where a ring has no room, its oldest pieces are let go for it. Raises RecordingError."""
        while True:
            try:
                if self._scribe is None:
                    self._scribe = Scribe(self._dir, self._about, remove=True)
                    self._scribe.stepped = self._alive
                return act(self._scribe)
            except RecordingError as error:
                self._leave()
                if not make_room(self._dir, self._about, error):
                    raise

    def _finish(self, end: Mapping[str, Any]) -> None:
        try:
            made = self._with_scribe(lambda scribe: scribe.finish(end["start_ns"], end["rows"], end["run"]))
            if self._owed:
                raise RecordingError(f"the black box was not written ({', '.join(self._owed)}): {self._full}")
            _say({"made": asdict(made)})
        except RecordingError as error:
            _say({"failed": str(error)})
        finally:
            self._leave()

    def _alive(self) -> None:
        """A sign of life, now and then."""
        if monotonic_ns() - self._told > _SIGN_NS:
            self._told = monotonic_ns()
            _say({"at": self._told})

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
