"""One node by the event-time rules: when it fires, what a firing inherits, what it owes, and how far its bound has come."""

from __future__ import annotations

from typing import Any

import pytest
from flow_parts import Rig, deliveries, laws, streams
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.cell import Cell, Firing, OutPort, edge_passed
from omnistream.flow.config import Queue, WindowConfig
from omnistream.flow.edge import Edge
from omnistream.message import INFINITY, Event, Message, Window


class Reader:
    """The receiving end of an output: keeps messages, bounds and acknowledgements."""

    def __init__(self, policy: Any = "block", n: int = 1000) -> None:
        self.got: list[Message[Any]] = []
        self.acks: list[Any] = []
        self.told: list[int] = [0]
        self.edge = Edge("n.out->k.in", Queue(policy, n), fresh=False, lost=lambda *_: None)
        self.edge.link = self

    def message(self, message: Message[Any], bound: int, ack: Any) -> None:
        assert message.stamp_ns >= self.told[-1]
        self.got.append(message)
        self.acks.append(ack)
        self.bound(bound)

    def bound(self, bound: int) -> None:
        assert bound >= self.told[-1]
        self.told.append(bound)


class Stage:
    """A cell with its ports and one reader an output."""

    def __init__(self, *rigs: Rig, outs: tuple[str, ...] = ("out",), budget: int = 200, policy: Any = "block") -> None:
        self.rigs = rigs
        self.outs = {name: OutPort(name, f"n.{name}", 2) for name in outs}
        self.readers = {name: Reader(policy) for name in outs}
        self.cell = Cell("n", [r.port for r in rigs], self.outs, budget)
        for name, reader in self.readers.items():
            self.outs[name].edges.append(reader.edge)
            self.cell.out_edges.append(reader.edge)

    def settled(self) -> int | None:
        """The t of the firing that can begin now."""
        t = self.cell.candidate()
        return t if t < INFINITY and not self.cell.lagging(t) else None

    def fire(self, *emits: str, fate: str = "consumed") -> Firing:
        t = self.settled()
        assert t is not None
        firing = self.cell.begin(t)
        for out in emits:
            self.cell.emit(out, Event("x"))
        self.cell.end(fate)
        return firing


def each(name: str = "p", n: int = 1, **config: Any) -> Rig:
    return Rig("each", n, name=name, **config)


def window(name: str = "w", size: int = 10, hop: int = 10, **config: Any) -> Rig:
    return Rig("window", window=WindowConfig(size, hop), form="window", name=name, **config)


# -- when -----------------------------------------------------------------------------------------


def test_ports_that_are_due_share_a_firing_and_the_others_get_none() -> None:
    """Rule 6."""
    a, b, w, near = each("a"), each("b"), window(), Rig("latest", name="near")
    stage = Stage(a, b, w, near)
    a.give(0, 9)
    b.give(0, 9)
    w.give(0, 3)
    a.give(0, 12)
    for rig in (a, b, w, near):
        rig.end()
    args = stage.fire().args
    assert (args["a"].stamp_ns, args["b"].stamp_ns, len(args["w"]), args["near"]) == (9, 9, 1, None)
    args = stage.fire().args
    assert (args["a"].stamp_ns, args["b"], args["w"], args["near"]) == (12, None, None, None)
    assert stage.settled() is None
    assert stage.cell.done


def test_a_fan_in_port_gives_one_message_a_firing() -> None:
    """Rule 6: its next at t is a second firing, whose output follows the first's."""
    rig, other = each(n=2), each("q")
    stage = Stage(rig, other)
    rig.give(0, 5)
    rig.give(1, 5)
    other.give(0, 5)
    rig.end()
    other.end()
    first, second = stage.fire("out"), stage.fire("out")
    assert (first.t, first.args["p"].stream, first.args["q"].stamp_ns) == (5, "s0.out", 5)
    assert (second.t, second.args["p"].stream, second.args["q"]) == (5, "s1.out", None)
    assert [m.stamp_ns for m in stage.readers["out"].got] == [5, 6]


def test_a_firing_waits_until_its_t_is_settled_on_every_port() -> None:
    """Rule 7."""
    a, near = each("a"), Rig("latest", name="near", lag_ns=3)
    stage = Stage(a, near)
    a.give(0, 10)
    assert stage.cell.lagging(10) == [(near.port, near.edges)]
    near.tell(0, 7)
    assert stage.settled() is None
    near.tell(0, 8)
    assert stage.settled() == 10


