"""The soak's judge: each broken promise is seen, and a kept one is not taken for broken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from omnistream.flow.ledger import Row

sys.path.append(str(Path(__file__).parents[2] / "launch"))
from soak_verdict import Kill, Said, client_id, judge, time_to_rest_ns

MS = 1_000_000
OFFSET = 10**18


def event(at_ms, event="pose", speed=0.0, **more):
    return {"t_ns": at_ms * MS, "event": event, "x_mps": speed, "yaw_radps": 0.0, **more}


def action(at_ms, action_id, speed=0.3, valid_ms=500):
    return event(at_ms, "action", speed, id=action_id, kind="", values={}, valid_until_ns=OFFSET + (at_ms + valid_ms) * MS)


def origin(command):
    return "7" + json.dumps(["drive.motion", "action", ["reason.action", "intent", ["client", "me", command], 0], 0])


def outcome(**over):
    edge = {"sent": 3, "pending": 0, "held": 1, "fates": {"consumed": 2}} | over
    return SimpleNamespace(edges={"e": edge}, received={"e": {"received": 3, "fates": {"consumed": 2}, "held": 1}}, ledger={})


def verdict(diary=(), kills=(), said=(), rows=(), of=None):
    return judge(diary, kills, said, rows, of or outcome(), offset_ns=OFFSET, watchdog_ns=500 * MS)


def test_time_to_rest_is_up_to_the_last_movement_before_the_worker_is_back():
    kill = Kill("mind", 100 * MS, back_ns=2000 * MS)
    assert time_to_rest_ns([event(90, speed=0.3), event(140, "stop")], kill) == 40 * MS
    assert time_to_rest_ns([event(90, speed=0.3), event(140, "stop"), event(700, speed=0.1), event(800)], kill) == 700 * MS
    assert time_to_rest_ns([event(90), event(2100, speed=0.3)], kill) == 0
    assert time_to_rest_ns([event(90, speed=0.3)], kill) == 1900 * MS


@pytest.mark.parametrize(("rest_ms", "broken"), [(540, 0), (560, 1)])
def test_a_robot_must_be_at_rest_within_its_watchdog_and_a_tenth(rest_ms, broken):
    diary = [event(90, speed=0.3), event(100 + rest_ms, "stop")]
    assert len(verdict(diary, [Kill("mind", 100 * MS, 2000 * MS)]).broken) == broken


def test_twice_late_and_missing_are_broken():
    said = [Said("a", "go forward", 0, "done"), Said("b", "look up", 0, "done")]
    found = verdict([action(10, origin("a")), action(20, origin("a")), action(30, "x", valid_ms=-1)], said=said)
    assert (found.repeated, found.late) == (1, 1)
    assert [c.fate for c in found.commands] == ["done", "missing"]
    assert len(found.broken) == 4


def test_a_command_without_effect_is_excused_by_its_receipt_or_one_row():
    said = [Said("a", "look up", 0, "lost", "expired"), Said("b", "look up", 0, "done"), Said("c", "look up", 0, "done")]
    row = Row(OFFSET + 5 * MS, "reason", "refused", detail="reason: 'look up': Your palm says stop.")
    assert [c.fate for c in verdict(said=said, rows=[row]).commands] == ["expired", "refused", "missing"]


def test_an_edge_that_does_not_add_up_is_broken():
    assert not verdict().broken
    assert len(verdict(of=outcome(sent=4)).broken) == 1


def test_the_client_of_an_action():
    assert client_id(origin("a")) == ("me", "a")
    assert client_id('7["drive.motion",0,54]') is None
    assert client_id("client/stop/1") is None


def test_a_motion_that_began_with_a_tick_is_done():
    tick = action(1500, '7["drive.motion",0,54]', -0.1) | {"kind": "velocity", "values": {"x_mps": -0.1, "yaw_radps": 0.0}}
    said = [Said("a", "go backward", 100 * MS, "done"), Said("b", "go forward", 100 * MS, "done")]
    assert [c.fate for c in verdict([tick], said=said).commands] == ["done", "missing"]
