"""Acknowledgements cascade: an input is acknowledged once, when its firing and all that came of it has ended (rule 23)."""

from __future__ import annotations

from flow_parts import laws
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.token import Ack, Token


class Calls(list[str]):
    def ack(self, fate: str) -> None:
        self.append(fate)


def test_a_firing_without_effects_is_acknowledged_at_its_end() -> None:
    calls = Calls()
    token = Token([calls.ack])
    assert calls == []
    token.release("done")
    assert calls == ["done"]


@given(st.permutations([0, 1, 2, 3]), st.lists(st.sampled_from(["done", "expired", "crash"]), min_size=4, max_size=4))
@laws(100)
def test_the_last_of_its_open_ends_acknowledges_all_parents_once(order: list[int], fates: list[str]) -> None:
    """In any order; and with a loss, if there was one."""
    first, second = Calls(), Calls()
    token = Token([first.ack, second.ack])
    ends: list[Ack] = [token.release, token.hold(), token.hold(), token.hold()]
    for n, i in enumerate(order):
        assert first == second == []
        ends[i](fates[i])
        assert (len(first) == 1) == (n == 3)
    losses = {f for f in fates if f != "done"}
    assert first == second
    assert first[0] in losses if losses else first == ["done"]


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> list[object]:
    """A firing as the list of its effects, each a firing of its own."""
    return [draw(trees(depth - 1)) for _ in range(draw(st.integers(0, 3)))] if depth else []


@given(trees(), st.data())
@laws(150)
def test_a_cascade_ends_at_the_root_after_every_leaf(tree: list[object], data: st.DataObject) -> None:
    """Firings end in any order in which an effect's firing begins after its cause's; only then is the root acknowledged."""
    calls = Calls()
    waiting: list[tuple[list[object], Ack]] = [(tree, calls.ack)]
    firings: list[Token] = []
    lost = False
    while waiting or firings:
        assert calls == []
        if waiting and (not firings or data.draw(st.booleans())):
            effects, ack = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            token = Token([ack])
            waiting += [(e, token.hold()) for e in effects]  # type: ignore[misc]
            firings.append(token)
        else:
            fate = data.draw(st.sampled_from(["done", "done", "error"]))
            lost = lost or fate != "done"
            firings.pop(data.draw(st.integers(0, len(firings) - 1))).release(fate)
    assert calls == ["error" if lost else "done"]
