"""Three hosts, made of network namespaces that a switch joins, each with a Ray node; two have monotonic clocks of their own."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import check_accounts, replayed

from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS, SECOND
from omnistream.record.reader import Recording

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(240)]

HERE = Path(__file__).parent
RAY = str(Path(sys.executable).with_name("ray"))
SIDES = ("head", "edge", "far")
#: How much later the monotonic clocks of the other hosts are.
AHEAD_S = {"edge": 100_000, "far": 50_000}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def clocks_can_differ() -> bool:
    return subprocess.run(["unshare", "-T", "--monotonic", "5", "true"], capture_output=True, timeout=10).returncode == 0


class Cluster:
    """A namespace for each side, 10.77.N.1 to .3, and whatever was started in them."""

    def __init__(self, folder: Path) -> None:
        pid, net = os.getpid(), os.getpid() % 250
        self.names = {side: f"os{side}{pid}" for side in SIDES}
        self.ips = {side: f"10.77.{net}.{n}" for n, side in enumerate(SIDES, 1)}
        self.address = f"{self.ips['head']}:6379"
        self.folder = folder
        self.env = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        self.started: list[subprocess.Popen[Any]] = []

    def lay_cables(self) -> None:
        for name in self.names.values():
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        head = self.names["head"]
        ip("-n", head, "link", "add", "switch", "type", "bridge")
        ip("-n", head, "addr", "add", f"{self.ips['head']}/24", "dev", "switch")
        ip("-n", head, "link", "set", "switch", "up")
        for side in AHEAD_S:
            ip("-n", head, "link", "add", f"to-{side}", "type", "veth", "peer", "name", "cable", "netns", self.names[side])
            ip("-n", head, "link", "set", f"to-{side}", "master", "switch", "up")
            ip("-n", self.names[side], "addr", "add", f"{self.ips[side]}/24", "dev", "cable")
            ip("-n", self.names[side], "link", "set", "cable", "up")

    def begin(self) -> None:
        small = ["--object-store-memory", "100000000", "--num-cpus", "4", "--disable-usage-stats", "--block"]
        for kind, port in (("node-manager", 6380), ("object-manager", 6381), ("min-worker", 6400), ("max-worker", 6500)):
            small += [f"--{kind}-port", str(port)]
        first = ["--head", "--port", "6379", "--include-dashboard", "false", "--temp-dir", str(self.folder / "ray")]
        self.start("head", [RAY, "start", *first, "--node-ip-address", self.ips["head"], "--labels", "site=head", *small])
        self.until_answers()
        for side, ahead in AHEAD_S.items():
            later = ["unshare", "-T", "--monotonic", str(ahead)] if clocks_can_differ() else []
            there = ["--address", self.address, "--node-ip-address", self.ips[side], "--labels", f"site={side}"]
            self.start(side, [*later, RAY, "start", *there, *small])
            until = time.monotonic() + 60  # one after the other: they share Ray's directory, and its names
            while "runtime started" not in (self.folder / f"{side}.log").read_text():
                assert time.monotonic() < until, self.log()
                time.sleep(0.2)

    def until_answers(self) -> None:
        until = time.monotonic() + 60
        probe = f"import socket; socket.create_connection(('{self.ips['head']}', 6379), 1)"
        while self.inside("head", [sys.executable, "-c", probe], timeout=10).returncode:
            assert time.monotonic() < until, (self.folder / "head.log").read_text()
            time.sleep(0.3)

    def inside(self, side: str, command: list[str], **more: Any) -> subprocess.CompletedProcess[Any]:
        return subprocess.run(["ip", "netns", "exec", self.names[side], *command], env=self.env, capture_output=True, **more)

    def start(self, side: str, command: list[str], **more: Any) -> subprocess.Popen[Any]:
        with (self.folder / f"{side}.log").open("a") as log:
            words: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log} | more
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.names[side], *command],
                env=self.env,
                start_new_session=True,
                cwd=self.folder,
                **words,
            )
        self.started.append(process)
        return process

    def cut(self, seconds: float) -> None:
        """The edge is out of everybody's reach for a while."""
        ip("-n", self.names["edge"], "link", "set", "cable", "down")
        try:
            time.sleep(seconds)
        finally:
            ip("-n", self.names["edge"], "link", "set", "cable", "up")

    def log(self) -> str:
        return "\n".join(p.read_text()[-3000:] for p in sorted(self.folder.glob("*.log")))

    def end(self) -> None:
        """Every process in the namespaces, then they themselves."""
        mine: list[psutil.Process] = []
        for process in reversed(self.started):
            with contextlib.suppress(psutil.NoSuchProcess):
                mine += [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for name in self.names.values():
            found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, timeout=10)
            for pid in found.stdout.split():
                with contextlib.suppress(psutil.NoSuchProcess):
                    mine.append(psutil.Process(int(pid)))
        for process in mine:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(mine, timeout=10)
        for process in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=10)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if shutil.which("ip") is None:
        pytest.skip("network namespaces are made with iproute2, which is not here")
    with tempfile.TemporaryDirectory(prefix="osc-") as folder:
        made = Cluster(Path(folder))
        try:
            try:
                made.lay_cables()
            except subprocess.CalledProcessError as error:
                pytest.skip(
                    f"network namespaces cannot be made here, perhaps for want of root: {error.stderr.decode().strip()}"
                )
            made.begin()
            yield made
        finally:
            made.end()


