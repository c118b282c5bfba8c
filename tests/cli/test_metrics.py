"""`run --metrics`: a page that Prometheus can read, while the run goes on, and nothing else."""

from __future__ import annotations

import http.client
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import graph, omnistream, refused, start, ticks
from processes import free_port
from prometheus_client.parser import text_string_to_metric_families as parsed


def port_of(process: subprocess.Popen[str]) -> int:
    """Where a run says that its metrics are."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("metrics at http://127.0.0.1:"):
            return int(line.split(":")[-1].removesuffix("/metrics\n"))
    raise AssertionError(process.communicate())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The port of a run whose graph says that metrics are served."""
    file = ticks(tmp_path, count=0)
    file.write_text(file.read_text() + "metrics: 127.0.0.1:0\n")
    process = start("run", file, "--engine", "local")
    try:
        yield port_of(process)
    finally:
        process.terminate()
        out, err = process.communicate(timeout=20)
        assert "Traceback" not in out + err


def ask(port: int, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_page_is_served_and_nothing_but_it(served: int) -> None:
    page = ""
    while "omnistream_edge_credits" not in page:  # its worker has not been heard of yet
        status, page = ask(served, "GET", "/metrics")
    names = {family.name for family in parsed(page)}
    assert status == 200
    assert {"omnistream_run_info", "omnistream_firings", "omnistream_step_seconds", "omnistream_edge_credits"} <= names
    assert ask(served, "HEAD", "/metrics") == (200, "")
    assert ask(served, "GET", "/metrics?name=x")[0] == 200
    assert ask(served, "GET", "/")[0] == 404
    assert ask(served, "POST", "/metrics")[0] == 405


def test_garbage_harms_nobody(served: int) -> None:
    for data in (
        b"",
        b"\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 1000,
        b"x" * 100_000,
        b"\xff\xfe\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", served), 10) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                assert b"200" not in connection.recv(1 << 16)
            except (BrokenPipeError, ConnectionResetError):
                continue
    held = [socket.create_connection(("127.0.0.1", served), 10) for _ in range(20)]
    assert ask(served, "GET", "/metrics")[0] == 503
    for connection in held:
        connection.close()
    while ask(served, "GET", "/metrics")[0] == 503:
        pass


@pytest.mark.parametrize("at", ["9464", "x:y", "127.0.0.1:99999", "http://127.0.0.1:9464"])
def test_what_is_no_address_is_refused(tmp_path: Path, at: str) -> None:
    file = ticks(tmp_path)
    if ":" in at:
        assert "HOST:PORT" in refused("run", file, "--engine", "local", "--metrics", at)
    assert "HOST:PORT" in refused("check", graph(tmp_path, f"{file.read_text()}metrics: '{at}'\n", "g.yaml"))


def test_a_taken_address_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "cannot be served" in refused("run", ticks(tmp_path), "--engine", "local", "--metrics", at)


def test_metrics_alone_stand_for_the_usual_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the graph, after it, and before another option."""
    at = f"127.0.0.1:{free_port()}"
    monkeypatch.setattr("omnistream.cli.optional.METRICS_AT", at)
    file = ticks(tmp_path, count=2)
    for words in (
        ["--metrics", file, "--engine", "local"],
        [file, "--engine", "local", "--metrics"],
        [file, "--metrics", "--engine", "local"],
    ):
        ended = omnistream("run", *words)
        assert ended.code == 0, ended.err
        assert f"metrics at http://{at}/metrics" in ended.out
