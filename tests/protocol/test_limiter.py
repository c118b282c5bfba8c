"""Bounds on service and on reports."""

from __future__ import annotations

from omnistream.message import SECOND
from omnistream.protocol.limiter import Bucket, Reports


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = Bucket(10, 5)
    assert sum(bucket.allow(0) for _ in range(100)) == 5
    assert sum(bucket.allow(SECOND // 100 * i) for i in range(1, 1001)) in (99, 100)
    assert sum(bucket.allow(10**15) for _ in range(100)) == 5


def test_a_clock_that_steps_back_gives_nothing_away():
    bucket = Bucket(10, 1)
    assert bucket.allow(10 * SECOND)
    assert not bucket.allow(0)
    assert not bucket.allow(1)


def test_a_fault_is_reported_at_once_and_then_in_one_row_a_second():
    rows = []
    reports = Reports(lambda reason, text: rows.append((reason, text)))
    for i in range(30):
        reports.add("garbage", "bad", i * SECOND // 20)
    reports.add("flood", "much", 0)
    reports.flush()
    assert [r for r in rows if r[0] == "flood"] == [("flood", "much")]
    garbage = [text for reason, text in rows if reason == "garbage"]
    assert len(garbage) == 3
    assert garbage[0] == "bad"
    assert sum(int(t.rpartition("(")[2].split()[0]) if "(" in t else 1 for t in garbage) == 30
