"""Unpacking chunks of MCAP files without believing what they claim: memory grows as data really comes, up to a most."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import IO
from zlib import crc32

import lz4.frame
import zstandard
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Chunk
from mcap.summary import Summary

from omnistream.link.packed import LARGEST

__all__ = ["summary_of", "unpacked"]

#: A chunk holds one message of the largest payload that can be sent, and what is small beside it.
_MOST = LARGEST + (1 << 20)
#: So much a chunk may always unpack to; beyond it not to more than so many times its size, as LZ4 cannot either.
_FLOOR = 64 << 20
_TIMES = 256
_PIECE = 1 << 20
_RECORD = struct.Struct("<BQ")
_FOOTER_BYTES = 9 + 20 + 8
_CHUNK, _FOOTER = 0x06, 0x02


def unpacked(chunk: Chunk) -> bytes:
    """What a chunk holds, its checksum checked. Raises ValueError, or an error of mcap, LZ4 or zstd, where it is damaged."""
    if chunk.uncompressed_size > _MOST:
        raise ValueError(f"a chunk of {chunk.uncompressed_size >> 20} MiB, and at most {_MOST >> 20} are read")
    most = min(chunk.uncompressed_size, max(_FLOOR, _TIMES * len(chunk.data)))
    if chunk.compression == "zstd":
        data = _zstd(chunk.data, most)
    elif chunk.compression == "lz4":
        data = _lz4(chunk.data, most)
    elif not chunk.compression:
        data = chunk.data
    else:
        raise McapError(f"a chunk packed by '{chunk.compression[:20]}', which is not known")
    if len(data) != chunk.uncompressed_size:
        raise ValueError("a chunk of another size than it says")
    if chunk.uncompressed_crc and crc32(data) != chunk.uncompressed_crc:
        raise ValueError("its checksum is another")
    return data


def _lz4(packed: bytes, most: int) -> bytes:
    unpacker = lz4.frame.LZ4FrameDecompressor()
    waiting = packed

    def more(size: int) -> bytes:
        nonlocal waiting
        if unpacker.eof:
            return b""
        piece, waiting = unpacker.decompress(waiting, max_length=size), b""
        if not piece and not unpacker.eof:
            raise ValueError("a chunk that breaks off")
        return piece

    return _pieces(more, most)


def _zstd(packed: bytes, most: int) -> bytes:
    if zstandard.frame_content_size(packed) > most:
        raise ValueError(_too_much(most))
    with zstandard.ZstdDecompressor(max_window_size=1 << 30).stream_reader(packed) as reader:
        return _pieces(reader.read, most)


def _pieces(more: Callable[[int], bytes], most: int) -> bytes:
    """All that comes, asked for in pieces that double."""
    pieces: list[bytes] = []
    size = 0
    while piece := more(min(most + 1 - size, max(_PIECE, size))):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise ValueError(_too_much(most))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_much(most: int) -> str:
    return f"a chunk that unpacks to more than the {most} bytes that it says, or can have"


def summary_of(file: IO[bytes], size: int) -> Summary:
    """The index at the end of a file. Raises an error of mcap, ValueError (where there is none, too) or OSError.

    No chunk may lie in it: the reader of mcap would unpack it, however large.
    """
    file.seek(size - _FOOTER_BYTES)
    opcode, _, at = struct.unpack("<BQQ", file.read(17))
    if opcode != _FOOTER:
        raise ValueError("no footer")
    while at and at + _RECORD.size <= size:
        file.seek(at)
        opcode, length = _RECORD.unpack(file.read(_RECORD.size))
        if opcode == _FOOTER:
            break
        if opcode == _CHUNK:
            raise ValueError("a chunk in the index")
        at += _RECORD.size + length
    file.seek(0)
    summary = SeekingReader(file, validate_crcs=True, record_size_limit=size).get_summary()
    if summary is None or summary.statistics is None:
        raise ValueError("no index")
    return summary
