"""A base that is driven in event time, with literal times; a simulated robot obeys what comes out, while it is valid."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from omnistream.errors import GraphError
from omnistream.message import INFINITY, MS, SECOND, Action, Event, Message
from omnistream.node import ports_of
from omnistream.testing import context
from omnistream_nodes.base_motion import BaseMotion
from omnistream_nodes.ramp import Ramp

T0 = 1_800_000_000 * SECOND
TICK = 50 * MS
TTL = 500 * MS


class Drive:
    """A base_motion and a robot that obeys it. Times are milliseconds since T0."""

    def __init__(self, **options: float) -> None:
        self.node, self.ctx = BaseMotion(**options), context("drive")
        self.sent: list[tuple[int, Action]] = []
        self.x_m = self.yaw_rad = 0.0
        self._seq = self._at_ns = 0
        self._obeyed: Action | None = None

    async def fire(
        self,
        ms: float,
        action: Action | None = None,
        stop: Action | None = None,
        tick: bool = False,
        stamp: float | None = None,
        cause: float | None = None,
    ) -> Action | None:
        if not self.ctx.now:
            await self.node.open(self.ctx)
        now = T0 + round(ms * MS)
        self._obey(now)
        self.ctx.now, self.ctx.cause = now, now if cause is None else T0 + round(cause * MS)
        at = now if stamp is None else T0 + round(stamp * MS)
        given = action and self._message(action, at), Event("tick") if tick else None, stop and self._message(stop, at)
        last: Action | None = None
        async for out in self.node.step(*given):
            last = out.motion
            assert last is not None
            self.sent.append((now, last))
            if last.kind in ("velocity", "stop"):
                self._obeyed = last
        return last

    async def run(self, start: float, end: float, every: float = 50) -> list[Action | None]:
        """Ticks in [start, end)."""
        return [await self.fire(start + n * every, tick=True) for n in range(math.ceil((end - start) / every))]

    async def done(self, start: float, every: float = 50) -> float:
        """Tick until it is at rest; when it was."""
        ms = start
        while await self.fire(ms, tick=True) is not None or self.node._way is not None:
            ms += every
            assert ms < start + 600_000, "it never comes to rest"
        self._obey(T0 + round((ms + 1000) * MS))
        return ms

    def _message(self, action: Action, stamp: int) -> Message[Action]:
        self._seq += 1
        return Message("reason.action", 0, self._seq, (), stamp, stamp, stamp + 200 * MS, {}, action)

    def _obey(self, until: int) -> None:
        """The robot's own way of moving: each velocity until the next motion, or until it is no longer valid."""
        if self._obeyed is not None and self._obeyed.kind == "velocity":
            seconds = max(0, min(until, self._obeyed.valid_until_ns) - self._at_ns) / SECOND
            self.x_m += self._obeyed.values["x_mps"] * seconds
            self.yaw_rad += self._obeyed.values["yaw_radps"] * seconds
        self._at_ns = until

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.ctx.report.rows]

    def speeds(self, name: str = "x_mps") -> list[float]:
        return [a.values[name] for _, a in self.sent if a.kind == "velocity"]


def act(kind: str, until_ms: float = 10**7, target: str = "", **values: float) -> Action:
    return Action(kind, T0 + round(until_ms * MS), values, target=target, text=kind)


STOP = Action("stop", INFINITY, text="open palm")


def test_ports():
    ports = ports_of(BaseMotion)
    assert {n: (p.form, p.optional) for n, p in ports.inputs.items()} == {
        "action": ("message", True),
        "tick": ("one", True),
        "stop": ("message", True),
    }
    assert list(ports.outputs) == ["motion"]


async def test_forward_two_metres():
    drive = Drive()
    first = await drive.fire(1000, act("forward", distance_m=2))
    assert first.kind == "velocity"
    assert 0 < first.values["x_mps"] <= 0.5 * 0.05 + 1e-9
    assert first.valid_until_ns == T0 + 1500 * MS
    end = await drive.done(1050)
    assert drive.x_m == pytest.approx(2.0, abs=1e-9)
    assert drive.yaw_rad == 0
    assert max(drive.speeds()) == pytest.approx(0.3)
    assert drive.speeds()[-1] == 0
    assert drive.speeds().count(0.0) == 1  # one velocity of zero, the last
    assert 7250 < end - 1000 < 7500  # 2 m at 0.3 m/s and two ramps of 0.6 s
    assert await drive.run(end + 50, end + 500) == [None] * 9  # at rest it is silent


