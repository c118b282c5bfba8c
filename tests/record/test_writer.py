"""A recording on a disk that is full ends in a sentence, whenever that is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnistream.errors import RecordingError
from omnistream.message import SECOND, Text
from omnistream.record import RecordedMessage, Recording, RecordingWriter


def fill(path: Path, characters: int) -> None:
    text = "".join(chr(33 + i * i % 89) for i in range(characters))
    with RecordingWriter(path, start_ns=0) as writer:
        for i in range(1, 3000):
            writer.write("typed.out", RecordedMessage(i * SECOND, None, Text(text[i % 50 :] + str(i * i))))
        writer.attach("ledger.json", bytes(range(256)) * 300)


@pytest.mark.parametrize("characters", [100, 700, 900, 1200, 3000, 20_000])
def test_a_full_disk_is_one_sentence_and_what_is_whole_is_read(small_disk: Path, characters: int) -> None:
    path = small_disk / "x.mcap"
    with pytest.raises(RecordingError, match="No space left on device"):
        fill(path, characters)
    with Recording(path) as file:
        assert "what is whole was read" in file.notice
        assert list(file.messages("typed.out"))
