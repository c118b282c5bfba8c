# ruff: noqa: E501  a sentence that is compared stands in one line
"""The parts of graph_parts.py by their import path, and the design's example made of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


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


@pytest.fixture
def example() -> str:
    """The graph of DESIGN section 2, its parts replaced by those of this folder."""
    return EXAMPLE