async def test_turns_to_either_side_and_around():
    for target, angle, values in (
        ("left", math.pi / 2, {}),
        ("right", -math.pi / 2, {}),
        ("around", math.pi, {}),
        ("left", 0.25, {"angle_rad": 0.25}),
    ):
        drive = Drive()
        await drive.fire(0, act("turn", target=target, **values))
        await drive.done(50)
        assert drive.yaw_rad == pytest.approx(angle, abs=1e-9)
        assert drive.x_m == 0


async def test_backward_come_and_follow():
    for kind, values, way in (
        ("backward", {"distance_m": 0.5}, -0.5),
        ("come", {}, 1.0),
        ("follow", {}, 3.0),
        ("forward", {}, 1.0),
    ):
        drive = Drive()
        await drive.fire(0, act(kind, **values))
        await drive.done(50)
        assert drive.x_m == pytest.approx(way, abs=1e-9)


async def test_ticks_alone_say_nothing():
    drive = Drive()
    assert await drive.run(0, 1000) == [None] * 20
    assert drive.sent == []


async def test_stop_cancels_at_once_and_again_whenever_it_comes():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=5))
    await drive.run(50, 1000)
    out = await drive.fire(1010, stop=STOP)
    assert out == Action("stop", INFINITY, text="open palm")
    where = drive.x_m
    assert await drive.run(1050, 2000) == [None] * 19
    assert await drive.fire(2010, stop=STOP) == out
    assert drive.x_m == where


async def test_stop_wins_over_an_action_of_the_same_firing():
    drive = Drive()
    out = await drive.fire(0, act("forward"), stop=STOP, tick=True)
    assert out.kind == "stop"
    assert drive.reasons == ["superseded"]
    assert await drive.run(50, 500) == [None] * 9


async def test_a_stop_on_the_action_port_is_a_stop():
    drive = Drive()
    await drive.fire(0, act("forward"))
    assert (await drive.fire(50, STOP, tick=True)).kind == "stop"
    assert await drive.fire(100, tick=True) is None


async def test_an_action_from_before_the_stop_is_not_begun_after_it():
    drive = Drive()
    await drive.fire(1000, stop=STOP)
    assert await drive.fire(1100, act("forward"), stamp=990) is None
    assert await drive.fire(1110, act("pick"), stamp=1000) is None
    assert drive.reasons == ["superseded", "superseded"]
    assert (await drive.fire(1200, act("forward"), stamp=1001)).kind == "velocity"


async def test_a_new_motion_replaces_the_old_one_smoothly():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=5))
    await drive.run(50, 2000)
    x = drive.x_m
    await drive.fire(2000, act("turn", target="left"))
    await drive.done(2050)
    assert drive.yaw_rad == pytest.approx(math.pi / 2, abs=1e-9)
    assert drive.x_m - x < 0.3**2 / (2 * 0.5) + 0.3 * 0.1  # no further than braking takes
    await drive.fire(20000, act("backward", distance_m=1))
    await drive.done(20050)
    assert max(abs(b - a) for a, b in pairwise(drive.speeds())) <= 0.5 * 0.05 + 1e-9  # ticks were on time


async def test_an_expired_action_is_reported_and_not_begun():
    drive = Drive()
    assert await drive.fire(1000, act("forward", until_ms=1000)) is None
    assert await drive.fire(1010, act("pick", until_ms=900)) is None
    assert await drive.fire(1020, act("forward", until_ms=1021)) is not None
    assert drive.reasons == ["expired", "expired"]


@pytest.mark.parametrize(
    "wrong",
    [
        act("forward", distance_m=math.nan),
        act("forward", distance_m=math.inf),
        act("forward", distance_m=20.5),
        act("forward", distance_m=0),
        act("backward", distance_m=-1),
        act("turn", angle_rad=7),
        act("turn", target="upwards"),
        act("velocity", x_mps=0.31),
        act("velocity", yaw_radps=-1.5),
        act("pick", grip_n=math.nan),
        Action("forward", INFINITY - 1, {"distance_m": "2"}),  # type: ignore[dict-item]
    ],
)
async def test_what_is_not_finite_or_over_a_limit_is_refused_and_never_clipped(wrong):
    drive = Drive()
    assert await drive.fire(0, wrong) is None
    assert drive.reasons == ["refused"]
    assert await drive.run(50, 500) == [None] * 9


