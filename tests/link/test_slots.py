"""Slots: what is written is what is read, whoever reads and for how long; and every slot is free when its readers are gone."""

from __future__ import annotations

import asyncio
import gc
import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omnistream.errors import PayloadError
from omnistream.link import segment
from omnistream.link.segment import PAGE, make_token, read_token
from omnistream.link.slots import SMALLEST, SlotPool, size_class
from omnistream.link.views import SlotViews, UnmappedError

LIFE = ("a", 0)


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="omnistream-test-", dir="/dev/shm") as folder:
        yield Path(folder)


class Pair:
    """A pool and one reader of it, in one process."""

    def __init__(self, home: Path, **options: Any) -> None:
        self.pool = SlotPool(home, *LIFE, **options)
        self.torn: list[str] = []
        self.views = SlotViews(home, self.done, self.torn.append)
        assert self.views.meet(LIFE) == self.pool.token

    def done(self, life: Any) -> None:
        self.pool.released("b", self.views.take(life))

    def settle(self) -> None:
        gc.collect()
        self.views._tell()


def image(n: int, nbytes: int = 100_000) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 255, nbytes, np.uint8)


# -- sizes ----------------------------------------------------------------------------------------


@given(st.integers(SMALLEST, 1 << 32))
@settings(max_examples=300)
def test_a_class_is_whole_pages_and_at_most_a_quarter_more(nbytes: int) -> None:
    room = size_class(nbytes)
    assert nbytes <= room <= nbytes * 1.25 + PAGE
    assert room % PAGE == 0
    assert size_class(room) == room


# -- there and back -------------------------------------------------------------------------------

DTYPES = ["?", "u1", "i2", "u2", "f2", "f4", "f8", "c8", ">f4", "S5", "M8[ns]"]