def across(path: Path, count: int, every_ms: float, beside: str = "edge") -> Plan:
    """Two streams from the head to the edge and back: commands, of which none may be lost, and frames: the newest count."""

    def reads(port: str, stream: str, queue: Queue, form: Any = "one") -> tuple[Input, ...]:
        return (Input(PortConfig(port, "each", queue), (stream,), form),)

    block, newest = Queue("block", 4), Queue("newest")
    stamps = [int(i * every_ms * MS) for i in range(1, count + 1)]
    script = {"stamps": stamps, "pace": True}
    nodes = [
        NodeInfo("s", "", "law_nodes:Script", "source", script, (), ("out",)),
        NodeInfo("a", "", "law_nodes:Relay", "node", {"busy_ms": 1}, reads("item", "s.out", block), ("out",)),
        NodeInfo("b", "", "law_nodes:Relay", "node", {"busy_ms": 1}, reads("item", "a.out", block), ("out",)),
        NodeInfo("k", "", "law_nodes:Append", "sink", {"path": str(path)}, reads("item", "b.out", block, "message"), ()),
        NodeInfo("f", "", "law_nodes:Script", "source", script, (), ("out",)),
        NodeInfo("g", "", "law_nodes:Relay", "node", {"busy_ms": 15}, reads("item", "f.out", newest), ("out",)),
        NodeInfo(
            "m", "", "law_nodes:Append", "sink", {"path": f"{path}.frames"}, reads("item", "g.out", newest, "message"), ()
        ),
    ]
    workers = (
        WorkerPlan("here", ("s", "f", "k", "m"), labels={"site": "head"}),
        WorkerPlan("there", ("a", "g"), labels={"site": "edge"}, ports=(5600, 5609)),
        WorkerPlan("beside", ("b",), labels={"site": beside}, ports=(5600, 5609)),
    )
    return Plan(Graph("across", 200 * MS, {n.name: n for n in nodes}), workers)