async def test_a_refused_action_leaves_the_motion_in_progress():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=1))
    await drive.fire(50, act("forward", distance_m=99), tick=True)
    await drive.done(100)
    assert drive.x_m == pytest.approx(1.0, abs=1e-9)


async def test_skills_pass_through_and_the_base_keeps_moving():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=1))
    for n, kind in enumerate(("pick", "place", "gripper", "look", "wave", "give", "describe")):
        sent = act(kind, target="left cup")
        assert await drive.fire(60 + 50 * n, sent) is sent
        await drive.fire(100 + 50 * n, tick=True)
    await drive.done(450)
    assert drive.x_m == pytest.approx(1.0, abs=1e-9)


async def test_wait_passes_through_and_brings_the_base_to_rest():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=5))
    await drive.run(50, 1000)
    assert (await drive.fire(1000, act("wait"), tick=True)).kind == "wait"
    end = await drive.done(1050)
    assert end < 1800
    assert drive.speeds()[-1] == 0
    idle = Drive()
    assert (await idle.fire(0, act("wait"))).kind == "wait"
    assert await idle.fire(50, tick=True) is None


async def test_home_and_a_bare_velocity_take_the_base_over():
    for taking in (act("home"), act("velocity", x_mps=0.2, yaw_radps=-0.5)):
        drive = Drive()
        await drive.fire(0, act("forward", distance_m=5))
        await drive.run(50, 1000)
        assert await drive.fire(1000, taking) is taking
        assert await drive.run(1050, 2000) == [None] * 19


async def test_before_home_a_motion_ends_so_that_no_watchdog_ends_what_the_robot_does_then():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=5))
    await drive.run(50, 1000)
    await drive.fire(1000, act("home"))
    assert [(a.kind, a.values.get("x_mps")) for _, a in drive.sent[-2:]] == [("velocity", 0.0), ("home", None)]
    idle = Drive()
    await idle.fire(0, act("home"))
    assert [a.kind for _, a in idle.sent] == ["home"]


async def test_slow_halves_the_speed_until_the_base_is_at_rest():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=2))
    await drive.run(50, 1000)
    out = await drive.fire(1000, act("slow"))
    assert out.kind == "velocity"
    await drive.run(1050, 2000)
    assert drive.speeds()[-1] == pytest.approx(0.15)
    await drive.done(2000)
    assert drive.x_m == pytest.approx(2.0, abs=1e-9)
    await drive.fire(30000, act("forward", distance_m=2))
    await drive.run(30050, 31500)
    assert drive.speeds()[-1] == pytest.approx(0.3)
    await drive.done(31500)
    await drive.fire(60000, act("slow"))
    await drive.fire(60050, act("forward", distance_m=2))
    await drive.run(60100, 61500)
    assert drive.speeds()[-1] == pytest.approx(0.15)


async def test_missing_ticks_count_no_more_than_the_robot_was_allowed_to_move():
    drive = Drive()
    await drive.fire(0, act("forward", distance_m=3))
    await drive.run(50, 2000)
    assert drive.speeds()[-1] == pytest.approx(0.3)
    again = await drive.fire(
        10_000, tick=True
    )  # eight seconds of silence; the watchdog has stopped the robot after half a second
    assert abs(again.values["x_mps"]) <= 0.5 * 0.05 + 1e-9  # from rest, without a jump
    await drive.done(10_050)
    assert drive.x_m == pytest.approx(3.0, abs=1e-9)


async def test_a_velocity_is_valid_from_its_cause_and_not_sent_when_that_is_past():
    drive = Drive()
    first = await drive.fire(1000, act("forward"), cause=700)
    assert first.valid_until_ns == T0 + 1200 * MS
    late = Drive()
    assert await late.fire(1000, act("forward"), cause=500) is None  # its velocity would be expired
    assert (await late.fire(1050, tick=True)).kind == "velocity"  # the next tick's is not
    await late.done(1100)
    assert late.x_m == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("wrong", [{"max_mps": 0}, {"rate_hz": -1}, {"max_angle_rad": math.inf}, {"ttl_ms": 50}])
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(GraphError, match=next(iter(wrong))):
        BaseMotion(**wrong)


# laws

