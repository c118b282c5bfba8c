"""A media file is read alone: what it names is not fetched."""

from __future__ import annotations

import wave
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


def test_a_playlist_fetches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/part.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(FFmpegError):
        open_file(path)