def test_a_wait_counts_from_the_arrival_of_the_oldest_trigger() -> None:
    """Rule 11; a window's from its newest arrival and what is left to its end."""
    a, w, near = each("a"), window(), Rig("latest", name="near", wait_ns=20)
    patient = Rig("latest", name="patient", wait_ns=INFINITY)
    stage = Stage(a, w, near, patient)
    a.give(0, 9, arrival=1009)
    w.give(0, 4, arrival=1000)
    assert stage.cell.force_time(9, near.port) == 1000 + 6 + 20
    assert stage.cell.force_time(9, patient.port) == INFINITY


def test_an_urgent_port_hurries_as_soon_as_it_has_something() -> None:
    """Rule 14."""
    a, stop = each("a"), each("stop", urgent=True)
    stage = Stage(a, stop)
    a.give(0, 5)
    assert not stage.cell.hurried()
    stop.give(0, 9)
    assert stage.cell.hurried()


# -- what a firing inherits -----------------------------------------------------------------------


def test_the_cause_is_the_oldest_trigger_and_of_a_window_its_newest_message() -> None:
    """Rules 10 and 13 (law): what `latest` reads counts for nothing."""
    a, w, near = each("a"), window(), Rig("latest", name="near")
    stage = Stage(a, w, near, budget=200)
    near.give(0, 1, cause_ns=-900)
    w.give(0, 2, cause_ns=-500)
    w.give(0, 4, cause_ns=3)
    a.give(0, 9, cause_ns=7)
    for rig in (a, w, near):
        rig.end()
    firing = stage.fire("out")
    assert (firing.cause, firing.deadline) == (3, 203)
    sent = stage.readers["out"].got[0]
    assert (sent.cause_ns, sent.deadline_ns) == (3, 203)


lineages = st.dictionaries(st.sampled_from(["mic.out", "cam.out", "imu.out"]), st.integers(0, 50), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 3), lineages), min_size=1, max_size=8))
@laws(150)
def test_lineage_is_the_newest_stamp_of_every_source_that_was_read(read: list[tuple[int, dict[str, int]]]) -> None:
    """Rule 10: of all that the firing read, memory of other firings aside."""
    rigs = (each("a"), window(size=20, hop=20), Rig("latest", name="near"), Rig("recent", form="recent", name="all"))
    stage = Stage(*rigs)
    here: list[tuple[int, int, dict[str, int]]] = []
    for at, (port, lineage) in enumerate(read):
        stamp = 19 if port == 0 else at
        if port == 0 and rigs[0].seqs[0]:
            continue
        rigs[port].give(0, stamp, lineage=lineage)
        here.append((port, stamp, lineage))
    for rig in rigs:
        rig.end()
    if stage.settled() is None:
        return
    newest = max((s for p, s, _ in here if p == 2), default=-1)
    seen = [lineage for p, s, lineage in here if p != 2 or s == newest]
    expected: dict[str, int] = {}
    for lineage in seen:
        for stream, stamp in lineage.items():
            expected[stream] = max(stamp, expected.get(stream, stamp))
    assert dict(stage.fire().lineage) == expected
    for _, _, lineage in here:
        assert lineage in [x for _, x in read]  # nobody's map was written to


def test_origins_descend_from_the_first_block_trigger_and_are_numbered_by_output() -> None:
    """Rule 24."""
    frames, a, b = each("frames", policy="newest"), each("a"), each("b")
    stage = Stage(frames, a, b, outs=("x", "y"))
    frames.give(0, 5, origin=("cam", 0, 1))
    a.give(0, 5, origin=("client", 7))
    b.give(0, 5, origin=("other", 8))
    for rig in (frames, a, b):
        rig.end()
    stage.fire("x", "y", "x")
    assert [m.origin for m in stage.readers["x"].got] == [("n.x", "a", ("client", 7), 0), ("n.x", "a", ("client", 7), 1)]
    assert [m.origin for m in stage.readers["y"].got] == [("n.y", "a", ("client", 7), 0)]


