"""A run that is going on, looked at and ended by other commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import graph, omnistream

from omnistream.engine.control import SOCKET, ask
from omnistream.errors import OmniStreamError

TICKS = """graph: {name}
nodes:
  ticks: {{use: tick, with: {{rate_hz: 50}}}}
  show: {{use: console, inputs: {{message: ticks}}}}
"""


class Going:
    """A run in a process of its own, in a temporary directory of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        file = graph(folder, TICKS.format(name=name), f"{name}.yaml")
        words = [sys.executable, "-m", "omnistream.cli.main", "run", str(file), "--engine", "local"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=20)
        return self.process.returncode, out


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where runs have their directories, with a name that is short enough: other runs of this host are not seen."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as short:
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(short)
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def going(folder: Path) -> Iterator[list[Going]]:
    runs: list[Going] = []
    yield runs
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGKILL)
        run.process.communicate()


def test_a_run_is_listed_watched_and_ended(folder: Path, going: list[Going]) -> None:
    run = Going(folder, "pump")
    going.append(run)
    pid = str(run.process.pid)
    listed = omnistream("ps").out
    assert pid in listed
    assert "pump" in listed
    shown = omnistream("top", "pump", "--once").out
    assert "ticks" in shown
    assert "ledger:" in shown
    assert "in all: " in omnistream("ledger").out
    assert omnistream("logs", pid).code == 0
    assert "is ending" in omnistream("stop", pid).out
    code, out = run.end()
    assert code == 0
    assert "omnistream stop" in out
    assert omnistream("ps").out.strip() == "no graph is running here"


def test_of_several_one_is_named(folder: Path, going: list[Going]) -> None:
    going += [Going(folder, "left"), Going(folder, "right")]
    ended = omnistream("stop")
    assert ended.code == 2
    assert "name one by its process" in ended.err
    assert str(going[0].process.pid) in ended.err
    ended = omnistream("top", "middle", "--once")
    assert ended.code == 2
    assert "no graph 'middle'" in ended.err
    assert omnistream("stop", "right").code == 0
    assert going[1].end()[0] == 0
    assert omnistream("stop").code == 0
    assert going[0].end()[0] == 0


@pytest.mark.parametrize("command", ["top", "ledger", "logs", "stop"])
def test_where_nothing_runs_that_is_said(folder: Path, command: str) -> None:
    ended = omnistream(command)
    assert ended.code == 2
    assert ended.err.strip() == "no graph is running here (of this user)"


def test_garbage_at_the_socket_harms_nobody(folder: Path, going: list[Going]) -> None:
    going.append(Going(folder, "pump"))
    home = next(folder.glob("omnistream-*"))
    assert home.stat().st_mode & 0o077 == 0
    for data in (
        b"",
        b"\n",
        b"{}\n",
        b"[1]\n",
        b'{"ask": "eval"}\n',
        b'{"ask": "logs", "since": "x"}\n',
        b"x" * 100_000,
        b"\xff\n",
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(8)
            connection.connect(str(home / SOCKET))
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(1 << 16)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
        assert not answer or "lines" in json.loads(answer)
    view: Any = ask(home, {"ask": "view"})
    assert view["pid"] == going[0].process.pid
    with pytest.raises(OmniStreamError, match="does not answer"):
        ask(home, {"ask": "eval"})
    os.kill(going[0].process.pid, signal.SIGTERM)
    code, out = going[0].end()
    assert code == 0
    assert "Traceback" not in out
