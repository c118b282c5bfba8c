"""`make test`: all tests, in three processes: those that wait, and beside them, in the time they leave, two that only compute.

    python launch/all_tests.py

What waits (for Ray, a broker, a camera, a clock) leaves two cores idle for three quarters of its time. What only computes takes
that time: it gives way to all else, so that what is timed beside it is as it would be alone. Each test runs
in one of the three; the exit code is 0 where all passed.
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
from typing import Any

from processes import end, spawn

__all__ = ["COMPUTING", "NICE", "main"]

ROOT = Path(__file__).resolve().parents[1]
#: Tests here start no Ray, no broker and no server, and look at no clock: however slow they are, they find the same.
#: One process for each of two parts, which take about as long.
COMPUTING = (
    (
        "tests/export",
        "tests/flow",
        "tests/foreign/test_bag.py",
        "tests/foreign/test_lerobot.py",
        "tests/foreign/test_media.py",
        "tests/foreign/test_ros2.py",
        "tests/graph",
        "tests/models",
    ),
    (
        "tests/cli/test_draw.py",
        "tests/cli/test_new.py",
        "tests/cli/test_nodes.py",
        "tests/engine/test_as_recorded.py",
        "tests/engine/test_as_recorded_faults.py",
        "tests/engine/test_fresh_laws.py",
        "tests/engine/test_fresh_replays.py",
        "tests/engine/test_replay_laws.py",
        "tests/launch/test_budget_virtual.py",
        "tests/launch/test_fused_rules.py",
        "tests/launch/test_setup.py",
        "tests/launch/test_skips.py",
        "tests/link/test_packed.py",
        "tests/link/test_pieces.py",
        "tests/link/test_slots.py",
        "tests/link/test_wire.py",
        "tests/media/test_cutter.py",
        "tests/media/test_resample.py",
        "tests/nodes",
        "tests/observe",
        "tests/protocol",
        "tests/record",
        "tests/test_api.py",
        "tests/test_coded.py",
        "tests/test_message.py",
        "tests/test_node.py",
        "tests/test_readme.py",
        "tests/test_recordings_page.py",
        "tests/test_tensor.py",
        "tests/test_testing.py",
    ),
)
#: One test of these computes for at most 15 s; beside others it may wait for its turn.
PATIENCE_S = 600
#: Of a core that others want it has a tenth. At 19 it would stand still beside any other program that computes.
NICE = 10
#: For pytest to say what it found until then, when it is stopped: with a tenth of a core, 5 s were too few.
_LAST_WORDS_S = 15.0


def main(root: Path = ROOT, shares: Sequence[Sequence[str]] = COMPUTING) -> int:
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        results = [Path(folder) / f"{name}.xml" for name in ("waiting", *(f"computing-{n}" for n in range(len(shares))))]
        logs = [result.with_suffix(".log") for result in results[1:]]
        computing = [compute(root, *share) for share in zip(shares, results[1:], logs, strict=True)]
        others = pytest(results[0], *(f"--ignore={path}" for share in shares for path in share))
        waiting = spawn(others, cwd=str(root), apart=False)
        stopped = 0
        try:
            for process in (waiting, *computing):
                process.wait()
        except KeyboardInterrupt:
            stopped = 128 + signal.SIGINT
            waiting.wait()  # it had the Ctrl-C as well, and ends by itself
        finally:
            stop(waiting, computing)
            for log in logs:
                show(log)
        if not stopped:
            print(summary(results, time.monotonic() - began), flush=True)
        codes = [exit_code("wait", waiting), *(exit_code("only compute", process) for process in computing)]
    return stopped or next((code for code in codes if code), 0)


def compute(root: Path, tests: Sequence[str], result: Path, log: Path) -> subprocess.Popen[Any]:
    """Start the process of tests that give way to all else; what it says goes into `log`."""
    with log.open("w") as file:
        process = spawn(
            ["nice", "-n", str(NICE), *pytest(result, f"-otimeout={PATIENCE_S}", "-pno:cacheprovider", *tests)],
            cwd=str(root), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    share_by_niceness(process.pid)
    return process


def stop(waiting: subprocess.Popen[Any], computing: Sequence[subprocess.Popen[Any]]) -> None:
    """End all that have not: as by a Ctrl-C, so that they say what they found; and what those `computing` had started."""
    running = [process for process in (waiting, *computing) if process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_WORDS_S)
    for process in computing:
        with contextlib.suppress(OSError):  # nothing is left
            os.killpg(process.pid, signal.SIGTERM)
    for process in running:
        end(process)


def exit_code(what: str, process: subprocess.Popen[Any]) -> int:
    """As a shell gives it; one that died says so."""
    code: int = process.wait()
    if code < 0:
        print(f"all tests: the process of those that {what} died of signal {-code}, {signal.strsignal(-code)}", flush=True)
    return 128 - code if code < 0 else code


def pytest(result: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "pytest", f"--junitxml={result}", *words]


def share_by_niceness(pid: int) -> None:
    """Where Linux shares time among sessions first (sched(7), autogroup), the niceness of this process's session counts."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))


def show(log: Path) -> None:
    print("\nTests that only compute, which ran beside the others:")
    print(log.read_text(errors="replace"), end="", flush=True)


def summary(results: list[Path], seconds: float) -> str:
    """All tests of all processes, as one line."""
    found: Counter[str] = Counter()
    for result in results:
        if not result.exists():
            return f"all tests: one of the processes was ended before it could say what it found ({result.stem})"
        for suite in ET.parse(result).iter("testsuite"):
            found.update({key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")})
    passed = found["tests"] - found["failures"] - found["errors"] - found["skipped"]
    bad = "".join(f", {found[key]} {key}" for key in ("failures", "errors", "skipped") if found[key])
    return f"all tests: {passed} of {found['tests']} passed{bad} in {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