@given(
    st.sampled_from(DTYPES), st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(1, 3), st.booleans(),
    st.booleans(), st.integers(0, 1 << 30),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_bytes_of_any_dtype_and_layout_arrive(
    dtype: str, shape: list[int], step: int, turned: bool, fortran: bool, seed: int
) -> None:
    async def there() -> None:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            pair = Pair(Path(folder))
            whole = [n * step for n in shape]
            size = int(np.prod(whole)) * np.dtype(dtype).itemsize
            raw = np.random.default_rng(seed).bytes(size)
            if dtype == "?":
                raw = bytes(b & 1 for b in raw)
            array = np.frombuffer(raw, dtype).reshape(whole)[tuple(slice(None, None, step) for _ in whole)]
            array = array[::-1] if turned else array
            array = np.asfortranarray(array) if fortran else array
            place = pair.pool.place(array, 1, "b")
            got = pair.views.view(LIFE, place)
            assert got.tobytes() == array.tobytes()
            assert np.frombuffer(memoryview(got).cast("B"), array.dtype).reshape(array.shape).tobytes() == array.tobytes()
            with pytest.raises(ValueError, match="read-only"):
                got[0] = 1
            with pytest.raises(ValueError, match="WRITEABLE"):
                got.flags.writeable = True

    asyncio.run(there())


async def test_one_array_is_written_once_for_all_readers(home: Path) -> None:
    pool = SlotPool(home, *LIFE)
    array = image(1)
    places = {pool.place(array, ("s", 0, 1, 0), peer) for peer in "bcde"}
    assert len(places) == 1
    assert pool.busy() == 1
    assert pool.place(array, ("s", 0, 2, 0), "b") not in places  # the same buffer filled again for the next message
    for peer in "bcde":
        pool.forget(peer)
    assert pool.busy() == 0


async def test_another_array_at_the_same_address_is_another(home: Path) -> None:
    pair = Pair(home)
    for n in range(50):
        array = image(n)
        view = pair.views.view(LIFE, pair.pool.place(array, 0, "b"))
        assert view.tobytes() == array.tobytes()
        del array, view


# -- how long a slot is kept ----------------------------------------------------------------------


async def test_a_slot_is_kept_while_anything_of_the_array_is_referred_to(home: Path) -> None:
    pair = Pair(home)
    array = image(2)
    view = pair.views.view(LIFE, pair.pool.place(array, 0, "b"))
    shaped = np.frombuffer(memoryview(view).cast("B"), np.uint16).reshape(250, 200)
    part = shaped[10:20].T
    del view, shaped
    pair.settle()
    assert pair.pool.busy() == 1
    memory = memoryview(part)
    del part
    pair.settle()
    assert pair.pool.busy() == 1
    again = np.asarray(memory)
    del memory
    for n in range(30):  # others come and go
        pair.views.view(LIFE, pair.pool.place(image(n), n, "b"))
    assert again.tobytes() == array.view(np.uint16).reshape(250, 200)[10:20].T.tobytes()
    del again
    pair.settle()
    assert pair.pool.busy() == 0


async def test_an_array_that_dies_in_a_thread_is_released_on_the_loop(home: Path) -> None:
    pair = Pair(home)
    held = [pair.views.view(LIFE, pair.pool.place(image(3), 0, "b"))]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    async with asyncio.timeout(5):
        while pair.pool.busy():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_view_that_dies_within_a_change_of_the_loops_timers_does_it_no_harm(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, loop = Pair(home), asyncio.get_running_loop()
    held = [pair.views.view(LIFE, pair.pool.place(image(1), 0, "b"))]
    compare = asyncio.TimerHandle.__lt__

    def compare_and_collect(one: asyncio.TimerHandle, other: asyncio.TimerHandle) -> bool:
        held.clear()  # as Python's collector may, from 3.12 on
        return compare(one, other)

    monkeypatch.setattr(asyncio.TimerHandle, "__lt__", compare_and_collect)
    timers = [loop.call_later(n, lambda: None) for n in (100, 99)]
    assert not held
    async with asyncio.timeout(5):
        while pair.pool.busy():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    for timer in timers:
        timer.cancel()


async def test_a_peer_cannot_release_what_is_not_its_own(home: Path) -> None:
    pool = SlotPool(home, *LIFE)
    place = pool.place(image(1), 0, "b")
    assert place is not None
    number, index, seq = place[:3]
    pool.released("c", [(number, index, seq)])
    pool.released("b", [(number, index, seq + 1), (number, index + 1, seq), (number + 1, index, seq), (-1, -1, -1)])
    assert pool.busy() == 1
    pool.released("b", [(number, index, seq), (number, index, seq), (number, index, seq)])
    assert pool.busy() == 0
    pool.place(image(2), 1, "c")
    pool.released("b", [(number, index, seq)])
    assert pool.busy() == 1


class Life(RuleBasedStateMachine):
    """Any order of writing, reading, letting go and dying: what is read is what was written, as long as it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.loop = asyncio.new_event_loop()
        home = Path(self.folder.name)
        self.pool = SlotPool(home, *LIFE, limit=3 << 20)
        self.readers: dict[str, SlotViews] = {}
        self.held: list[tuple[str, np.ndarray, bytes]] = []
        self.sent: list[tuple[np.ndarray, int]] = []
        self.own: list[tuple[np.ndarray, bytes]] = []
        self.count = 0

        async def meet() -> None:
            for peer in "bc":
                self.readers[peer] = SlotViews(home, lambda life, p=peer: self.free(p), lambda _: None)
                self.readers[peer].meet(LIFE)

        self.loop.run_until_complete(meet())

    def free(self, peer: str) -> None:
        self.pool.released(peer, self.readers[peer].take(LIFE))

    @rule(nbytes=st.sampled_from([40_000, 50_000, 300_000]), peers=st.sampled_from(["b", "c", "bc", "bb"]))
    def send(self, nbytes: int, peers: str) -> None:
        self.count += 1
        self.pass_on(image(self.count, nbytes), self.count, peers)

    def pass_on(self, array: np.ndarray, key: int, peers: str) -> None:
        for peer in peers:
            place = self.pool.place(array, key, peer)
            if place is not None:
                self.held.append((peer, self.readers[peer].view(LIFE, place), array.tobytes()))
        self.sent = [*self.sent[-3:], (array, key)]

    @precondition(lambda self: self.sent)
    @rule(n=st.integers(0, 3), peers=st.sampled_from(["b", "c"]))
    def send_again(self, n: int, peers: str) -> None:
        array, key = self.sent[n % len(self.sent)]
        self.pass_on(array, key, peers)

    @rule(nbytes=st.sampled_from([40_000, 300_000]), peers=st.sampled_from(["", "b", "bc"]))
    def fill_in_place(self, nbytes: int, peers: str) -> None:
        self.count += 1
        array = self.pool.alloc(nbytes, np.uint8)
        array[:] = image(self.count, nbytes)
        self.own.append((array, array.tobytes()))
        self.pass_on(array, self.count, peers)

    @precondition(lambda self: self.own)
    @rule(n=st.integers(0, 1000))
    def let_own_go(self, n: int) -> None:
        del self.own[n % len(self.own)]

    @precondition(lambda self: self.held)
    @rule(n=st.integers(0, 1000))
    def let_go(self, n: int) -> None:
        del self.held[n % len(self.held)]

    @rule(peer=st.sampled_from("bc"))
    def word_arrives(self, peer: str) -> None:
        self.free(peer)

    @rule(peer=st.sampled_from("bc"))
    def peer_dies(self, peer: str) -> None:
        self.held = [h for h in self.held if h[0] != peer]
        self.pool.forget(peer)
        self.readers[peer].take(LIFE)

    @invariant()
    def all_that_is_held_is_as_it_was(self) -> None:
        for _, view, content in self.held:
            assert view.tobytes() == content
        for array, content in self.own:
            assert array.tobytes() == content
        assert self.pool.nbytes <= 3 << 20

    def teardown(self) -> None:
        self.held, self.sent, self.own = [], [], []
        for peer in self.readers:
            self.free(peer)
        assert self.pool.busy() == 0
        self.loop.close()
        self.folder.cleanup()


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase


# -- no room --------------------------------------------------------------------------------------


async def test_without_room_there_is_no_place_and_one_notice(home: Path) -> None:
    notices: list[str] = []
    pool = SlotPool(home, *LIFE, notices.append, limit=6 << 20)
    kept = [image(n, 1 << 20) for n in range(12)]
    places = [pool.place(a, n, "b") for n, a in enumerate(kept)]
    assert [p is not None for p in places] == [True] * 5 + [False] * 7
    assert len(notices) == 1
    assert "1048576 bytes" in notices[0]
    pool.forget("b")
    assert pool.place(image(20, 1 << 20), 20, "b") is not None


async def test_room_of_one_size_serves_another_when_nothing_is_in_it(home: Path) -> None:
    pool = SlotPool(home, *LIFE, limit=6 << 20)
    assert pool.place(image(1, 1 << 20), 1, "b") is not None
    assert pool.place(image(2, 3 << 20), 2, "b") is None
    pool.forget("b")
    assert pool.place(image(2, 3 << 20), 2, "b") is not None
    assert len(list(home.iterdir())) == 2  # the secret, and one segment


async def test_room_that_others_have_taken_is_made_of_what_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, total = os.statvfs(home), 64 << 20
    pool = SlotPool(home, *LIFE)

    def small(_: Any) -> os.statvfs_result:
        free = (total - pool.nbytes) // real.f_frsize
        return os.statvfs_result((real.f_bsize, real.f_frsize, total // real.f_frsize, free, free, *real[5:]))

    monkeypatch.setattr(os, "statvfs", small)
    place = pool.place(image(1, 12 << 20), 1, "b")
    assert place is not None
    pool.released("b", [place[:3]])
    assert pool.place(image(2, 14 << 20), 2, "b") is not None  # a stream whose frames have grown


async def test_memory_that_is_full_is_no_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(home)
    fake = os.statvfs_result((*real[:3], real.f_blocks // 5, real.f_blocks // 5, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: fake)
    assert SlotPool(home, *LIFE).place(image(1), 1, "b") is None
    monkeypatch.undo()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    pool = SlotPool(home, *LIFE)
    assert pool.place(image(1), 1, "b") is None
    assert pool.alloc((300, 300), np.uint8).shape == (300, 300)
    assert [p.name for p in home.iterdir()] == ["a.0.0"]


# -- what is not to be trusted --------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda p: None, lambda p: (), lambda p: p[:4], lambda p: (*p, 0), lambda p: ("../x", *p[1:]),
        lambda p: (p[0], "0", *p[2:]),
        lambda p: (p[0] + 1, *p[1:]), lambda p: (0, *p[1:]), lambda p: (-1, *p[1:]), lambda p: (1 << 70, *p[1:]),
        lambda p: (p[0], p[1] + 1, *p[2:]), lambda p: (p[0], 10_000, *p[2:]), lambda p: (p[0], -1, *p[2:]),
        lambda p: (*p[:2], p[2] + 1, *p[3:]), lambda p: (*p[:2], p[2] - 1, *p[3:]), lambda p: (*p[:2], True, *p[3:]),
        lambda p: (*p[:3], 0, p[4]), lambda p: (*p[:3], -5, p[4]), lambda p: (*p[:3], 1 << 20, p[4]), lambda p: (*p[:4], 77),
        lambda p: (*p[:4], "x"),
    ],
)  # fmt: skip
async def test_a_descriptor_that_is_not_right_is_refused(home: Path, change: Any) -> None:
    pair = Pair(home)
    place = pair.pool.place(image(1), 1, "b")
    with pytest.raises(PayloadError):
        pair.views.view(LIFE, change(place))
    assert pair.views.view(LIFE, place).tobytes() == image(1).tobytes()


async def test_a_filling_that_is_over_is_refused(home: Path) -> None:
    pair = Pair(home)
    first = pair.pool.place(image(1), 1, "b")
    pair.pool.forget("b")
    for n in range(100):
        pair.pool.place(image(n), n, "b")
        pair.pool.forget("b")
    with pytest.raises(PayloadError, match="no longer holds"):
        pair.views.view(LIFE, first)


async def test_a_strangers_slots_are_not_looked_at(home: Path) -> None:
    pair = Pair(home)
    place = pair.pool.place(image(1), 1, "b")
    for life in [("a", 1), ("z", 0), ("../a", 0)]:
        with pytest.raises(PayloadError):
            pair.views.view(life, place)


@pytest.mark.parametrize(
    "kind", ["gone", "short", "long", "no magic", "another secret", "many slots", "link", "folder", "pipe"]
)
async def test_a_segment_that_is_not_what_it_should_be_is_refused(home: Path, kind: str) -> None:
    pair = Pair(home)
    place = pair.pool.place(image(1), 1, "b")
    path = home / "a.0.1"
    whole = path.read_bytes()
    path.unlink()
    if kind == "short":
        path.write_bytes(whole[:-1])
    elif kind == "long":
        path.write_bytes(whole + b"\0")
    elif kind == "no magic":
        path.write_bytes(b"X" + whole[1:])
    elif kind == "another secret":
        path.write_bytes(whole[:8] + bytes(16) + whole[24:])
    elif kind == "many slots":
        path.write_bytes(whole[:24] + struct.pack("<QQ", 1, len(whole) - PAGE) + whole[40:])
    elif kind == "link":
        (home / "other").write_bytes(whole)
        path.symlink_to(home / "other")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(PayloadError) as error:
        pair.views.view(LIFE, place)
    assert isinstance(error.value, UnmappedError) == (kind in ("gone", "link"))


async def test_a_new_life_removes_what_the_old_ones_left_and_readers_read_on(home: Path) -> None:
    pair = Pair(home)
    view = pair.views.view(LIFE, pair.pool.place(image(1), 1, "b"))
    other = SlotPool(home, "ab", 0)
    new = SlotPool(home, "a", 1)
    assert sorted(p.name for p in home.iterdir()) == ["a.1.0", "ab.0.0"]
    assert view.tobytes() == image(1).tobytes()
    assert read_token(home, "a", 1) == new.token != pair.pool.token
    assert read_token(home, "ab", 0) == other.token
    assert read_token(home, "a", 0) == b""
    assert pair.views.meet(LIFE) == b""


async def test_checksums_find_a_change(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISTREAM_CHECKSUMS", "1")
    pair = Pair(home)
    array = pair.pool.alloc(100_000, np.uint8)
    array[:] = 5
    early = array[10:20]
    view = pair.views.view(LIFE, pair.pool.place(array, 1, "b"))
    early[0] = 6  # a view from before it was sent
    del view
    pair.settle()
    assert len(pair.torn) == 1
    assert "changed while it was read" in pair.torn[0]
    place = pair.pool.place(array, 1, "b")
    with pytest.raises(PayloadError, match="checksum"):
        pair.views.view(LIFE, place)


# -- filled in place ------------------------------------------------------------------------------


async def test_what_is_filled_in_place_is_not_written_again_and_then_read_only(home: Path) -> None:
    pair = Pair(home)
    array = pair.pool.alloc((100, 200, 3), np.uint16)
    array[:] = 7
    place = pair.pool.place(array, 1, "b")
    assert pair.pool.busy() == 1
    view = pair.views.view(LIFE, place)
    assert view.tobytes() == array.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    del array
    pair.settle()
    assert pair.pool.busy() == 1
    del view
    pair.settle()
    assert pair.pool.busy() == 0


async def test_a_part_of_what_was_filled_in_place_is_copied(home: Path) -> None:
    pair = Pair(home)
    array = pair.pool.alloc((400, 200, 3), np.uint8)
    array[:] = image(4, 240_000).reshape(array.shape)
    for part in (array[:, :, ::-1], array[100:], array.transpose(1, 0, 2)):
        assert pair.views.view(LIFE, pair.pool.place(part, 1, "b")).tobytes() == part.tobytes()
    array[0] = 1


async def test_threads_allocate_one_after_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, make, within, most = SlotPool(home, *LIFE), segment.make, [0], [0]

    def make_slowly(*args: Any) -> Any:
        within[0] += 1
        most[0] = max(most[0], within[0])
        threading.Event().wait(0.02)
        within[0] -= 1
        return make(*args)

    monkeypatch.setattr(segment, "make", make_slowly)
    kept: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: kept.append(pool.alloc(100_000, np.uint8))) for _ in range(4)]
    for thread in threads:
        thread.start()
    pool.place(image(1), 0, "b")
    for thread in threads:
        thread.join()
    assert most == [1]
    assert len({a.__array_interface__["data"][0] for a in kept}) == 4


async def test_small_arrays_are_plain(home: Path) -> None:
    pool = SlotPool(home, *LIFE)
    assert pool.alloc(SMALLEST - 1, np.uint8).base is None
    assert pool.busy() == 0


def test_the_secret_is_the_users_own(home: Path) -> None:
    token = make_token(home, "w", 3)
    assert len(token) == 16
    assert (home / "w.3.0").stat().st_mode & 0o777 == 0o600