kinds = st.one_of(
    st.builds(lambda k, d: act(k, distance_m=d), st.sampled_from(["forward", "backward", "come"]), st.floats(-1, 25)),
    st.builds(lambda a: act("turn", angle_rad=a), st.floats(-8, 8)),
    st.sampled_from(
        [act("slow"), act("wait"), act("home"), act("pick"), STOP, act("turn", target="left"), act("velocity", x_mps=9)]
    ),
)
firings = st.lists(
    st.tuples(st.sampled_from([5.0, 20.0, 50.0, 50.0, 50.0, 120.0, 700.0]), st.none() | kinds, st.booleans(), st.booleans()),
    max_size=60,
)


async def driven(steps: list[tuple[float, Action | None, bool, bool]], **options: float) -> Drive:
    drive, ms = Drive(**options), 1000.0
    await drive.fire(ms, tick=True)
    for after, action, tick, stop in steps:
        ms += after
        rare_stop = STOP if stop and action is not None else None
        if tick or action is not None:
            await drive.fire(ms, action, rare_stop, tick)
    return drive


@settings(deadline=None)
@given(firings)
async def test_no_limit_is_ever_exceeded(steps):
    drive = await driven(steps)
    last = {"x_mps": 0.0, "yaw_radps": 0.0}
    since = 0
    for (t, a), (_, following) in itertools.pairwise([*drive.sent, (0, STOP)]):
        if a.kind != "velocity" or following.kind == "home":
            if a.kind in ("stop", "home"):
                last = dict.fromkeys(last, 0.0)
            continue
        assert a.valid_until_ns == t + TTL
        for name, speed, acceleration in (("x_mps", 0.3, 0.5), ("yaw_radps", 1.0, 2.0)):
            value = a.values[name]
            assert math.isfinite(value)
            assert abs(value) <= speed + 1e-9
            assert str(value) != "-0.0"
            if t < since + TTL:
                assert abs(value - last[name]) <= acceleration * 2 * TICK / SECOND + 1e-9
            last[name] = value
        since = t


@settings(deadline=None)
@given(st.floats(0.001, 20), st.floats(0.05, 2), st.floats(0.1, 5), st.sampled_from([10, 20, 50]))
async def test_the_way_travelled_is_the_way_asked_for(distance, speed, acceleration, rate):
    assume(distance / speed < 30)
    drive = Drive(max_mps=speed, max_mps2=acceleration, rate_hz=rate)
    every = 1000 / rate
    await drive.fire(0, act("forward", distance_m=distance))
    end = await drive.done(every, every)
    assert drive.x_m == pytest.approx(distance, abs=1e-6)
    fastest = max(distance / speed + speed / acceleration, 2 * math.sqrt(distance / acceleration))
    assert end / 1000 <= fastest * 1.3 + 8 / rate  # and it takes not much longer than it must


@settings(deadline=None)
@given(st.floats(0.2, 5), st.lists(st.floats(5, 99), min_size=1, max_size=50))
async def test_with_unsteady_ticks_it_is_within_a_tick_of_it(distance, gaps):
    drive, ms = Drive(), 0.0
    await drive.fire(ms, act("forward", distance_m=distance))
    for n in range(100_000):
        ms += gaps[n % len(gaps)]
        if await drive.fire(ms, tick=True) is None:
            break
    drive._obey(T0 + round((ms + 1000) * MS))
    assert abs(drive.x_m - distance) <= 0.3 * 0.1 + 1e-6


@settings(deadline=None)
@given(firings, st.floats(1, 200))
async def test_after_a_stop_nothing_moves_until_a_new_action(steps, after):
    drive = await driven(steps)
    ms = (drive.ctx.now - T0) / MS + after
    assert (await drive.fire(ms, act("forward"), STOP, tick=True)).kind == "stop"
    sent = len(drive.sent)
    await drive.run(ms + 50, ms + 1000)
    assert len(drive.sent) == sent


@settings(deadline=None)
@given(firings)
async def test_replay_equals_replay(steps):
    assert (await driven(steps)).sent == (await driven(steps)).sent


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-10, 10), st.floats(0, 2), st.floats(0.1, 1))
def test_a_ramp_changes_by_no_more_than_it_may(speed, remaining, passed, scale):
    ramp = Ramp(max_speed=1.0, max_acceleration=2.0, period_s=0.05)
    new = ramp.next_speed(speed, remaining, passed, scale)
    assert abs(new - speed) <= 2.0 * min(passed, 0.1 if speed else 0.05) + 1e-12
    assert abs(new) <= max(abs(speed), scale) + 1e-12
