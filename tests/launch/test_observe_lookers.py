"""Who looks at a run: where they end before it, that is an error and no run without observation; and they always end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import observe_lookers
import pytest
from observe_lookers import Lookers, NotObservedError

#: In the place of `top`: as long as it lives it is connected.
TOP = """
import socket, time
connection = socket.create_connection(("127.0.0.1", {port}))
print("shown", flush=True)
time.sleep(600)
"""


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.scraped.set()
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def tops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[socket.socket]:
    """Where each `top` connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        folder = tmp_path / "omnistream" / "cli"
        folder.mkdir(parents=True)
        for package in (folder.parent, folder):
            (package / "__init__.py").touch()
        (folder / "main.py").write_text(TOP.format(port=server.getsockname()[1]))
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture
def page() -> Generator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.scraped = threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def look_once_begun(lookers: Lookers, on: bool) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return lookers.look(on=on)
        except NotObservedError as error:
            if "has not begun" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def look_until_it_fails(lookers: Lookers) -> None:
    while True:  # they end a moment after `top`
        look_once_begun(lookers, True)
        time.sleep(0.02)


def ended(top: socket.socket) -> bool:
    top.settimeout(20)
    return top.recv(1) == b""


def test_they_look_and_halt_and_end(tops: socket.socket, page: ThreadingHTTPServer) -> None:
    lookers = Lookers(page.server_port)
    with pytest.raises(NotObservedError, match="has not begun"):
        lookers.look(on=True)
    with tops.accept()[0] as top:
        look_once_begun(lookers, True)
        assert page.scraped.wait(20)
        lookers.look(on=False)
        lookers.close()
        assert ended(top)


def test_where_the_metrics_are_not_to_be_had_the_next_look_says_so(
    tops: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as was:
        port = was.getsockname()[1]
    lookers = Lookers(port)  # nobody is there any more
    with tops.accept()[0] as top:
        assert ended(top)
        with pytest.raises(NotObservedError, match="ended before the run"):
            look_until_it_fails(lookers)
        lookers.close()
    assert "Connection refused" in capfd.readouterr().err


def test_where_they_wait_for_an_answer_that_never_comes_they_are_ended(
    tops: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe_lookers, "_CLOSE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lookers = Lookers(silent.getsockname()[1])
        with tops.accept()[0] as top, silent.accept()[0]:
            began = time.monotonic()
            lookers.close()
            assert time.monotonic() - began < 5  # they would wait for 10 s
            assert ended(top)
