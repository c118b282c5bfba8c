"""The ledger forgets rows, never counts; and tells each row once to who asks for what is new."""

from __future__ import annotations

import pytest
from flow_parts import laws
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow import ledger as module
from omnistream.flow.ledger import Ledger, Row

rows = st.builds(
    Row, st.integers(0, 100), st.sampled_from(["a.out->b.in", "c"]), st.sampled_from(["dropped", "late", "crash"]),
    count=st.integers(1, 9),
)  # fmt: skip


@given(st.lists(st.lists(rows, max_size=7), max_size=6))
@laws(100)
def test_every_row_is_counted_and_told_once(bursts: list[list[Row]]) -> None:
    ledger, told, total = Ledger(), [], 0
    for burst in bursts:
        for row in burst:
            ledger.add(row)
        told += ledger.since(total)
        total = ledger.total
        assert ledger.since(total) == []
    everything = [r for b in bursts for r in b]
    assert told == everything
    assert ledger.since(0) == everything
    assert ledger.total == len(everything)
    for reason in ("dropped", "late", "crash"):
        assert ledger.counts[reason] == sum(r.count for r in everything if r.reason == reason)


def test_old_rows_are_forgotten_and_counts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 5)
    ledger = Ledger()
    for i in range(12):
        ledger.add(Row(i, "x", "dropped"))
    assert [r.at_ns for r in ledger.since(0)] == [7, 8, 9, 10, 11]
    assert [r.at_ns for r in ledger.since(9)] == [9, 10, 11]
    assert ledger.counts == {"dropped": 12}


def test_a_row_is_plain_values() -> None:
    row = Row(5, "camera.out->hands.frame", "late", "camera.out", 3, 40, "why")
    assert row.as_dict() == {
        "at_ns": 5, "where": "camera.out->hands.frame", "reason": "late", "stream": "camera.out", "seq": 3, "age_ns": 40,
        "detail": "why", "count": 1,
    }  # fmt: skip
