"""`profile` measures, `check` predicts with it and refuses with 3, `run` refuses too, and both can be told to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import graph, omnistream, refused

from omnistream.graph.budget.profile import NodeProfile, Profile, Spread, read_profile, write_profile

GRAPH = """graph: slow
budget: {budget}
nodes:
  beat: {{use: tick, with: {{rate_hz: 20, count: 30}}}}
  work: {{use: "profile_nodes:Naps", with: {{ms: 30}}, inputs: {{item: beat}}}}
  show: {{use: console, inputs: {{message: work}}}}
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of a step that sleeps 30 ms, and its profile."""
    folder = tmp_path_factory.mktemp("profiled")
    file = graph(folder, GRAPH.format(budget="10s"))
    ended = omnistream("profile", file, "--for", "1.2s")
    assert ended.code == 0, ended.err
    assert "work" in ended.out
    assert "written to" in ended.out
    return file


def with_budget(measured: Path, folder: Path, budget: str) -> Path:
    """The graph with another budget, and its profile as if nothing had disturbed this host."""
    file = graph(folder, GRAPH.format(budget=budget))
    found, key = entry(measured)
    host, none = found.hosts[key], Spread.flat(0.0)
    beat = host.nodes["beat"]
    assert beat.source is not None
    nodes = {name: steady(node) for name, node in host.nodes.items()}
    nodes["beat"] = beat.model_copy(update={"source": beat.source.model_copy(update={"late": none})})
    still = host.model_copy(update={"wake": none, "others": none, "nodes": nodes})
    write_profile(file.with_suffix(".profile.json"), found.with_host(key, still))
    return file


def steady(node: NodeProfile) -> NodeProfile:
    """Each of its steps takes what half of them took."""
    flat = lambda spread: Spread.flat(spread.at(0.5))  # noqa: E731
    alone = {v: s.model_copy(update={k: flat(getattr(s, k)) for k in ("cpu", "rest", "wall")}) for v, s in node.alone.items()}
    return node.model_copy(update={"alone": alone, "cpu": flat(node.cpu), "together": flat(node.together)})


def entry(file: Path) -> tuple[Profile, str]:
    found = read_profile(file.with_suffix(".profile.json"))
    assert found is not None
    return found, next(iter(found.hosts))


def test_what_was_measured_is_in_the_file(measured: Path) -> None:
    found, key = entry(measured)
    host = found.hosts[key]
    assert host.nodes["work"].kind == "thread"
    assert list(host.nodes["work"].alone) == ["long", "short"]
    assert host.nodes["work"].alone["long"].rest.at(0.5) >= 30_000
    assert host.nodes["work"].alone["long"].cpu.at(0.5) < 10_000
    assert host.nodes["work"].alone["short"].rest.at(0.5) < host.nodes["work"].alone["long"].rest.at(0.5)
    beat = host.nodes["beat"].source
    assert beat is not None
    assert beat.exact
    assert beat.interval.at(0.5) == pytest.approx(50_000)
    assert {(h.kind, h.bytes) for h in host.hops} >= {("worker", 0), ("process", 0), ("process", 1 << 20), ("host", 1 << 20)}


def test_a_budget_that_holds_is_ok_with_a_table(measured: Path, tmp_path: Path) -> None:
    ended = omnistream("check", with_budget(measured, tmp_path, "10s"))
    assert ended.code == 0
    assert "beat > work > show" in ended.out
    assert "█" in ended.out
    assert ended.out.rstrip().splitlines()[-1].startswith("ok ")


def test_a_budget_that_cannot_hold_is_refused_with_3_unless_accepted(measured: Path, tmp_path: Path) -> None:
    file = with_budget(measured, tmp_path, "20ms")
    ended = omnistream("check", file)
    assert ended.code == 3
    assert "work takes" in ended.err
    assert "Traceback" not in ended.err
    assert "--accept-late" in ended.err
    assert "ok" not in ended.out.split()
    assert omnistream("check", file, "--accept-late").code == 0


def test_what_holds_with_too_little_to_spare_is_refused_where_that_is_asked(measured: Path, tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(omnistream("check", with_budget(measured, tmp_path, "10s"), "--json").out)
    p99 = max(p["p99_ms"] for p in found["paths"])
    file = with_budget(measured, tmp_path, f"{p99 * 1.1:.3f}ms")
    assert omnistream("check", file).code == 0
    ended = omnistream("check", file, "--spare", "30")
    assert ended.code == 3
    assert "of which 30% are to be left to spare" in ended.err
    assert "--spare 95: write a percentage from 0 to 90" in refused("check", file, "--spare", "95")


def test_check_predicts_with_the_variant_that_is_named(measured: Path, tmp_path: Path) -> None:
    file = with_budget(measured, tmp_path, "20ms")
    assert omnistream("check", file, "--variant", "work=short").code == 0
    assert "'work' has no variant 'tiny'" in refused("check", file, "--variant", "work=tiny")


def test_json_is_for_tools_and_has_the_same_exit_codes(measured: Path, tmp_path: Path) -> None:
    for budget, code in (("10s", 0), ("20ms", 3)):
        ended = omnistream("check", with_budget(measured, tmp_path, budget), "--json")
        found: dict[str, Any] = json.loads(ended.out, parse_constant=pytest.fail)
        assert ended.code == code
        assert found["fits"] is (code == 0)
        assert bool(found["advice"]) is (code == 3)
    assert {"nodes", "p50_ms", "p99_ms", "limit_hz", "bottleneck", "parts"} <= found["paths"][0].keys()


def test_run_refuses_before_launch(measured: Path, tmp_path: Path) -> None:
    file = with_budget(measured, tmp_path, "20ms")
    ended = omnistream("run", file, "--engine", "local", "--for", "1s")
    assert ended.code == 3
    assert ended.out == ""
    assert not ended.summary
    accepted = omnistream("run", file, "--engine", "local", "--for", "0.3s", "--accept-late")
    assert accepted.code == 0
    assert accepted.summary["graph"] == "slow"


def test_without_a_profile_one_line_says_how_to_get_one(tmp_path: Path) -> None:
    ended = omnistream("check", graph(tmp_path, GRAPH.format(budget="20ms")))
    assert ended.code == 0
    (line,) = [x for x in ended.out.splitlines() if "no profile" in x]
    assert "`omnistream profile" in line
    found = json.loads(omnistream("check", tmp_path / "graph.yaml", "--json").out)
    assert found["profile"] is None


def test_a_profile_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    file = graph(tmp_path, GRAPH.format(budget="20ms"))
    assert "typo.json: there is no such file" in refused("check", file, "--profile", tmp_path / "typo.json")


def test_another_hosts_profile_is_a_notice_and_refuses_nothing(measured: Path, tmp_path: Path) -> None:
    file = with_budget(measured, tmp_path, "20ms")
    found, key = entry(file)
    write_profile(file.with_suffix(".profile.json"), Profile(graph=found.graph, hosts={"PDP-11; 1 cores": found.hosts[key]}))
    ended = omnistream("check", file)
    assert ended.code == 0
    assert "PDP-11" in ended.out


def test_a_profile_leaves_those_of_other_hosts_as_they_are(measured: Path, tmp_path: Path) -> None:
    file = with_budget(measured, tmp_path, "20ms")
    found, key = entry(file)
    write_profile(file.with_suffix(".profile.json"), found.with_host("PDP-11; 1 cores", found.hosts[key]))
    again = omnistream("profile", file, "--for", "0.5s")
    assert again.code == 0
    hosts = read_profile(file.with_suffix(".profile.json"))
    assert hosts is not None
    assert set(hosts.hosts) == {"PDP-11; 1 cores", key}


def test_a_damaged_profile_is_told_by_check_and_run(tmp_path: Path) -> None:
    file = graph(tmp_path, GRAPH.format(budget="20ms"))
    (tmp_path / "graph.profile.json").write_text('{"version": 1, "graph": "slow", "hosts": {"x": 3}}')
    assert "hosts.x" in refused("check", file)
    assert "hosts.x" in refused("run", file, "--engine", "local")


def test_other_options_than_were_measured_are_told(measured: Path, tmp_path: Path) -> None:
    file = with_budget(measured, tmp_path, "10s")
    ended = omnistream("check", file, "--set", "nodes.work.with.ms=31")
    assert "measured with other options than now: work" in ended.out


def test_bad_words_are_refused(measured: Path) -> None:
    assert "--for soon" in refused("profile", measured, "--for", "soon")
    assert "--out" in refused("profile", measured, "--out", "/nowhere/p.json")


def test_a_robot_is_not_opened(measured: Path, tmp_path: Path) -> None:
    file = graph(
        tmp_path,
        """graph: robot
nodes:
  beat: {use: "profile_nodes:Acts"}
  robot: {use: "profile_nodes:Arm", with: {path: "%s"}, inputs: {action: beat}}
  other: {use: "profile_nodes:Broken", inputs: {action: beat}}
"""
        % (tmp_path / "moved"),
    )
    write_profile(tmp_path / "p.json", entry(measured)[0])  # of this host all but the nodes is known
    ended = omnistream("profile", file, "--for", "0.4s", "--out", tmp_path / "p.json")
    assert ended.code == 0
    assert "'robot' moves a real robot, so it was not opened" in ended.out
    assert "no broker here: 'other' was done without" in ended.out
    assert not (tmp_path / "moved").exists()
