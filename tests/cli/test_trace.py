"""`run --trace` and `--otlp`: a file that opens, spans that a collector takes, and a collector that is away costs nothing."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import omnistream, refused, ticks
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(http.server.ThreadingHTTPServer):
    """Takes OTLP over HTTP, as any collector does."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_traces_go_to_a_file_and_a_collector(tmp_path: Path, collector: Collector) -> None:
    file = tmp_path / "run.json.gz"
    words = ["--engine", "local", "--trace", file, "--otlp", collector.url, "--trace-sample", "100%"]
    ended = omnistream("run", ticks(tmp_path, count=15), *words)
    assert ended.code == 0
    count = ended.summary["outputs"]["show"]
    assert count > 0
    assert f"trace in {file}: {5 * count} spans" in ended.out
    assert f"spans sent to {collector.url}/v1/traces: {5 * count}" in ended.out
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    assert sum(e["ph"] == "X" for e in events) == 3 * count
    spans = []
    for path, kind, body in collector.got:
        assert (path, kind) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            said = {a.key: a.value.string_value for a in resource.resource.attributes}
            assert said == {"service.namespace": "omnistream", "service.name": "ticks", "service.instance.id": "main"}
            spans += [s for scope in resource.scope_spans for s in scope.spans]
    assert len(spans) == 5 * count
    assert len({s.trace_id for s in spans}) == count
    assert {s.name for s in spans} == {"ticks", "ticks.out->same.message", "same", "same.out->show.message", "show"}


def test_a_collector_that_is_away_is_said_once_and_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ended = omnistream("run", ticks(tmp_path), "--engine", "local", "--otlp", "http://127.0.0.1:9", "--trace-sample", "100%")
    assert ended.code == 0
    assert ended.summary["outputs"]["show"] > 0
    assert "v1/traces: 0, " in ended.out
    assert sum("does not take spans" in r.message for r in caplog.records) == 1


def test_what_is_no_collector_and_a_disk_that_is_full_cost_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "t.json").symlink_to("/dev/full")
    with socket.create_server(("127.0.0.1", 0)) as server:  # as one that speaks HTTP/2 and gRPC only

        def garbage() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller:
                        caller.recv(1 << 16)
                        caller.sendall(b"\0\0\x12\4\0\0\0\0\0" + bytes(18))

        threading.Thread(target=garbage, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        words = ["--trace", tmp_path / "t.json", "--otlp", url, "--trace-sample", "100%"]
        ended = omnistream("run", ticks(tmp_path, count=400, rate=400), "--engine", "local", *words)
        server.shutdown(socket.SHUT_RDWR)
    assert ended.code == 0
    assert ended.summary["outputs"]["show"] > 0
    assert "v1/traces: 0, " in ended.out
    assert sum("does not take spans" in r.message for r in caplog.records) == 1
    assert sum("the trace ends here: No space left" in r.message for r in caplog.records) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trace", "t.txt"], ".json"),
        (["--trace", "none/t.json"], "none"),
        (["--otlp", "collector:4318"], "http://127.0.0.1:4318"),
        (["--otlp", "ftp://x"], "http://127.0.0.1:4318"),
        (["--trace-sample", "1%"], "--trace FILE"),
        (["--trace", "t.json", "--trace-sample", "0.01"], "percent"),
        (["--trace", "t.json", "--trace-sample", "200%"], "percent"),
    ],
)
def test_wrong_words_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused("run", ticks(tmp_path), "--engine", "local", *words)
