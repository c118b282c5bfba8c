"""Laws of prediction: closed forms that it must meet, and what can never be otherwise."""

from __future__ import annotations

import dataclasses
import json

import pytest
from budget_parts import FIRING_US, Case, chain, end, node, one_thread, source, step
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream.graph.budget.advice import advise
from omnistream.graph.budget.predict import Prediction, predict
from omnistream.graph.budget.profile import NodeProfile, Spread, StreamProfile
from omnistream.graph.budget.simulate import Declared
from omnistream.message import MS


def p99(found: Prediction) -> float:
    return max(p.p99 for p in found.paths)


@given(st.lists(st.floats(0.1, 8), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_constant_steps_that_keep_up_take_their_sum(costs_ms: list[float]) -> None:
    found = chain(costs_ms).predict(600)
    (path,) = found.paths
    # Each firing, and the source's message, has the engine's share.
    expected = sum(costs_ms) + (len(costs_ms) + 2) * FIRING_US / 1e3
    assert path.p50 == pytest.approx(expected, abs=0.05)
    assert path.p99 == pytest.approx(expected, abs=0.05)
    assert path.nodes == ("s", *(f"n{i}" for i in range(len(costs_ms))), "k")
    assert [p.step for p in path.parts[1:-1]] == pytest.approx(costs_ms, abs=0.05)


def test_the_same_is_predicted_each_time() -> None:
    case = one_thread(9, 10, "{drop_oldest: 4}")
    case.nodes["n"] = node(step(9, spread=0.5), thread=True)
    assert case.predict(800) == case.predict(800)
    other = predict(dataclasses.replace(case.setup(), seed=1), 800)
    assert other != case.predict(800)


@given(st.floats(1, 20), st.floats(0.1, 10), st.sampled_from(["newest", "{drop_oldest: 4}"]))
@settings(max_examples=15, deadline=None)
def test_a_dearer_step_is_never_faster(ms: float, more: float, queue: str) -> None:
    """But for what the beat of steps and frames does where it overloads: a message may wait up to a step less then."""
    cheap, dear = (one_thread(m, 12, queue).predict(600).paths[0] for m in (ms, ms + more))
    assert dear.p50 >= cheap.p50 - (0.5 if ms + more < 12 else ms)
    assert dear.p99 >= cheap.p99 - (0.5 if ms + more < 12 else ms)
    assert dear.limit <= cheap.limit * 1.01


@given(st.floats(11, 40))
@settings(max_examples=10, deadline=None)
def test_before_a_bottleneck_with_newest_nothing_is_older_than_one_period_and_its_service(ms: float) -> None:
    every = 10.0
    (path,) = one_thread(ms, every, "newest").predict(900).paths
    assert ms <= path.p50 <= path.p99 <= every + ms + 1
    assert path.bottleneck == "n"
    assert path.used > 0.95
    assert path.limit == pytest.approx(1000 / ms, rel=0.1)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_drop_oldest_is_as_old_as_the_half_that_the_receiver_holds_and_the_half_that_comes_meanwhile(n: int) -> None:
    ms, every = 20.0, 5.0
    (path,) = one_thread(ms, every, f"{{drop_oldest: {n}}}").predict(900).paths
    assert p99(one_thread(ms, every, "newest").predict(900)) <= path.p99 <= n / 2 * (ms + every) + 1
    assert path.p50 > n / 2 * ms


def test_block_makes_the_source_wait_and_its_queue_counts() -> None:
    (path,) = one_thread(20, 5, "{block: 4}", stamped=False).predict(900).paths
    assert path.p50 == pytest.approx(
        6 * 20, rel=0.05
    )  # four hold the credits, one is pending, one is still in the source's hand
    assert path.late == 0


def test_what_a_window_waits_for_its_end_is_told_apart() -> None:
    lines = [
        's: {use: "budget_parts:Come"}',
        'g: {use: "budget_parts:Gather", inputs: {items: {from: s, take: window, window: {size: 200ms}}}}',
        'k: {use: "budget_parts:End", inputs: {item: g}}',
    ]
    (path,) = Case(lines, {"s": source(20), "g": node(step(3)), "k": end()}).predict(2000).paths
    gather = path.parts[1]
    assert 0 <= gather.fill <= 20  # the newest message of a window is at most a period older than its end
    assert path.p50 == pytest.approx(gather.fill + gather.step, abs=20)
    assert gather.step == pytest.approx(3, abs=0.1)
    assert path.rate == pytest.approx(5, rel=0.05)


def join(*, lag_ms: int = 0, period_ms: float = 0.0) -> Prediction:
    lag = f", lag: {lag_ms}ms" if lag_ms else ""
    lines = [
        'a: {use: "budget_parts:Come"}',
        'camera: {use: "budget_parts:Come"}',
        f'm: {{use: "budget_parts:Meet", inputs: {{item: a, other: {{from: camera, take: latest, wait: 20ms{lag}}}}}}}',
        'k: {use: "budget_parts:End", inputs: {item: m}}',
    ]
    nodes = {"a": source(21), "camera": source(1000 / 15, late_ms=5, exact=False), "m": node(step(1)), "k": end()}
    declared = {"camera": Declared(int(period_ms * MS), 30 * MS)}
    return Case(lines, nodes, declared=declared).predict(6000)


def forced(found: Prediction) -> float:
    return next(j.forced for j in found.joins if j.port == "other")


def test_a_join_is_forced_less_with_a_period_and_never_with_the_lag_that_is_named() -> None:
    bare, declared = join(), join(period_ms=1000 / 15)
    assert forced(bare) > 0.7
    assert forced(declared) < forced(bare) / 2
    lag = next(j.lag_ms for j in bare.joins if j.port == "other")
    assert 0 < lag < 40
    assert forced(join(lag_ms=int(lag) + 1)) == 0
    waits = [next(p for p in f.paths[0].parts if p.node == "m").wait for f in (bare, join(lag_ms=40))]
    assert waits[0] > 15
    assert waits[1] < 1


def test_threads_of_one_process_share_pythons_lock() -> None:
    def pair(gil: float, layout: str = "one", engine: str = "local") -> float:
        lines = ['s: {use: "budget_parts:Come"}']
        nodes = {"s": source(40)}
        for n in "ab":
            lines.append(f'{n}: {{use: "budget_parts:Heavy", inputs: {{item: s}}}}')
            lines.append(f'k{n}: {{use: "budget_parts:End", inputs: {{item: {n}}}}}')
            nodes |= {n: node(step(12, gil=gil), thread=True), f"k{n}": end()}
        case = Case(lines, nodes, layout=layout)
        return p99(predict(dataclasses.replace(case.setup(), engine=engine), 1500))  # type: ignore[arg-type]

    assert pair(0.0) == pytest.approx(12, abs=1)
    assert pair(1.0) == pytest.approx(24, abs=2)
    assert pair(1.0, layout="each", engine="ray") < 18


def test_steps_that_want_more_cores_than_there_are_slow_each_other() -> None:
    def three(cores: float) -> float:
        lines = ['s: {use: "budget_parts:Come"}']
        nodes = {"s": source(60)}
        for n in "abc":
            lines.append(f'{n}: {{use: "budget_parts:Heavy", inputs: {{item: s}}}}')
            lines.append(f'k{n}: {{use: "budget_parts:End", inputs: {{item: {n}}}}}')
            nodes |= {n: node(step(12), thread=True), f"k{n}": end()}
        return p99(Case(lines, nodes, cores=cores).predict(1500))

    assert three(4) == pytest.approx(12, abs=1)
    assert three(2) == pytest.approx(18, abs=1)
    assert three(1) == pytest.approx(36, abs=1)


def test_others_on_the_host_take_their_share() -> None:
    case = one_thread(10, 100, "newest")
    alone = case.predict(600)
    host = case.host().model_copy(update={"others": Spread.flat(3.0)})
    beside = predict(dataclasses.replace(case.setup(), host=host), 600)
    assert p99(alone) == pytest.approx(10, abs=0.5)
    assert p99(beside) == pytest.approx(20, abs=0.5)  # four share two cores


@given(st.integers(30, 200))
@settings(max_examples=8, deadline=None)
def test_a_budget_is_refused_where_the_p99_is_over_it(ms: int) -> None:
    case = chain([ms / 2, ms / 4], every_ms=1000)
    takes = p99(case.predict(400))
    for budget, fits in ((takes + 0.2, True), (takes - 0.2, False)):
        found = dataclasses.replace(case, budget=f"{budget:.3f}ms").predict(400)
        assert found.fits is fits


@given(st.integers(30, 200), st.sampled_from([0.1, 0.2, 0.5]))
@settings(max_examples=8, deadline=None)
def test_what_is_to_spare_is_left_of_the_budget(ms: int, spare: float) -> None:
    """Where nothing queues a budget fits that is longer by just the share."""
    case = chain([ms / 2, ms / 4], every_ms=1000)
    least = p99(case.predict(400)) / (1 - spare)
    for budget, fits in ((least + 0.2, True), (least - 0.2, False)):
        found = predict(dataclasses.replace(dataclasses.replace(case, budget=f"{budget:.3f}ms").setup(), spare=spare), 400)
        assert found.fits is fits
        assert found.paths[0].needs == pytest.approx(least)


def test_what_holds_only_if_no_step_is_slower_has_nothing_to_spare() -> None:
    """A thread that is busy for nine tenths of the time has 20 % to spare of no budget at all: its queue would grow."""
    setup = dataclasses.replace(one_thread(45, 50, "{block: 64}"), budget="100ms").setup()
    assert predict(setup, 900).fits
    found = predict(dataclasses.replace(setup, spare=0.2), 900)
    assert not found.fits
    (sentence,) = advise(dataclasses.replace(setup, spare=0.2), found).advice
    assert "of 100, of which 20% are to be left to spare" in sentence


def test_what_is_skipped_for_being_late_is_no_success() -> None:
    case = one_thread(40, 100, "newest")
    case.budget = "30ms"
    found = case.predict(300)
    assert not found.fits
    assert any(p.late > 0.9 for p in found.paths)


def test_figures_for_tools_have_no_infinity() -> None:
    """What never comes through in time has no age, and what is never busy no limit."""
    found = chain([25, 10], every_ms=100, queue="newest", budget="30ms").predict(600).as_dict()
    text = json.dumps(found, allow_nan=False)
    assert found["paths"][0]["p99_ms"] is None, text


def test_what_cannot_be_in_time_is_not_charged() -> None:
    """Of steps in place, too: by what one typically takes it is skipped."""
    busy = chain([25, 10], every_ms=100, queue="newest", budget="30ms").setup().simulate(600).busy
    assert busy["n0"] == pytest.approx(0.25, rel=0.05)
    assert busy["n1"] == 0


def test_a_source_that_brought_nothing_and_nodes_unknown_are_told() -> None:
    case = chain([1, 1])
    case.nodes["s"] = NodeProfile(role="source", use="", source=source(1).source.model_copy(update={"interval": Spread()}))  # type: ignore[union-attr]
    found = case.predict(100)
    assert found.paths == ()
    assert found.silent == ("k",)
    del case.nodes["n1"]
    assert "not in the profile, so counted as nothing: n1" in case.predict(100).notices[0]


def test_a_node_that_seldom_emits_is_taken_as_that() -> None:
    case = chain([1, 1], every_ms=10)
    case.nodes["n0"] = node(step(1)).model_copy(update={"outputs": {"out": StreamProfile(per_firing=0.25)}})
    (path,) = case.predict(6000).paths
    assert path.rate == pytest.approx(25, rel=0.15)


def test_advice_names_the_node_and_a_change_that_fits() -> None:
    case = one_thread(40, 50, "newest")
    case.budget = "30ms"
    case.nodes["n"] = node(step(40), thread=True, variants={"full": step(40), "small": step(12)})
    setup = case.setup()
    (sentence,) = advise(setup, predict(setup, 600)).advice
    assert sentence.startswith("n takes 40 ms, too long for what is left of 30; ")
    assert "variant 'small' makes it 12 ms" in sentence


def test_advice_lowers_a_rate_where_that_helps() -> None:
    case = one_thread(35, 30, "newest")
    case.nodes["n"] = node(step(35, spread=0.6), thread=True)
    case.budget = "70ms"
    case.lines[0] = 's: {use: "budget_parts:Come", with: {fps: 33.3}}'
    setup = case.setup()
    (sentence,) = advise(setup, predict(setup, 900)).advice
    assert "; s fps 33.3 -> " in sentence
    assert sentence.endswith(" ms")


def test_advice_says_which_budget_would_hold_where_nothing_else_does() -> None:
    case = chain([40], every_ms=1000, budget="30ms")
    setup = case.setup()
    (sentence,) = advise(setup, predict(setup, 300)).advice
    assert sentence.startswith("n0 takes 40 ms p99 of 30")
    assert "`budget: 45ms` would hold" in sentence