class Run:
    """`cluster_run.py` in the head's namespace."""

    def __init__(self, cluster: Cluster, plan: Plan, folder: Path, recording: Path | None = None) -> None:
        (folder / "plan").write_bytes(pickle.dumps(plan))
        self.outcome_file = folder / "outcome"
        words = [str(HERE / "cluster_run.py"), cluster.address, str(folder / "plan"), str(self.outcome_file)]
        words += [str(recording)] if recording is not None else []
        with (cluster.folder / "run.log").open("a") as log:
            self.process = cluster.start(
                "head", [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.cluster = cluster
        assert self.process.stdout.readline() == "start\n", cluster.log()

    def kill(self, worker: str) -> None:
        self.process.stdin.write(f"kill {worker}\n")
        self.process.stdin.flush()

    def end(self) -> tuple[Any, Any, Any]:
        assert self.process.wait(100) == 0, self.cluster.log()
        return pickle.loads(self.outcome_file.read_bytes())


def effects(path: Path) -> Counter[str]:
    return Counter(line.split()[-1] for line in path.read_text().splitlines())


def in_order(path: Path) -> bool:
    seqs = [int(line.split()[0]) for line in path.read_text().splitlines()]
    return seqs == sorted(seqs)


def test_a_run_goes_on_after_a_partition(cluster: Cluster, tmp_path: Path) -> None:
    """The cable is out for 2 s, twice: every command has its effect once and in its order; each frame has one fate."""
    run = Run(cluster, across(tmp_path / "effects", 400, 20, beside="far"), tmp_path)
    time.sleep(1)
    cluster.cut(2)
    time.sleep(1)
    cluster.cut(2)
    outcome, hosts, events = run.end()
    assert not outcome.restarts, events
    assert sum("right within" in notice for notice in outcome.notices) == len(hosts) > 0
    assert effects(tmp_path / "effects") == {f"s.{i}": 1 for i in range(400)}, outcome.ledger
    assert in_order(tmp_path / "effects")
    frames = effects(tmp_path / "effects.frames")
    assert set(frames.values()) == {1}
    assert 20 < len(frames) < 400
    check_accounts(outcome)
    for worker, side in (("there", "edge"), ("beside", "far")):
        offset, error = hosts[worker]
        assert 0 < error < 50 * MS
        assert abs(offset + (AHEAD_S[side] * SECOND if clocks_can_differ() else 0)) <= error


def test_a_killed_worker_of_another_host_is_made_again_and_its_recording_comes_home(cluster: Cluster, tmp_path: Path) -> None:
    import asyncio

    plan = across(tmp_path / "effects", 200, 20)
    run = Run(cluster, plan, tmp_path, tmp_path / "run.mcap")
    time.sleep(1)
    run.kill("there")
    outcome, _, events = run.end()
    assert outcome.restarts == {"there": 1}, events
    assert effects(tmp_path / "effects") == {f"s.{i}": 1 for i in range(200)}, outcome.ledger
    check_accounts(outcome)
    assert outcome.digest is not None
    for line in ("effects", "effects.frames"):
        (tmp_path / line).unlink()
    again, cut = asyncio.run(replayed(plan, tmp_path / "run.mcap"))
    assert not cut
    assert again.digest == outcome.digest


def test_a_host_whose_keeper_is_gone_is_begun_anew(cluster: Cluster, tmp_path: Path) -> None:
    """As after the end of a host: its workers are made again with another keeper, and the recording says what it lacks."""
    run = Run(cluster, across(tmp_path / "effects", 200, 20), tmp_path, tmp_path / "run.mcap")
    time.sleep(1)
    found = subprocess.run(["ip", "netns", "pids", cluster.names["edge"]], capture_output=True, text=True, timeout=10)
    keepers = [p for p in map(psutil.Process, map(int, found.stdout.split())) if "HostKeeper" in p.name()]
    assert len(keepers) == 1
    keepers[0].kill()
    outcome, _, events = run.end()
    assert outcome.restarts == {"there": 1, "beside": 1}, events
    assert effects(tmp_path / "effects") == {f"s.{i}": 1 for i in range(200)}, outcome.ledger
    check_accounts(outcome)
    with Recording(str(tmp_path / "run.mcap")) as file:
        holes = json.loads(file.metadata["run"]["holes"])
    assert [h["what"] for h in holes] == ["worker beside.0", "worker there.0"]


def test_a_host_out_of_reach_for_long_is_done_without_until_it_is_back(cluster: Cluster, tmp_path: Path) -> None:
    """Its worker ends itself, since it is taken for dead; a new life goes on where the old one was, nothing is done twice."""
    run = Run(cluster, across(tmp_path / "effects", 850, 20), tmp_path)
    time.sleep(1)
    cluster.cut(13)
    outcome, _, events = run.end()
    assert set(outcome.restarts) == {"there", "beside"}, events
    assert effects(tmp_path / "effects") == {f"s.{i}": 1 for i in range(850)}, outcome.ledger
    assert set(effects(tmp_path / "effects.frames").values()) == {1}
    check_accounts(outcome)


def test_the_command_plans_with_what_the_cluster_has(cluster: Cluster, tmp_path: Path) -> None:
    """More cores than any one host has, by the command line, and a recording with what was captured on the other host."""
    graph, recording = tmp_path / "g.yaml", tmp_path / "run.mcap"
    graph.write_text(
        """
graph: across
workers:
  here: {cpu: 4, labels: {site: head}}
  there: {cpu: 3, labels: {site: edge}, ports: 5610-5619}
nodes:
  beat: {use: tick, with: {rate_hz: 20}, on: there}
  show: {use: console, inputs: {message: beat}, on: here}
"""
    )
    command = [
        str(Path(sys.executable).with_name("omnistream")),
        "run",
        str(graph),
        "--address",
        cluster.address,
        "--for",
        "2s",
    ]
    found = cluster.inside("head", [*command, "--record", str(recording)], timeout=60, cwd=tmp_path)
    said = found.stdout.decode() + found.stderr.decode()
    assert found.returncode == 0, said
    with Recording(str(recording)) as file:
        assert sum(1 for _ in file.messages("beat.out")) >= 20, said
    graph.write_text(graph.read_text().replace("cpu: 3", "cpu: 9"))
    refused = cluster.inside("head", command, timeout=60, cwd=tmp_path)
    assert refused.returncode != 0
    assert "there are 12" in " ".join(refused.stderr.decode().split() + refused.stdout.decode().split())


ASKED = """
import json, sys
from omnistream.cli.main import app
for words in json.loads(sys.argv[1]):
    try:
        app([*words, "--address", sys.argv[2]])
    except SystemExit as end:
        print(f"-- {words[0]}: {end.code}", flush=True)
"""


def check_trace(events: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Spans of two hosts whose monotonic clocks are far apart follow each other on one. What a stop met while it waited was not
    shown, and is in the ledger."""
    shown, lost = summary["outputs"]["show"], sum(summary["ledger"].values())
    begins = {e["id"]: e["ts"] for e in events if e["ph"] == "b"}
    waits = [e["ts"] - begins[e["id"]] for e in events if e["ph"] == "e"]
    assert 0 < shown <= len(waits) <= shown + lost
    assert all(0 <= us < 1e6 for us in waits)
    steps = {e["args"]["cause_ns"]: e for e in events if e["ph"] == "X" and e["name"] == "show"}
    sources = {e["args"]["cause_ns"]: e for e in events if e["ph"] == "X" and e["name"] == "beat"}
    assert len(steps) == shown
    for cause, step in steps.items():
        assert -50_000 <= step["ts"] - sources[cause]["ts"] < 1e6


def test_a_run_is_seen_and_ended_from_another_host(cluster: Cluster, tmp_path: Path) -> None:
    """Where the run is not this host's, its desk on the cluster answers."""
    graph, summary, trace = (tmp_path / name for name in ("g.yaml", "s.json", "t.json"))
    graph.write_text(
        """
graph: far_away
workers:
  here: {labels: {site: head}}
  there: {labels: {site: edge}, ports: 5620-5629}
nodes:
  beat: {use: tick, with: {rate_hz: 20}, on: here}
  show: {use: console, inputs: {message: beat}, on: there}
"""
    )
    command = [str(Path(sys.executable).with_name("omnistream")), "run", str(graph), "--address", cluster.address]
    command += ["--summary", str(summary), "--trace", str(trace)]
    run = cluster.start("head", command, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline(), cluster.log()  # a tick was shown
    words = [["ps"], ["top", "far_away", "--once"], ["ledger"], ["logs"], ["top", "other", "--once"], ["stop", "far_away"]]
    asked = cluster.inside("edge", [sys.executable, "-c", ASKED, json.dumps(words), cluster.address], timeout=60, text=True)
    said = asked.stdout + asked.stderr
    ends = [line for line in asked.stdout.splitlines() if line.startswith("-- ")]
    assert ends == ["-- ps: 0", "-- top: 0", "-- ledger: 0", "-- logs: 0", "-- top: 2", "-- stop: 0"], said
    for found in ("far_away", "run on ray", "each with one fate", "in all: ", "tick", "no graph 'other'", "is ending"):
        assert found in said, said
    assert run.wait(30) == 0, cluster.log()
    assert json.loads(summary.read_text())["stopped_by"] == "omnistream stop"
    check_trace(json.loads(trace.read_text())["traceEvents"], json.loads(summary.read_text()))
    none = cluster.inside("edge", [sys.executable, "-c", ASKED, '[["stop"]]', cluster.address], timeout=60, text=True)
    assert "no graph is running on the cluster" in none.stderr
