"""`make setup`: quick the second time, and a sentence for what is wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import setup

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_python_that_is_not_there_is_a_sentence() -> None:
    done = subprocess.run(["make", "setup", "PYTHON=/no/python"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'/no/python' is not here; install Python 3.11 or newer" in done.stderr


def test_an_unknown_torch_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "launch/setup.py", "--torch", "tpu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "tpu" in done.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt, setup.SetupError])
def test_nothing_more_is_installed_when_somebody_stops_it_or_pip_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[BaseException]
) -> None:
    calls: list[str] = []
    begun = threading.Event()

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(" ".join(command[:2]))
        begun.set()
        return subprocess.CompletedProcess(command, 100)  # as apt-get does when dpkg had a Ctrl-C

    def packages(purpose: str, torch: str) -> None:
        begun.wait()
        raise error

    monkeypatch.setattr(setup, "STOPPED", threading.Event())
    monkeypatch.setattr(setup, "has_package", lambda name: False)
    monkeypatch.setattr(setup, "packages", packages)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(error):
        setup.install("test", "cpu")
    assert calls == ["apt-get install"]
    assert "is not installed" not in capsys.readouterr().out


def test_every_direct_dependency_is_locked() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    wanted = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    names = {re.split(r"[<>=\[]", w)[0].lower() for w in wanted}
    assert names <= locked
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()


def test_no_registry_address_is_written_down() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "launch/setup.py"):
        assert "://" not in (ROOT / name).read_text()


def test_entry_points_name_what_exists() -> None:
    from importlib.metadata import entry_points

    found = [*entry_points(group="omnistream.nodes"), *entry_points(group="omnistream.drivers")]
    assert len(found) >= 18
    for point in found:
        assert point.load().__name__ == point.value.split(":")[1]