def test_without_a_block_trigger_an_output_is_an_origin_of_its_own() -> None:
    frames = each(policy="newest")
    stage = Stage(frames)
    frames.give(0, 5)
    frames.give(0, 6)
    frames.end()
    stage.fire("out", "out")
    stage.fire("out")
    assert [m.origin for m in stage.readers["out"].got] == [("n.out", 2, 0), ("n.out", 2, 1), ("n.out", 2, 2)]


def test_windows_of_one_message_give_different_origins() -> None:
    """A message in two sliding windows has two effects, and a client must not take one for the other."""
    w = window(size=20, hop=10)
    stage = Stage(w)
    w.give(0, 15)
    w.end()
    stage.fire("out")
    stage.fire("out")
    first, second = (m.origin for m in stage.readers["out"].got)
    assert first != second


@given(st.integers(0, 9), st.integers(0, 5))
@laws(20)
def test_executing_again_gives_the_same_origins(seq: int, epoch: int) -> None:
    """Rule 24: whatever seq and epoch the messages have in the new life."""
    found = []
    for again in (False, True):
        rig = each()
        stage = Stage(rig)
        rig.seqs[0] = seq if again else 0
        rig.give(0, 5, origin=("client", 1), epoch=epoch if again else 0)
        rig.end()
        stage.outs["out"].seq = seq if again else 0
        stage.fire("out", "out")
        found.append([m.origin for m in stage.readers["out"].got])
    assert found[0] == found[1]


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=8), st.sampled_from(["one", "message"]), st.booleans())
@laws(100)
def test_the_short_way_of_a_node_with_one_stream_is_the_same(gives: list[tuple[int, bool]], form: str, block: bool) -> None:
    found = []
    for simple in (True, False):
        rig = each(form=form, policy="block" if block else "newest")
        stage = Stage(rig)
        assert stage.cell.simple
        stage.cell.simple = simple
        stamp = 0
        for gap, acked in gives:
            stamp += gap
            rig.give(0, stamp, acked=acked, cause_ns=stamp - 3, lineage={"a": stamp})
        rig.end()
        firings = []
        while stage.settled() is not None:
            f = stage.fire("out")
            arg = f.args["p"].payload if form == "message" else f.args["p"]
            fired = (f.t, arg.data["v"], f.cause, f.deadline, f.lineage, f.origin, f.droppable, len(f.each), f.token is None)
            firings.append((*fired, [(p.config.name, [i.message.seq for i in items]) for p, items in f.items]))
        out = stage.readers["out"].got
        found.append((firings, rig.edges[0].fates, rig.backs[0].credits, [(m.origin, m.stamp_ns, m.lineage) for m in out]))
        for ack in stage.readers["out"].acks:
            if ack is not None:
                ack("done")
        found[-1] += (rig.acked,)
    assert found[0] == found[1]
    assert len(found[0][0]) == len(gives)


# -- what a firing owes ---------------------------------------------------------------------------


def test_credit_and_fate_come_at_the_end_of_a_firing() -> None:
    """Rule 16."""
    rig = each()
    stage = Stage(rig)
    rig.give(0, 5)
    rig.end()
    stage.cell.begin(5)
    assert (rig.backs[0].credits, rig.fates()) == (0, 0)
    assert not stage.cell.done
    stage.cell.end()
    assert (rig.backs[0].credits, rig.edges[0].fates) == (1, {"consumed": 1})
    assert stage.cell.done


def test_a_trigger_is_acknowledged_when_its_block_outputs_are() -> None:
    """Rule 23."""
    rig = each()
    stage = Stage(rig, outs=("x", "y"))
    rig.give(0, 5, acked=True)
    rig.end()
    stage.fire("x", "y")
    assert rig.acked == []
    stage.readers["y"].acks[0]("done")
    assert rig.acked == []
    stage.readers["x"].acks[0]("done")
    assert rig.acked == [(0, 0, "done")]


def test_droppable_outputs_are_not_waited_for() -> None:
    rig = each()
    stage = Stage(rig, policy="newest")
    rig.give(0, 5, acked=True)
    rig.end()
    stage.fire("out")
    assert rig.acked == [(0, 0, "done")]
    assert stage.readers["out"].acks == [None]


