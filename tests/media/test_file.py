"""A media file is read alone: what it names is not fetched."""

from __future__ import annotations

import threading
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from av.error import FFmpegError

from omnistream.media.file import open_file


def test_a_file_is_opened_whatever_its_name_looks_like(tmp_path: Path) -> None:
    path = tmp_path / "http:sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    with open_file(path) as container:
        assert len(container.streams.audio) == 1


class NotThere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.mark.parametrize(
    ("options", "asked"),
    [({}, []), ({"protocol_whitelist": "file,crypto,data,http,tcp"}, ["/part.ts"])],
    ids=["as it is", "wider"],
)
def test_a_playlist_fetches_nothing_unless_it_may(tmp_path: Path, options: dict[str, str], asked: list[str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), NotThere) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        part = f"http://127.0.0.1:{server.server_port}/part.ts"
        path = tmp_path / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{part}\n#EXT-X-ENDLIST\n")
        try:
            with pytest.raises(FFmpegError):
                open_file(path, options)
        finally:
            server.shutdown()
        assert server.asked[:1] == asked
