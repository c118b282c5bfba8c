"""The same packets give the same pixels: on a processor without any special instructions, too, and with any threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from film import Film

from omnistream.coded import CODECS, Decoder, Look, Pixels, is_key_packet

LOOKS = [Look(160, 120), Look(97, 61), Look(320, 200, 1)]

PLAIN = """
import ctypes, sys
from pathlib import Path
import av
(library,) = (Path(av.__file__).parent.parent / "av.libs").glob("libavutil*")
ctypes.CDLL(str(library)).av_force_cpu_flags(0)
sys.path[:0] = sys.argv[1:3]
from test_coded import checksums
print(*checksums(sys.argv[3], Path(sys.argv[4]).read_bytes()))
"""


def checksums(codec: str, packets: bytes) -> tuple[list[int], int]:
    """Of what is seen of packets, each behind its length; and of the first as FFmpeg converts it by itself."""
    decoder, pixels, found, alone = Decoder(codec), Pixels(), [], 0
    while packets:
        size = int.from_bytes(packets[:4], "big")
        data, packets = packets[4 : size + 4], packets[size + 4 :]
        if is_key_packet(codec, data)[0]:
            decoder = Decoder(codec)
        frames = decoder.decode(data)
        found += [crc32(pixels.of(f, look).data) for f in frames for look in LOOKS]
        alone = alone or crc32(np.ascontiguousarray(frames[0].to_ndarray(format="rgb24")).data)
    return found, alone


@pytest.mark.parametrize("codec", CODECS)
def test_the_processor_makes_no_difference(codec: str, tmp_path: Path) -> None:
    film = Film(codec, 2, (160, 120), most=30)
    packets = [film.packet()[1] for _ in range(40)]
    (tmp_path / "packets").write_bytes(b"".join(len(p).to_bytes(4, "big") + p for p in packets))
    here = Path(__file__).parent
    command = [sys.executable, "-c", PLAIN, str(here), str(here.parent), codec, str(tmp_path / "packets")]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    numbers, alone = checksums(codec, (tmp_path / "packets").read_bytes())
    there, alone_there = said.stdout.rsplit(" ", 1)
    assert there == str(numbers)
    assert int(alone_there) != alone, "that is why all this is needed"


@pytest.mark.parametrize("codec", CODECS)
def test_frames_that_were_not_seen_change_none_that_was(codec: str) -> None:
    film = Film(codec, 3)
    shots = [film.shot() for _ in range(40)]
    for frame, coded in shots[::3]:
        assert coded.group is not None
        decoder, frames = Decoder(codec), []
        for data in coded.group.packets[: coded.at + 1]:
            frames = decoder.decode(data)
        assert np.array_equal(Pixels().of(frames[0], coded.look), frame.image)
        assert not frame.image.flags.writeable


def test_where_a_group_begins() -> None:
    start = b"\0\0\0\1"
    assert is_key_packet("h264", start + b"\x67sps" + start + b"\x68pps" + b"\0\0\1\x65idr") == (True, True)
    assert is_key_packet("h264", start + b"\x06sei" + start + b"\x65idr") == (True, False)
    assert is_key_packet("h264", start + b"\x67sps" + start + b"\x41p" + start + b"\x65") == (False, True)
    assert is_key_packet("h265", start + b"\x40\1vps" + start + b"\x42\1sps" + start + b"\x26\1idr") == (True, True)
    assert is_key_packet("h265", start + b"\x02\1p") == (False, False)
    assert is_key_packet("jpeg", b"\xff\xd8") == (True, True)
    for data in (b"", b"\0\0\1", b"nothing"):
        assert is_key_packet("h264", data) == (False, False)