@pytest.mark.parametrize("fate", ["skipped", "error", "late"])
def test_a_firing_that_came_to_nothing_gives_its_triggers_their_place_in_the_ledger(fate: str) -> None:
    """One fate each, and what a window holds for a later firing keeps its chance."""
    a, w, near = each("a"), window(size=20, hop=10), Rig("latest", name="near")
    session = Rig("window", window=WindowConfig(gap_ns=5), form="window", name="session")
    stage = Stage(a, w, near, session)
    a.give(0, 19, acked=True)
    w.give(0, 3)
    w.give(0, 15)
    near.give(0, 2)
    session.give(0, 15, acked=True)
    for rig in (a, w, near, session):
        rig.end()
    assert stage.fire().t == 9
    firing = stage.fire(fate=fate)
    assert firing.t == 19
    assert a.lost == [(0, fate)]
    assert a.acked == session.acked == [(0, 0, fate)]
    assert w.lost == [(0, fate)]
    assert session.lost == [(0, fate)]
    assert near.lost == []
    assert stage.fire().t == 29
    assert +w.edges[0].fates == {fate: 1, "consumed": 1}
    assert +session.edges[0].fates == {fate: 1}
    assert all(r.accounted() for r in (a, w, near, session))


@given(st.data())
@laws(150)
def test_accounts_balance_whatever_becomes_of_the_firings(data: st.DataObject) -> None:
    """Rule 19 at the receiving end, with the ledger's losses among the fates."""
    rigs = (each("a", 2), window(size=data.draw(st.sampled_from([10, 25])), n=2), Rig("latest", 1, name="near"))
    stage = Stage(*rigs)
    for rig in rigs:
        for i, stamp, bound in data.draw(deliveries([data.draw(streams(most=1, longest=5))[0] for _ in rig.edges])):
            rig.give(i, stamp, bound)
            while stage.settled() is not None:
                stage.fire(fate=data.draw(st.sampled_from(["consumed", "skipped", "error"])))
    for rig in rigs:
        rig.end()
    while stage.settled() is not None:
        stage.fire(fate=data.draw(st.sampled_from(["consumed", "skipped", "error"])))
    for rig in rigs:
        assert rig.accounted()
        fates = sum((e.fates for e in rig.edges), start=type(rig.edges[0].fates)())
        assert all(n >= 0 for n in fates.values())
        assert len(rig.lost) == sum(n for fate, n in fates.items() if fate in ("skipped", "error", "late"))
        assert len(set(rig.lost)) == len(rig.lost) or len(rig.edges) > 1


# -- bounds ---------------------------------------------------------------------------------------


KINDS = {
    "each": each, "window": lambda n: window(n=n), "sliding": lambda n: window(size=30, hop=10, n=n),
    "session": lambda n: Rig("window", n, window=WindowConfig(gap_ns=7), form="window", name="s"),
}  # fmt: skip


def some_rigs(data: st.DataObject) -> list[Rig]:
    """One to three triggering ports and a history or none, each with one or two streams."""
    rigs = [
        KINDS[k](n=data.draw(st.integers(1, 2)))
        for k in data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3))
    ]
    return rigs + (
        [Rig("recent", form="recent", lag_ns=data.draw(st.sampled_from([0, 9])))] if data.draw(st.booleans()) else []
    )


def everything(data: st.DataObject, rigs: list[Rig]) -> list[tuple[Rig, int, int, int]]:
    """What comes to all ports, in some order that keeps each stream's."""
    todo = [[(r, *d) for d in data.draw(deliveries([data.draw(streams(most=1, longest=5))[0] for _ in r.edges]))] for r in rigs]
    found = []
    while any(todo):
        found.append(data.draw(st.sampled_from([t for t in todo if t])).pop(0))
    return found


