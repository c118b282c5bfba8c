"""Chunks are unpacked as far as they say and as can be, and memory grows only as data really comes."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.records import Chunk, Footer, Header, McapRecord
from mcap.writer import CompressionType, Writer

from omnistream.errors import RecordingError
from omnistream.record import RecordingWriter
from omnistream.record.index import BROKEN, MAGIC
from omnistream.record.reader import Recording
from omnistream.record.unpack import summary_of, unpacked

MIB = 1 << 20


def zeros(packing: str, mib: int) -> bytes:
    """So many MiB of zeros, packed, without a word of how many."""
    whole = bytes(mib * MIB)
    if packing == "lz4":
        return lz4.frame.compress(whole, store_size=False)
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(whole) + packer.flush()


def claims(packed: bytes, size: int) -> bytes:
    """A zstd frame with another content size in its head (RFC 8878, 3.1.1.1)."""
    assert packed[4] >> 6 == 2, "a content size of four bytes"
    at = 5 if packed[4] & 0x20 else 6
    return packed[:at] + size.to_bytes(4, "little") + packed[at + 4 :]


def raw(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return builder.end()


@pytest.mark.parametrize("packing", ["lz4", "zstd"])
@pytest.mark.parametrize(("said", "most_mib"), [(100, 4), (80 * MIB, 200), (500 * MIB, 200), ((1 << 30) - 1, 4), (1 << 60, 4)])
def test_a_small_chunk_that_unpacks_to_much(packing: str, said: int, most_mib: int, tmp_path: Path) -> None:
    packed = zeros(packing, 96)
    path = tmp_path / "bomb.mcap"
    path.write_bytes(MAGIC + raw(Header("", "x")) + raw(Chunk(packing, packed, 1, 1, 0, said)))
    tracemalloc.start()
    try:
        with pytest.raises(BROKEN):
            unpacked(Chunk(packing, packed, 1, 1, 0, said))
        with pytest.raises(RecordingError) as told:
            Recording(path)
        assert len(str(told.value).splitlines()) == 1
        assert tracemalloc.get_traced_memory()[1] < most_mib * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [100, 900 * MIB])
def test_a_frame_that_claims_another_size_than_it_has(size: int) -> None:
    packed = claims(zstandard.ZstdCompressor().compress(bytes(MIB)), size)
    tracemalloc.start()
    try:
        with pytest.raises(BROKEN):
            unpacked(Chunk("zstd", packed, 1, 1, 0, MIB))
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", ["lz4", "zstd", ""])
@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 7])
def test_what_is_whole_comes_back(packing: str, size: int) -> None:
    plain = bytes(range(256)) * (size // 256 + 1)
    plain = plain[:size]
    packed = {"lz4": lz4.frame.compress, "zstd": zstandard.ZstdCompressor().compress, "": bytes}[packing](plain)
    assert unpacked(Chunk(packing, packed, 1, 1, 0, size)) == plain
    if size > 1 and packing:
        with pytest.raises(BROKEN):
            unpacked(Chunk(packing, packed[:-5], 1, 1, 0, size))
        with pytest.raises(BROKEN):
            unpacked(Chunk(packing, packed, 1, 1, 0, size - 1))


def test_a_chunk_in_the_index_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "r.mcap"
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.ZSTD)
        writer.start("", "x")
        channel = writer.register_channel("t", "json", writer.register_schema("s", "", b""))
        writer.add_message(channel, 1, b"{}", 1)
        writer.finish()
    whole = path.read_bytes()
    assert summary_of(io.BytesIO(whole), len(whole)) is not None
    footer = Footer(len(whole) - 37, 0, 0)
    bomb = raw(Chunk("zstd", zeros("zstd", 96), 1, 1, 0, 96 * MIB))
    crafted = whole[:-37] + bomb + raw(footer) + MAGIC
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="a chunk in the index"):
            summary_of(io.BytesIO(crafted), len(crafted))
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_the_largest_messages_are_read(tmp_path: Path) -> None:
    """An array of zeros, which LZ4 packs as small as it can."""
    path = tmp_path / "r.mcap"
    with RecordingWriter(path, start_ns=0) as writer:
        writer.write_record("t.out", "Features", 5, 0, bytes(100 * MIB))
    assert path.stat().st_size < MIB
    with Recording(path) as recording:
        assert [len(record.data) for _, record in recording.records()] == [100 * MIB]
