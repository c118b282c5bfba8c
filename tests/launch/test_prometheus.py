"""The Prometheus configuration, alerts and dashboard of launch/, with a real Prometheus that scrapes a run."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import end, free_port, spawn

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="apt-get install prometheus"),
]

#: A camera that is quicker than its node, a join that is forced, and sinks.
GRAPH = """graph: observed
budget: 100ms
nodes:
  camera: {use: tick, with: {rate_hz: 200}}
  beat: {use: tick, with: {rate_hz: 50}}
  slow: {use: "observed_nodes:Slow", inputs: {item: {from: camera, queue: newest}}}
  join: {use: "observed_nodes:Join", inputs: {item: beat, other: {from: slow, take: latest, wait: 1ms}}}
  robot: {use: "observed_nodes:Take", inputs: {item: join}}
"""
NODES = """
import time
from dataclasses import dataclass
from typing import ClassVar
from omnistream import Node, Sink
from omnistream.message import Event

@dataclass(kw_only=True)
class Slow(Node):
    blocking: ClassVar[bool] = True

    async def step(self, item: Event) -> Event:
        time.sleep(0.02)
        return item

class Join(Node):
    async def step(self, item: Event, other: Event | None) -> Event:
        return item

class Take(Sink):
    async def write(self, item: Event) -> None:
        pass
"""


def test_promtool_takes_the_configuration_and_the_alerts_fire() -> None:
    for words in (
        ["check", "config", LAUNCH / "prometheus.yml"],
        ["test", "rules", Path(__file__).with_name("alerts_test.yml")],
    ):
        done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """One on a free port of the loopback, which asks twice a second."""

    def __init__(self, folder: Path, metrics: int) -> None:
        config = (LAUNCH / "prometheus.yml").read_text()
        for old, new in (
            ("5s", "500ms"),
            ("127.0.0.1:9464", f"127.0.0.1:{metrics}"),
            ("alerts.yml", str(LAUNCH / "alerts.yml")),
        ):
            assert old in config
            config = config.replace(old, new)
        (folder / "prometheus.yml").write_text(config)
        self.at = f"127.0.0.1:{free_port()}"
        flags = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "data", "web.listen-address": self.at}
        self.process = spawn(
            ["prometheus", *(f"--{k}={v}" for k, v in flags.items())], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def ask(self, path: str, **words: str) -> Any:
        with urllib.request.urlopen(f"http://{self.at}/api/v1/{path}?{urllib.parse.urlencode(words)}", timeout=5) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[float]:
        """The values of all series; those that are not known yet are left out."""
        found = [float(r["value"][1]) for r in self.ask("query", query=expression)["result"]]
        return [v for v in found if not math.isnan(v)]


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    (tmp_path / "observed_nodes.py").write_text(NODES)
    (tmp_path / "g.yaml").write_text(GRAPH)
    port = free_port()
    words = ["run", str(tmp_path / "g.yaml"), "--engine", "local", "--layout", "each", "--metrics", f"127.0.0.1:{port}"]
    run = spawn([sys.executable, "-m", "omnistream.cli.main", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = Prometheus(tmp_path, port)
        try:
            yield server
        finally:
            end(server.process)
    finally:
        end(run, 10)


def test_every_panel_of_the_dashboard_has_data(prometheus: Prometheus) -> None:
    dashboard = json.loads((LAUNCH / "grafana" / "omnistream.json").read_text())
    wanted = {
        (panel["title"], target["expr"].replace("$__rate_interval", "4s").replace("$instance", ".*"))
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    assert len(wanted) >= 20
    until = time.monotonic() + 60
    lacking = wanted
    while lacking:
        assert time.monotonic() < until, lacking
        time.sleep(0.25)
        try:
            lacking = {(title, e) for title, e in lacking if not prometheus.query(e)}
        except OSError:  # it is not up yet
            continue
    (target,) = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) >= 7
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert prometheus.query('omnistream_ledger_total{where="camera.out->slow.item", reason="dropped"}')[0] > 0
    known = {name for name in prometheus.ask("label/__name__/values") if name.startswith("omnistream_")}
    named = {word for _, e in wanted for word in known if word in e}
    assert named >= {n for n in known if "bucket" in n}
