"""`GRAPH.profile.json`: what is written is read again, hosts stay beside each other, and strange files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from budget_parts import chain
from hypothesis import given
from hypothesis import strategies as st

from omnistream.errors import GraphError
from omnistream.graph.budget.profile import GRID, Profile, Spread, host_key, profile_path, read_profile, write_profile


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = tmp_path / "g.profile.json"
    write_profile(file, Profile(graph="g", hosts={"here": chain([1, 2]).host()}))
    return file


def test_what_is_written_is_read_again(written: Path) -> None:
    found = read_profile(written)
    assert found is not None
    assert found.hosts["here"] == chain([1, 2]).host()
    assert list(written.parent.iterdir()) == [written]


def test_another_host_is_added_and_the_same_one_replaced(written: Path) -> None:
    found = read_profile(written)
    assert found is not None
    more = found.with_host("there", chain([3]).host()).with_host("here", chain([4]).host())
    write_profile(written, more)
    assert read_profile(written) == more
    assert set(more.hosts) == {"here", "there"}


def test_it_lies_beside_its_graph() -> None:
    assert profile_path("graphs/voice_robot.yaml") == Path("graphs/voice_robot.profile.json")


def test_no_file_is_no_profile(tmp_path: Path) -> None:
    assert read_profile(tmp_path / "none.json") is None


def change(file: Path, at: list[str | int], value: Any) -> None:
    whole = json.loads(file.read_text())
    inner = whole
    for word in at[:-1]:
        inner = inner[word]
    inner[at[-1]] = value
    file.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (["hosts", "here", "cores"], -1, "hosts.here.cores"),
        (["hosts", "here", "nodes", "n0", "kind"], "fast", "hosts.here.nodes.n0.kind"),
        (["hosts", "here", "nodes", "n0", "alone", "", "cpu", "q"], [1.0], "hosts.here.nodes.n0.alone"),
        (["hosts", "here", "nodes", "n0", "alone", "", "gil"], 2.0, "gil"),
        (["hosts", "here", "strange"], 1, "hosts.here.strange"),
        (["hosts", "here", "cpu"], "x" * 1000, "hosts.here.cpu"),
        (["version"], 7, "of version 7"),
        (["graph"], 7, "graph"),
    ],
)
def test_a_strange_file_is_refused_with_its_place(written: Path, at: list[str | int], value: Any, says: str) -> None:
    change(written, at, value)
    with pytest.raises(GraphError, match="omnistream profile") as error:
        read_profile(written)
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', '{"hosts": NaN}', "[" * 100_000])
def test_no_profile_at_all_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "g.profile.json"
    file.write_text(text)
    with pytest.raises(GraphError):
        read_profile(file)


def test_numbers_that_are_none_are_refused(written: Path) -> None:
    text = written.read_text()
    written.write_text(
        text.replace('"firing_us":20.0', '"firing_us":Infinity').replace('"firing_us": 20.0', '"firing_us": NaN')
    )
    with pytest.raises(GraphError, match="firing_us"):
        read_profile(written)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "g.profile.json"
    with file.open("wb") as out:
        out.truncate(17 << 20)
    with pytest.raises(GraphError, match="no profile"):
        read_profile(file)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="--out"):
        write_profile(tmp_path / "none" / "p.json", Profile(graph="g"))


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=200))
def test_a_spread_keeps_its_quantiles_and_draws_within_them(values: list[int]) -> None:
    spread = Spread.of(values)
    assert spread.n == len(values)
    assert spread.q == sorted(spread.q)
    assert spread.at(1) == pytest.approx(max(values) / 1e3, abs=0.01)
    assert spread.at(0) == pytest.approx(min(values) / 1e3, abs=0.01)
    drawn = spread.draw_ns(np.random.default_rng(0), 50)
    assert min(values) - 20 <= min(drawn) <= max(drawn) <= max(values) + 20
    assert len(spread.q) == len(GRID)


def test_a_host_is_known_by_its_cores_and_versions() -> None:
    assert host_key(2, {"a": "1"}) == host_key(2, {"a": "1"})
    assert len({host_key(2, {"a": "1"}), host_key(4, {"a": "1"}), host_key(2, {"a": "2"})}) == 3
