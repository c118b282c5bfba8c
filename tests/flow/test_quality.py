"""The ladder on literal times: down soon, up when there is room, never to and fro."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from omnistream.flow.quality import LOST, Cost, Ladder, Seen, Switch, seen_of
from omnistream.message import MS, SECOND

VARIANTS = {"hands": ("full", "half_rate", "small"), "ears": ("full", "final_only")}
UPSTREAM = {"robot": {"robot", "hands", "ears"}, "glasses": {"glasses", "ears"}}
BUDGET = 200 * MS
START = datetime(2026, 11, 27, 12, 0, 0)  # noqa: DTZ001  only differences count


def ns(at: datetime) -> int:
    return int((at - START) / timedelta(microseconds=1)) * 1000 + 10 * SECOND


def seconds(first: float, last: float, step: float = 0.25) -> Iterator[datetime]:
    while first < last:
        yield START + timedelta(seconds=first)
        first += step


class World:
    """A robot whose nodes share a core, which a burner may slow down by so many times; 15 frames a second."""

    STEP = {"hands": {"full": 40, "half_rate": 20, "small": 8}, "ears": {"full": 10, "final_only": 5}}

    def __init__(self) -> None:
        self.ladder = Ladder(VARIANTS, UPSTREAM, BUDGET)
        self.slow = 1.0
        self.said: list[tuple[datetime, Switch]] = []

    def step_ms(self, node: str) -> float:
        return self.STEP[node][self.ladder.variant(node)] * self.slow

    def look(self, at: datetime) -> Switch | None:
        load = sum(15 * self.step_ms(n) / 1000 for n in VARIANTS)
        share = min(LOST, (50 + self.step_ms("hands") * 1.5 + self.step_ms("ears") + max(0, load - 0.9) * 400) / 200)
        costs = {n: Cost(self.ladder.variant(n), 16, 15.0, self.step_ms(n) * 1e6, self.step_ms(n) * 1.2e6) for n in VARIANTS}
        since = ns(at) - self.ladder.moved_ns
        places = {"robot": Seen(min(20, since // (50 * MS)), share * 0.8, share)}
        switch = self.ladder.look(ns(at), places, costs)
        if switch is not None:
            self.said.append((at, switch))
        return switch


def test_a_burner_lowers_what_costs_most_within_a_second_and_all_is_back_within_five() -> None:
    world = World()
    for at in seconds(0, 3):
        assert world.look(at) is None
    world.slow = 2.5
    for at in seconds(3, 20):
        world.look(at)
    assert world.said[0][1] == Switch("hands", "full", "half_rate", world.said[0][1].why)
    assert world.said[0][0] - START <= timedelta(seconds=4)
    assert "robot has used" in world.said[0][1].why
    assert all(s.node == "hands" for _, s in world.said)
    assert len(world.said) <= 4, "one step up that fails shows how much is too much"
    world.slow = 1.0
    lowered = len(world.said)
    for at in seconds(20, 25):
        world.look(at)
    assert not world.ladder.lowered
    assert {s.why for _, s in world.said[lowered:]} == {"there is room"}
    for at in seconds(25, 60):
        assert world.look(at) is None


def test_a_burner_that_short_steps_do_not_feel_is_seen_by_the_cores_that_it_takes() -> None:
    """Steps of 35 ms take twice that beside it, those of 5 ms do not; 20 a second, on two cores."""
    ladder = Ladder({"n": ("full", "small")}, {"k": {"n"}}, BUDGET)
    took: list[float] = []
    said: list[tuple[float, str]] = []
    for at in seconds(0, 45):
        s = (at - START).total_seconds()
        burns, variant = 10 <= s < 22, ladder.variant("n")
        step = 5.0 if variant == "small" else 70.0 if burns else 35.0
        took = [*took, *[step * 1e6] * 5] if not said or said[-1][1] == variant else [step * 1e6] * 5
        idle = 0.0 if burns else 2 - 20 * step / 1000
        cost = Cost(variant, 16, 20.0, sum(took[-16:]) / len(took[-16:]), step * 1e6, statistics.median(took), idle)
        switch = ladder.look(ns(at), {"k": Seen(20, 0.2, 1.0 if burns and variant == "full" else 0.3)}, {"n": cost})
        if switch is not None:
            said.append((s, switch.after))
            took = []
    assert [variant for _, variant in said] == ["small", "full"], said
    assert said[1][0] - 22 <= 5


def test_load_that_stays_is_not_tried_again_and_again() -> None:
    world = World()
    world.slow = 2.5
    for at in seconds(0, 600):
        world.look(at)
    downs = sum(s.why != "there is room" for _, s in world.said)
    assert world.ladder.lowered
    assert downs <= 16, "doubt is tried more and more seldom"


@pytest.mark.parametrize("period_s", [4, 20, 60])
def test_load_that_changes_moves_nodes_no_oftener_than_it_changes(period_s: float) -> None:
    world = World()
    changes = 0
    for at in seconds(0, 600):
        slow = 2.5 if (at - START).total_seconds() % period_s >= period_s / 2 else 1.0
        changes += slow != world.slow
        world.slow = slow
        world.look(at)
    assert len(world.said) <= 2.5 * changes + 4


def test_a_step_up_that_fails_rests_each_time_for_longer() -> None:
    """Measured costs promise room here, and do not keep it: something else takes the time."""
    ladder = Ladder({"n": ("full", "small")}, {"k": {"n"}}, BUDGET)
    ups: list[int] = []
    for i in range(4 * 300):
        now = 10 * SECOND + i * 250 * MS
        full = ladder.variant("n") == "full"
        places = {"k": Seen(20, 0.3, 1.2 if full else 0.3)}
        switch = ladder.look(now, places, {"n": Cost(ladder.variant("n"), 16, 10.0, 1e6, 1e6)})
        if switch is not None and switch.after == "full":
            ups.append(now)
    gaps = [b - a for a, b in itertools.pairwise(ups)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 60 * SECOND
    assert len(ups) <= 10


def test_only_nodes_on_the_path_in_trouble_move_and_at_the_bottom_none() -> None:
    world = World()
    costs = {n: Cost("full", 16, 15.0, 50e6 if n == "hands" else 1e6, 60e6) for n in VARIANTS}
    trouble = {"glasses": Seen(5, 0.9, 1.1), "robot": Seen(5, 0.2, 0.3)}
    assert world.ladder.look(10 * SECOND, trouble, costs) == Switch(
        "ears", "full", "final_only", "glasses has used 110% of the budget (p95)"
    )
    assert world.ladder.look(11 * SECOND, trouble, costs) is None
    assert world.ladder.look(12 * SECOND, {"robot": Seen(2, 1.1, 1.1)}, costs) is None, "two are too few to tell"


def test_what_is_between_room_and_trouble_stays_as_it_is() -> None:
    ladder = Ladder({"n": ("full", "small")}, {"k": {"n"}}, BUDGET)
    cost = {"n": Cost("full", 16, 10.0, 1e6, 1e6)}
    assert ladder.look(10 * SECOND, {"k": Seen(9, 0.9, 0.95)}, cost) is not None
    cost = {"n": Cost("small", 16, 10.0, 1e6, 1e6)}
    for i in range(100):
        assert ladder.look((11 + i) * SECOND, {"k": Seen(9, 0.5, 0.75)}, cost) is None


def test_the_newest_second_is_seen_or_the_newest_few() -> None:
    now = 100 * SECOND
    often = [(now - i * 100 * MS, 1.0 if i >= 10 else 0.25) for i in range(30)][::-1]
    assert seen_of(often, now) == Seen(10, 0.25, 0.25)
    seldom = [(now - i * 1200 * MS, i / 10) for i in range(9)][::-1]
    assert seen_of(seldom, now).n == 3
    assert seen_of(seldom, now).p95 == pytest.approx(0.2)
    assert seen_of(seldom, now, now - SECOND).n == 1
    assert seen_of(seldom, now + 20 * SECOND) == Seen(0, 0.0, 0.0)
    assert not Seen(2, 1.4, 1.4).strained, "two are too few to tell"
    assert Seen(2, 1.0, LOST).strained, "but not if they were lost"
    assert not Seen(1, LOST, LOST).strained
