"""Commands taken once, without a socket."""

from __future__ import annotations

import random

import pytest

from omnistream.message import SECOND
from omnistream.protocol.codec import Ack, CommandFrame, decode, encode
from omnistream_drivers import command_desk
from omnistream_drivers.command_desk import CommandDesk


def take(desk, number=1, text="go forward", peer=b"p", now=0, client="c"):
    return desk.take(peer, encode(CommandFrame(text=text, id=str(number), client=client)), now)


def status(taken):
    return decode(taken.answer, Ack).status


def test_a_command_is_taken_once_and_a_resent_one_is_answered_with_its_status():
    desk = CommandDesk()
    first = take(desk)
    assert (first.command.text, first.origin, status(first)) == ("go forward", ("client", "c", "1"), "accepted")
    again = take(desk, peer=b"q")
    assert (again.command, status(again)) == (None, "accepted")
    peer, answer = desk.settle(first.key, "done") or (b"", b"")
    assert peer == b"q"  # the newest connection of that client
    assert decode(answer, Ack) == Ack(id="1", status="done")
    assert status(take(desk)) == "done"
    assert take(desk, client="d").command is not None  # another client's 1 is another command


def test_a_lost_command_says_why():
    desk = CommandDesk()
    _, answer = desk.settle(take(desk).key, "expired: too old") or (b"", b"")
    assert decode(answer, Ack) == Ack(id="1", status="lost", detail="expired: too old")
    assert desk.settle(("nobody", "9"), "done") is None


@pytest.mark.parametrize(
    "frame",
    [
        CommandFrame(text="x" * 1001, id="1"),
        CommandFrame(text="  ", id="1"),
        CommandFrame(text="stop", id=""),
        CommandFrame(text="stop", id="x" * 201),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_sentence(frame):
    taken = CommandDesk().take(b"p", encode(frame), 0, client="c")
    assert taken.command is None
    assert taken.fault[0] == "refused"
    assert status(taken) == "refused"


def test_a_thousand_characters_are_taken():
    assert take(CommandDesk(), text="x" * 1000).command is not None


def test_garbage_is_counted_and_not_answered():
    desk, rng = CommandDesk(), random.Random(2)
    for i in range(900):
        taken = desk.take(b"p", rng.randbytes(rng.randrange(100)), i * SECOND // 100)
        assert (taken.command, taken.answer, taken.fault[0]) == (None, None, "garbage")


def test_a_fast_client_is_busy_and_a_flood_is_not_read():
    desk = CommandDesk()
    taken = [take(desk, i) for i in range(1200)]
    assert sum(t.command is not None for t in taken) == 100
    assert status(taken[500]) == "busy"
    assert taken[-1].answer is None
    assert taken[-1].fault[0] == "flood"
    assert take(desk, 150, now=SECOND).command is not None  # a busy answer took nothing


def test_memory_is_bounded_and_what_is_under_way_is_never_forgotten(monkeypatch):
    monkeypatch.setattr(command_desk, "MAX_KNOWN", 10)
    desk, now = CommandDesk(), 0
    first = take(desk, 0)
    for i in range(1, 100):
        now += SECOND
        desk.settle(take(desk, i, now=now).key, "done")
    assert len(desk._known) == 10
    assert status(take(desk, 0, now=now)) == "accepted"
    for i in range(100, 109):
        assert status(take(desk, i, now=now)) == "accepted"
    assert status(take(desk, 200, now=now)) == "busy"
    desk.settle(first.key, "done")
    assert status(take(desk, 200, now=now)) == "accepted"
