from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.graph.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    parse_duration,
    parse_endpoint,
    parse_share,
    parse_size,
    show_duration,
    show_size,
)
from omnistream.message import INFINITY


@given(st.integers(0, INFINITY - 1))
def test_a_duration_shown_is_the_same_when_read(ns: int) -> None:
    assert parse_duration(show_duration(ns)) == ns
    assert re.match(DURATION_PATTERN, show_duration(ns))


@given(st.integers(1, 1 << 40))
def test_a_size_shown_is_the_same_when_read(size: int) -> None:
    assert parse_size(show_size(size)) == size
    assert re.match(SIZE_PATTERN, show_size(size))


@pytest.mark.parametrize(
    ("text", "ns"),
    [("20ms", 20_000_000), ("1.5s", 1_500_000_000), ("0.1us", 100), ("2 min", 120_000_000_000), (0, 0), ("0", 0), ("3ns", 3)],
)
def test_durations(text: object, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["inf", float("inf")])
def test_infinity(text: object) -> None:
    assert parse_duration(text) == INFINITY
    assert show_duration(INFINITY) == "inf"


@pytest.mark.parametrize(
    "bad", [20, 1.5, True, None, "", "ms", "-1s", "1h", "1 000ms", "1e3s", [], {}, "9999999999999999999min", "١s"]
)
def test_what_is_no_duration_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_duration(bad)


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, None, "", "3", "3mb", "1e9B", "999999TiB", 1 << 50, []])
def test_what_is_no_size_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(bad)


def test_sizes() -> None:
    assert parse_size("64MiB") == 64 << 20
    assert parse_size("1.5KB") == 1500
    assert parse_size(12) == 12


@pytest.mark.parametrize(
    ("text", "found"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:0", ("::1", 0)), ("robot-7.lan:80", ("robot-7.lan", 80))],
)
def test_an_address_is_a_host_and_a_port(text: str, found: tuple[str, int]) -> None:
    assert parse_endpoint(text) == found


@pytest.mark.parametrize("text", ["", "9464", "host", "host:", ":80", "::1:80", "host:99999", "http://host:80", "a b:80"])
def test_what_is_no_address_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_endpoint(text)


def test_a_share_is_written_in_percent() -> None:
    assert [parse_share(s) for s in ("1%", "100 %", "0%", "12.5%")] == [0.01, 1, 0, 0.125]
    for wrong in ("1", "0.01", "101%", "-1%", "many", ""):
        with pytest.raises(ValueError, match="percent"):
            parse_share(wrong)