@given(st.data())
@laws(150)
def test_no_output_is_behind_a_bound_and_stamps_rise(data: st.DataObject) -> None:
    """Rules 5 and 9, laws 1 and 2: the reader checks each message against what it was told; every t follows the bound."""
    rigs = some_rigs(data)
    stage = Stage(*rigs, outs=("x", "y"))
    last_t = -1

    def run() -> None:
        nonlocal last_t
        while (t := stage.settled()) is not None:
            assert t >= last_t
            last_t = t
            emits = data.draw(st.sampled_from([(), ("x",), ("x", "x", "y"), ("y",)]))
            stage.fire(*emits)
            if data.draw(st.booleans()):
                publish()
        publish()

    def publish() -> None:
        stage.cell.publish()
        assert stage.outs["x"].bound >= stage.cell.frontier()

    for rig, i, stamp, bound in everything(data, rigs):
        before = stage.cell.frontier()
        rig.give(i, stamp, bound)
        for reader in stage.readers.values():
            reader.edge.need(reader.told[-1])
        assert stage.cell.candidate() >= before
        run()
    for rig in rigs:
        rig.end()
    run()
    assert stage.cell.done
    for reader in stage.readers.values():
        stamps = [m.stamp_ns for m in reader.got]
        assert stamps == sorted(set(stamps))
        assert [m.seq for m in reader.got] == list(range(len(stamps)))
        assert reader.told[-1] == INFINITY


def test_the_bound_follows_the_frontier_though_nothing_is_emitted() -> None:
    """Rule 5."""
    rig = each()
    stage = Stage(rig)
    rig.give(0, 5, bound=9)
    stage.cell.begin(5)
    stage.cell.publish()
    assert stage.outs["out"].bound == 5  # while it fires at 5 an output may still be stamped 5
    stage.cell.end()
    stage.cell.publish()
    assert stage.outs["out"].bound == 9


def test_a_need_goes_on_to_triggers_that_are_not_there() -> None:
    """Rule 21: not to what is there, not to what does not trigger; to a window for its own end, to feedback less its delay."""
    here, missing, w = each("here"), each("missing", 2), window(size=10)
    near, loop = Rig("latest", name="near"), Rig("latest", name="loop", delay_ns=5)
    stage = Stage(here, missing, w, near, loop)
    here.give(0, 3)
    missing.give(1, 4)
    stage.cell.need(24)
    assert (here.backs[0].needs, missing.backs[0].needs, missing.backs[1].needs) == ([], [24], [])
    assert w.backs[0].needs == [19]
    assert near.backs[0].needs == loop.backs[0].needs == []
    stage.cell.ask(stage.cell.lagging(3), 3)
    assert (missing.backs[0].needs, near.backs[0].needs) == ([24, 3], [3])
    assert loop.backs[0].needs == []  # a delay of 5 settles it at 3


# -- progress -------------------------------------------------------------------------------------


def test_what_is_passed_is_the_least_that_is_still_here_or_beyond() -> None:
    """Rule 20: held, being fired, pending, crossing, or beyond the edge."""
    rig = each()
    stage = Stage(rig)
    edge = stage.readers["out"].edge
    edge.tracked = True
    assert stage.cell.passed() == INFINITY
    rig.give(0, 5)
    rig.give(0, 8)
    assert stage.cell.passed() == 5
    rig.end()
    stage.cell.begin(5)
    assert stage.cell.passed() == 5
    edge.credits = 0
    stage.cell.emit("out", Event("x"))
    stage.cell.end()
    assert stage.cell.passed() == 5  # pending
    edge.remote = True
    edge.credit(1)
    assert edge_passed(edge) == 5  # crossing
    edge.transit.clear()
    assert stage.cell.passed() == 8
    edge.beyond = lambda: 6
    assert stage.cell.passed() == 6


def test_room_is_wanted_on_block_edges_alone() -> None:
    """Rule 15."""
    rig = each()
    stage = Stage(rig, outs=("x",))
    drop = Reader("newest")
    stage.outs["x"].edges.append(drop.edge)
    stage.cell.out_edges.append(drop.edge)
    drop.edge.credits = 0
    rig.give(0, 5)
    rig.give(0, 6)
    rig.end()
    stage.fire("x")
    assert stage.cell.room()
    stage.readers["x"].edge.credits = 0
    stage.fire("x")
    assert not stage.cell.room()
    stage.readers["x"].edge.credit(1)
    assert stage.cell.room()


def test_a_window_argument_is_a_window() -> None:
    w = window()
    stage = Stage(w)
    w.give(0, 3)
    w.end()
    value = stage.fire().args["w"]
    assert isinstance(value, Window)
    assert (value.start_ns, value.end_ns, value.complete, [m.seq for m in value.messages]) == (0, 10, False, [0])
