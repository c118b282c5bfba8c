"""`make test`: all tests, in two processes: those that wait, and beside them, in the time they leave, those that only compute.

    python launch/all_tests.py

What waits (for Ray, a broker, a camera, a clock) leaves two cores idle for three quarters of its time. What only computes takes
that time: it gives way to all else, so that what is timed beside it is as it would be alone. Each test runs in one of the two;
the exit code is 0 where both passed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from processes import end, spawn

__all__ = ["COMPUTING", "NICE", "main"]

ROOT = Path(__file__).resolve().parents[1]
#: Tests here start no Ray, no broker and no server, and look at no clock: however slow they are, they find the same.
COMPUTING = (
    "tests/engine/test_fresh_laws.py",
    "tests/engine/test_fresh_replays.py",
    "tests/export",
    "tests/flow",
    "tests/foreign/test_media.py",
    "tests/graph",
    "tests/launch/test_budget_virtual.py",
    "tests/launch/test_fused_rules.py",
    "tests/link/test_packed.py",
    "tests/link/test_pieces.py",
    "tests/link/test_wire.py",
    "tests/models",
    "tests/nodes",
    "tests/observe",
    "tests/record/test_cut.py",
    "tests/record/test_damage.py",
    "tests/record/test_packets.py",
    "tests/record/test_roundtrip.py",
    "tests/record/test_shipped.py",
    "tests/record/test_unpack.py",
    "tests/test_api.py",
    "tests/test_coded.py",
    "tests/test_recordings_page.py",
    "tests/test_testing.py",
)
#: One test of these computes for at most 15 s; beside others it may wait for its turn.
PATIENCE_S = 600
#: Of a core that others want it has a tenth. At 19 it would stand still beside any other program that computes.
NICE = 10
#: For pytest to say what it found until then, when it is stopped: with a tenth of a core, 5 s were too few.
_LAST_WORDS_S = 15.0


def main(root: Path = ROOT, computing_tests: Sequence[str] = COMPUTING) -> int:
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+", errors="replace") as log:
        results = [Path(folder) / "waiting.xml", Path(folder) / "computing.xml"]
        computing = spawn(
            ["nice", "-n", str(NICE), *pytest(results[1], f"-otimeout={PATIENCE_S}", "-pno:cacheprovider", *computing_tests)],
            cwd=str(root), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        share_by_niceness(computing.pid)
        others = pytest(results[0], *(f"--ignore={path}" for path in computing_tests))
        waiting = spawn(others, cwd=str(root), apart=False)
        stopped = 0
        try:
            waiting.wait()
            computing.wait()
        except KeyboardInterrupt:
            stopped = 128 + signal.SIGINT
            waiting.wait()  # it had the Ctrl-C as well, and ends by itself
        finally:
            stop(waiting, computing)
            show(log)
        if not stopped:
            print(summary(results, time.monotonic() - began), flush=True)
        codes = [exit_code(*half) for half in (("wait", waiting), ("only compute", computing))]
    return stopped or next((code for code in codes if code), 0)


def stop(waiting: subprocess.Popen[Any], computing: subprocess.Popen[Any]) -> None:
    """End both, if they have not: as by a Ctrl-C, so that they say what they found; and what `computing` had started."""
    halves = [half for half in (waiting, computing) if half.poll() is None]
    for half in halves:
        half.send_signal(signal.SIGINT)
    for half in halves:
        with contextlib.suppress(subprocess.TimeoutExpired):
            half.wait(_LAST_WORDS_S)
    with contextlib.suppress(OSError):  # nothing is left
        os.killpg(computing.pid, signal.SIGTERM)
    for half in halves:
        end(half)


def exit_code(what: str, half: subprocess.Popen[Any]) -> int:
    """As a shell gives it; one that died says so."""
    code: int = half.wait()
    if code < 0:
        print(f"all tests: the process of those that {what} died of signal {-code}, {signal.strsignal(-code)}", flush=True)
    return 128 - code if code < 0 else code


def pytest(result: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "pytest", f"--junitxml={result}", *words]


def share_by_niceness(pid: int) -> None:
    """Where Linux shares time among sessions first (sched(7), autogroup), the niceness of this process's session counts."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))


def show(log: IO[str]) -> None:
    log.seek(0)
    print("\nThe tests that only compute, which ran beside the others:")
    for line in log:
        print(line, end="")
    sys.stdout.flush()


def summary(results: list[Path], seconds: float) -> str:
    """All tests of both, as one line."""
    found: Counter[str] = Counter()
    for result in results:
        if not result.exists():
            return f"all tests: one of the two processes was ended before it could say what it found ({result.stem})"
        for suite in ET.parse(result).iter("testsuite"):
            found.update({key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")})
    passed = found["tests"] - found["failures"] - found["errors"] - found["skipped"]
    bad = "".join(f", {found[key]} {key}" for key in ("failures", "errors", "skipped") if found[key])
    return f"all tests: {passed} of {found['tests']} passed{bad} in {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
