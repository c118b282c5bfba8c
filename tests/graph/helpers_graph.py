# ruff: noqa: E501  the example is that of the design
"""Loading graphs from text in tests, and reading what is wrong with them."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from omnistream.errors import GraphError
from omnistream.graph.graph import Graph
from omnistream.graph.load import parse_graph

FILE = "g.yaml"

EXAMPLE = """\
# Voice and gesture drive a robot; captions go to AR glasses.
graph: voice_robot
budget: 200ms
workers:
  mind: {cpu: 1, gpu: 0.5, gpu_required: false, threads: 1, labels: {site: edge}}
nodes:
  mic:      {use: "graph_parts:Mic", with: {device: "alsa:default", rate_hz: 16000}}
  camera:   {use: "graph_parts:Cam", with: {device: /dev/video0, fps: 15}}
  typed:    {use: "graph_parts:Typed", with: {bind: "tcp://127.0.0.1:5560"}}
  speech:   {use: "graph_parts:Speech", inputs: {audio: mic}, on: ears}
  parse:    {use: "graph_parts:Parse", inputs: {text: {from: [speech, typed]}}, on: ears}
  hands:    {use: "graph_parts:Hands", inputs: {frame: {from: camera, queue: newest}}, on: eyes}
  reason:
    use: "graph_parts:Reason"
    inputs:
      intent:  parse                                  # triggers
      gesture: {from: hands, take: recent, hold: 2s, wait: 20ms}
      stop:    {from: hands.stop, urgent: true}       # triggers, waits for nobody
    on: mind
  drive:    {use: "graph_parts:Drive", inputs: {action: reason.action}, with: {rate_hz: 20, max_mps: 0.3}}
  robot:    {use: "graph_parts:Robot", inputs: {action: drive.motion}, with: {bind: "tcp://127.0.0.1:5555"}}
  glasses:  {use: "graph_parts:Captions", inputs: {caption: reason.caption}, with: {url: "mqtt://127.0.0.1", topic: ar/captions}}
"""


def nodes(text: str, head: str = "") -> str:
    """A file with these nodes; ``Name`` in ``use: Name`` is a class of graph_parts."""
    body = textwrap.indent(textwrap.dedent(text).strip(), "  ")
    return f"graph: g\n{head}nodes:\n{body}\n".replace("use: ", "use: graph_parts:")


def load(text: str, **more: Any) -> Graph:
    return parse_graph(text, FILE, **more)


def faults(text: str, **more: Any) -> list[str]:
    """The lines of the error that the file gives."""
    with pytest.raises(GraphError) as caught:
        load(text, **more)
    return str(caught.value).splitlines()


def fault(text: str, **more: Any) -> str:
    """The only error that the file gives."""
    found = faults(text, **more)
    assert len(found) == 1, found
    return found[0]
