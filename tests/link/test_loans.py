"""Lent tensors: who may look, what keeps them, what becomes of them at a death. Files stand for a GPU's memory."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import shown_files
import torch
from shown_files import FileSharing

from omnistream.errors import PayloadError
from omnistream.link.batch import decode_batch, encode_batch
from omnistream.link.loans import Loans
from omnistream.message import Detections, Features, Message, Text


class Side:
    """One worker's loans; what it says goes to the other as bytes, in order."""

    def __init__(self, blind: bool = False) -> None:
        self.sharing = FileSharing(blind)
        self.loans = Loans(self.sharing, self._say)
        self.other: Side | None = None
        self.said: list[str] = []

    def _say(self, peer: str, word: str, values: tuple[Any, ...]) -> None:
        self.said.append(word)
        self.send(("x", word, values))

    def send(self, item: tuple[Any, ...]) -> Any:
        found = decode_batch(encode_batch("me", 0, 0, [item]))[3][0]
        if self.other is None:
            return None
        if found[0] == "x":
            self.other.loans.hear("me", found[1], found[2])
            return None
        return self.other.loans.borrow("me", found[1], found[4])

    def carry(self, message: Message[Any]) -> Message[Any]:
        """As it arrives at the other side."""
        lent = self.loans.lend("me", 7, message)
        assert lent is not None
        return self.send(("m", 7, 0, False, lent))


@pytest.fixture
async def sides():
    a, b = Side(), Side()
    a.other, b.other = b, a
    a.loans.meet("me")
    assert a.said == ["look"]
    assert b.said == ["seen", "free"]
    return a, b


def rows(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((30, 40), np.float32))


def message(payload: Any, seq: int = 0) -> Message[Any]:
    return Message("n.out", 0, seq, ("n", 0, seq), 1, 1, 1, {}, payload)


async def settle() -> None:
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_tensor_is_looked_at_where_it_is_and_let_go_with_its_last_view(sides) -> None:
    a, b = sides
    arrived = a.carry(message(Features(rows(), 3))).payload
    assert torch.equal(arrived.data, rows())
    assert arrived.hop_ns == 3
    row = arrived.data[4]
    array = row.numpy()
    del arrived
    await settle()
    assert a.loans.count() == 1
    del row
    await settle()
    assert a.loans.count() == 1  # an array of a view of it is still there
    assert np.array_equal(array, rows()[4].numpy())
    del array
    await settle()
    assert a.loans.count() == 0
    assert b.said[-1] == "free"


async def test_several_in_one_message_and_words_from_another_thread(sides) -> None:
    a, _ = sides
    boxes, scores = torch.rand(3, 4), torch.rand(3)
    held = [a.carry(message(Detections(boxes, ("x", "y", "z"), scores)))]
    assert a.loans.count() == 2
    assert torch.equal(held[0].payload.boxes, boxes)
    assert torch.equal(held[0].payload.scores, scores)
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    await settle()
    assert a.loans.count() == 0


async def test_what_is_no_tensor_and_what_is_not_to_be_shown_is_not_lent(sides) -> None:
    a, _ = sides
    assert a.loans.lend("me", 7, message(Text("x"))) is None
    assert a.loans.lend("me", 7, message(Features(rows().numpy()))) is None
    assert a.loans.lend("me", 7, message(Features(rows()[:0]))) is None
    assert a.loans.lend("stranger", 7, message(Features(rows()))) is None
    mixed = a.carry(message(Detections(torch.rand(0, 4), (), torch.rand(1)))).payload
    assert type(mixed.boxes) is np.ndarray
    assert isinstance(mixed.scores, torch.Tensor)
    with pytest.raises(PayloadError, match=r"Features\.data cannot hold a tensor of bfloat16"):
        a.loans.lend("me", 7, message(Features(rows().bfloat16())))


async def test_who_cannot_look_is_sent_arrays() -> None:
    a, b = Side(), Side(blind=True)
    a.other, b.other = b, a
    a.loans.meet("me")
    assert b.said == ["free"]
    assert a.loans.count() == 0
    assert a.loans.lend("me", 7, message(Features(rows()))) is None


async def test_a_wrong_secret_opens_nothing(sides) -> None:
    a, _ = sides
    a.loans.forget("me")
    a.other = None
    a.loans.meet("me")
    a.loans.hear("me", "seen", (b"guessed",))
    assert a.loans.lend("me", 7, message(Features(rows()))) is None


async def test_who_cannot_look_any_more_says_so_and_lets_go(sides) -> None:
    a, b = sides
    b.sharing.blind = True
    with pytest.raises(PayloadError, match=r"what me has lent of n\.out 0 cannot be opened: it cannot be seen"):
        a.carry(message(Features(rows())))
    assert a.loans.count() == 0
    assert a.loans.lend("me", 7, message(Features(rows()))) is None


async def test_the_dead_have_let_go_and_a_new_life_is_not_taken_for_the_old(sides) -> None:
    a, b = sides
    first = a.carry(message(Features(rows(1))))
    a.carry(message(Features(rows(2)), 1))
    await settle()
    b.loans.forget("me")  # a died, and is there again
    a.loans.forget("me")
    assert a.loans.count() == 0
    assert len(a.sharing.abandoned) == 1  # the second had been let go already
    a.loans.meet("me")
    second = a.carry(message(Features(rows(3))))
    assert torch.equal(first.payload.data, rows(1))  # who holds it still sees it
    del first
    await settle()
    assert a.loans.count() == 1  # what is let go of the old life frees nothing of the new one
    del second
    await settle()
    assert a.loans.count() == 0


@pytest.mark.parametrize(
    ("word", "values"),
    [("look", ()), ("look", (1, 2, 3)), ("lent", (1,)), ("seen", ()), ("free", ([],)), ("look", ("x", (1, 2)))],
)
async def test_what_is_no_word_is_refused_and_harms_nothing(sides, word: str, values: tuple[Any, ...]) -> None:
    a, b = sides
    with pytest.raises(PayloadError, match="says no such word"):
        b.loans.hear("me", word, values)
    assert torch.equal(a.carry(message(Features(rows()))).payload.data, rows())


@pytest.mark.parametrize("change", ["field", "dtype", "shape", "more"])
async def test_a_ticket_for_something_else_is_refused(sides, change: str) -> None:
    a, b = sides
    _, ticket = a.sharing.show(rows())
    manager, name, size, dtype, shape = ticket
    forged = {
        "field": ("hop_ns", 9, ticket),
        "dtype": ("data", 9, (manager, name, size, "uint8", shape)),
        "shape": ("data", 9, (manager, name, size, dtype, (1200,))),
        "more": ("data", 9, (manager, name, size, dtype, (3000, 4000))),
    }[change]
    b.loans.hear("me", "lent", (7, 0, (forged,)))
    with pytest.raises(PayloadError, match="cannot be opened"):
        b.loans.borrow("me", 7, message(Features(np.empty((0, 0), np.float32))))
    assert a.loans.lend("me", 7, message(Features(rows()), 1)) is None  # it is sent arrays from now on


async def test_another_process_sees_the_same_memory() -> None:
    sharing = FileSharing()
    kept, ticket = sharing.show(rows())
    code = (
        "import sys, msgpack; from shown_files import FileSharing\n"
        "t = FileSharing().open(msgpack.unpackb(sys.stdin.buffer.read(), use_list=False)); t += 1; print(float(t[3, 4]))"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], input=msgpack.packb(ticket), capture_output=True,
        cwd=Path(shown_files.__file__).parent, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == float(rows()[3, 4] + 1) == float(kept[3, 4])
