"""`make test` runs each test once, in one of its two processes, and passes where both do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from all_tests import COMPUTING, NICE

ROOT = Path(__file__).resolve().parents[2]
RUN = "import sys; from pathlib import Path; from all_tests import main; sys.exit(main(Path(sys.argv[1]), ['tests/sums']))"
TEST = """
import os
import pytest

def test_{name}():
    with open("ran", "a") as file:
        print({name!r}, os.getpriority(os.PRIO_PROCESS, 0) - {here}, file=file)
    assert {holds}
"""


#: Two tests, of which the second would never end. It holds the pipe open, or a process that it starts does.
STUCK = """
import atexit, os, subprocess, sys, time

atexit.register(os.write, 1, bytes([255, 10]))  # that is no text
HOLD = "import time; pipe = open({pipe!r}, 'w'); print('begun', file=pipe, flush=True); time.sleep(600)"

def test_wrong():
    assert "found" == "until then"

def test_stuck():
    if {alone}:
        exec(HOLD)
    subprocess.Popen([sys.executable, "-c", HOLD])
    time.sleep(600)
"""
KILLED = """
import os, signal

def test_killed():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def started(tree: Path) -> subprocess.Popen[str]:
    (tree / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "launch"), os.environ.get("PYTHONPATH", "")])}
    words, pipe = [sys.executable, "-c", RUN, tree], subprocess.PIPE
    return subprocess.Popen(
        words, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )


@pytest.mark.parametrize("fails", ["", "sums/test_a", "test_b"])
def test_each_test_runs_once_and_a_failure_of_either_is_one_of_all(tmp_path: Path, fails: str) -> None:
    here = os.getpriority(os.PRIO_PROCESS, 0)
    for name in ("sums/test_a", "test_b", "waits/test_c"):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEST.format(name=name.rpartition("_")[2], here=here, holds=name != fails))
    with started(tmp_path) as run:
        said, _ = run.communicate()
    assert sorted((tmp_path / "ran").read_text().splitlines()) == [f"a {min(NICE, 19 - here)}", "b 0", "c 0"]
    assert run.returncode == (1 if fails else 0), said
    found = "2 of 3 passed, 1 failures" if fails else "3 of 3 passed"
    assert re.fullmatch(rf"all tests: {found} in \d+ s", said.splitlines()[-1])
    assert ("AssertionError" in said or "assert False" in said) == bool(fails)


def stuck(tree: Path, alone: tuple[bool, bool]) -> list[Path]:
    """The pipes that two tests hold: one that only computes, one that waits."""
    (tree / "tests/sums").mkdir(parents=True)
    pipes = [tree / "a", tree / "b"]
    for pipe, name, by_itself in zip(pipes, ("sums/test_a", "test_b"), alone, strict=True):
        os.mkfifo(pipe)
        (tree / "tests" / f"{name}.py").write_text(STUCK.format(pipe=str(pipe), alone=by_itself))
    return pipes


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_when_it_is_stopped_both_say_what_they_found_and_nothing_runs_on(tmp_path: Path, ends: signal.Signals) -> None:
    pipes = stuck(tmp_path, alone=(False, ends is signal.SIGTERM))
    with started(tmp_path) as run, pipes[0].open() as a, pipes[1].open() as b:
        assert [a.readline(), b.readline()] == ["begun\n"] * 2
        if ends is signal.SIGINT:
            os.killpg(run.pid, ends)  # as a terminal does
        else:
            run.send_signal(ends)
        said, _ = run.communicate()
        assert [a.read(), b.read()] == ["", ""]  # nobody has them open
    assert run.returncode == 128 + ends, said
    assert said.count("FAILED tests/") == 2, said
    assert said.count("KeyboardInterrupt") >= 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died")
def test_when_it_is_killed_neither_half_runs_on(tmp_path: Path) -> None:
    pipes = stuck(tmp_path, alone=(True, True))
    with started(tmp_path) as run, pipes[0].open() as a, pipes[1].open() as b:
        assert [a.readline(), b.readline()] == ["begun\n"] * 2
        run.kill()
        assert [a.read(), b.read()] == ["", ""]


@pytest.mark.parametrize("name", ["sums/test_a", "test_b"])
def test_a_half_that_dies_is_a_failure_and_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "tests/sums").mkdir(parents=True)
    for file in ("sums/test_a", "test_b"):
        (tmp_path / "tests" / f"{file}.py").write_text(KILLED if file == name else "def test_right(): pass")
    with started(tmp_path) as run:
        said, _ = run.communicate()
    assert run.returncode == 128 + signal.SIGKILL
    what = "only compute" if "sums" in name else "wait"
    assert said.splitlines()[-1] == f"all tests: the process of those that {what} died of signal 9, Killed"


def test_what_only_computes_starts_nothing_that_others_wait_for() -> None:
    for path in COMPUTING:
        there = ROOT / path
        files = [there] if there.is_file() else sorted(there.rglob("*.py"))
        assert files, f"{path} is not there"
        for file in files:
            assert not re.search(r"mark\.(ray|broker)|RayCrew|SystemClock\(", file.read_text()), file
