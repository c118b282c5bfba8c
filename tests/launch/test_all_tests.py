"""`make test` runs each test once, in one of its two processes, and passes where both do."""

from __future__ import annotations

import os
import re
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


@pytest.mark.parametrize("fails", ["", "sums/test_a", "test_b"])
def test_each_test_runs_once_and_a_failure_of_either_is_one_of_all(tmp_path: Path, fails: str) -> None:
    here = os.getpriority(os.PRIO_PROCESS, 0)
    for name in ("sums/test_a", "test_b", "waits/test_c"):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEST.format(name=name.rpartition("_")[2], here=here, holds=name != fails))
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "launch"), os.environ.get("PYTHONPATH", "")])}
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    done = subprocess.run([sys.executable, "-c", RUN, tmp_path], env=env, capture_output=True, text=True, check=False)
    assert sorted((tmp_path / "ran").read_text().splitlines()) == [f"a {min(NICE, 19 - here)}", "b 0", "c 0"]
    assert done.returncode == (1 if fails else 0), done.stdout + done.stderr
    said = "2 of 3 passed, 1 failures" if fails else "3 of 3 passed"
    assert re.fullmatch(rf"all tests: {said} in \d+ s", done.stdout.splitlines()[-1])
    assert ("AssertionError" in done.stdout or "assert False" in done.stdout) == bool(fails)


def test_what_only_computes_starts_nothing_that_others_wait_for() -> None:
    for path in COMPUTING:
        there = ROOT / path
        files = [there] if there.is_file() else sorted(there.rglob("*.py"))
        assert files, f"{path} is not there"
        for file in files:
            assert not re.search(r"mark\.(ray|broker)|RayCrew|SystemClock\(", file.read_text()), file
