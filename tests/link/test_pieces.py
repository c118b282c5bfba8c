"""Large batches in pieces: whole again at the other end, and safe against any pieces whatever."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.link import pieces
from omnistream.link.pieces import Assembly, cut

MORE, LAST = True, False


@given(st.lists(st.binary(max_size=90), min_size=1, max_size=12), st.integers(1, 64))
def test_what_is_cut_comes_together_again(parts: list[bytes], size: int) -> None:
    piece, pieces.PIECE = pieces.PIECE, size
    try:
        found = [(more, b"".join(buffers)) for more, buffers in cut([memoryview(p) for p in parts])]
    finally:
        pieces.PIECE = piece
    assembly = Assembly(1 << 20)
    for _ in range(2):  # an assembly can be used again
        got = [assembly.add(more, memoryview(data)) for more, data in found]
        assert got[:-1] == [None] * (len(found) - 1)
        assert [bytes(p) for p in got[-1] or ()] == parts
    assert [more for more, _ in found] == [MORE] * (len(found) - 1) + [LAST]
    assert all(len(data) <= max(size, 4 + 8 * len(parts)) for _, data in found)


def test_a_batch_of_one_piece_is_not_copied() -> None:
    ((more, buffers),) = cut([b"abc", b"", bytes(1000)])
    data = b"".join(buffers)
    parts = Assembly(1 << 20).add(more, memoryview(data))
    assert parts is not None
    assert all(p.obj is data and p.readonly for p in parts)


def head(*sizes: int) -> bytes:
    return struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)


@pytest.mark.parametrize(
    "messages",
    [
        [(MORE, b"")], [(LAST, b"abc")], [(LAST, head())], [(MORE, head(1 << 40))], [(LAST, head(3) + b"ab")],
        [(MORE, struct.pack("<I", 1 << 31))], [(MORE, head(3)), (MORE, b"abcd")], [(LAST, head(3) + b"abcd")],
        [(MORE, head(3) + b"a"), (LAST, b"b")], [(LAST, head(1 << 29) + b"a")],
    ],
)  # fmt: skip
def test_what_is_no_piece_is_refused_before_anything_is_allocated(messages: list[tuple[bool, bytes]]) -> None:
    assembly = Assembly(1 << 30)
    tracemalloc.start()
    try:
        for more, data in messages[:-1]:
            assert assembly.add(more, memoryview(data)) is None
        with pytest.raises(ValueError, match="batch"):
            assembly.add(messages[-1][0], memoryview(messages[-1][1]))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_what_is_only_claimed_takes_no_room() -> None:
    assembly = Assembly(1 << 30)
    tracemalloc.start()
    try:
        assert assembly.add(MORE, memoryview(head(1 << 29) + b"a" * 1000)) is None
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_any_pieces_whatever_end_in_a_batch_or_a_sentence() -> None:
    r = random.Random(5)
    assembly, taken, refused = Assembly(1 << 16), 0, 0
    for _ in range(20_000):
        start = head(*(r.randrange(6) for _ in range(r.randrange(1, 3)))) if r.random() < 0.6 else b""
        data = memoryview(start + r.randbytes(r.randrange(8)))
        try:
            taken += assembly.add(r.random() < 0.3, data) is not None
        except ValueError:
            refused += 1
            assembly = Assembly(1 << 16)
    assert taken > 500
    assert refused > 1000
