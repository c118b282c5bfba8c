"""Messages as lines: every payload, hostile text, and a terminal that stops taking."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as Terminal
from rich.live import Live

from omnistream import message as m
from omnistream.clock import ManualClock
from omnistream.errors import GraphError
from omnistream.message import INFINITY, MS, SECOND, Message
from omnistream.node import ports_of
from omnistream.testing import context
from omnistream_drivers.console import Console, plain, summary

EACH = [
    (m.Text("go"), "go"),
    (m.Transcript("go for", False, 3, 1), "go for  [partial 3.1]"),
    (m.Caption("c7", "Going.", rev=2), "Going.  [final c7.2]"),
    (m.Command("forward", "go forward", {"speed": "slow"}, {"distance_m": 10.0}, 0.9),
     "forward speed=slow distance_m=10 'go forward' 0.90"),
    (m.Command("none", "blah", rejected="no such command"), "none: 'blah' refused: no such command"),
    (m.Action("forward", 5 * SECOND, {"distance_m": 1.5}, "cup"), "forward distance_m=1.5 cup  valid 2000 ms"),
    (m.Action("stop", INFINITY), "stop"),
    (m.Event("tick", {"i": 4}), "tick i=4"),
    (m.Gesture("open_palm", 0.8, "left"), "open_palm left 0.80"),
    (m.VideoFrame(np.zeros((480, 640, 3), np.uint8)), "640x480 rgb8"),
    (m.AudioChunk(np.full(320, 3277, np.int16)), "320 samples at 16000 Hz, -20 dBFS"),
    (m.AudioChunk(np.zeros(0, np.int16)), "0 samples at 16000 Hz, silence"),
    (m.Features(np.zeros((40, 288), np.float32)), "features 40x288"),
    (m.Detections(np.zeros((1, 4), np.float32), ("cup",), np.array([0.7], np.float32)), "cup 0.70"),
    (m.Detections(np.zeros((0, 4), np.float32), (), np.zeros(0, np.float32)), "nothing"),
    (m.Pose((1.0, 2.0, 0.0)), "map (1.000, 2.000, 0.000) m, (0.000, 0.000, 0.000, 1.000)"),
    (m.RobotState({"battery_v": 12.5}, "idle"), "idle battery_v=12.5"),
    (m.Imu((0.0, 0.0, 9.81), (0.0, 0.0, 0.1)), "(0.000, 0.000, 9.810) m/s2, (0.000, 0.000, 0.100) rad/s"),
]  # fmt: skip


def message(payload: Any, stamp_ns: int = 3 * SECOND) -> Message[Any]:
    return Message("parse.out", 0, 0, ("parse.out", 0, 0), stamp_ns, stamp_ns, stamp_ns, {}, payload)


def test_every_payload_is_accepted_and_has_words() -> None:
    assert ports_of(Console).inputs["message"].types == frozenset(m.PAYLOADS.values())
    assert {type(p) for p, _ in EACH} == set(m.PAYLOADS.values())


@pytest.mark.parametrize(("payload", "words"), EACH)
def test_what_a_payload_says(payload: Any, words: str) -> None:
    assert summary(payload, 3 * SECOND).strip() == words


@given(st.text(), st.integers(1, 50))
def test_a_line_is_one_line_without_controls_and_of_bounded_length(text: str, width: int) -> None:
    line = plain(text, width)
    assert len(line) <= width
    assert line.isprintable()


async def write(payloads: list[Any], **options: Any) -> Any:
    ctx = context("show", clock=ManualClock(3 * SECOND + 12 * MS), start_ns=SECOND)
    console = Console(**options)
    await console.open(ctx)
    for payload in payloads:
        await console.write(message(payload))
    await console.close()
    return ctx


async def test_a_line_has_time_stream_content_and_age(capsys: pytest.CaptureFixture[str]) -> None:
    await write([m.Text("[red]go[/red] \x1b[31mhome\n\r\x07")], prefix="> ")
    assert capsys.readouterr().out == ">    2.000s  parse.out  [red]go[/red]  [31mhome     (12 ms)\n"


async def test_lines_go_above_a_live_table_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Terminal(file=screen, force_terminal=True, width=100, color_system=None)
    with Live("the table", console=terminal, refresh_per_second=1):
        await write([m.Text("[bold]take[/bold] :cup: the cup")])
    assert "[bold]take[/bold] :cup: the cup" in screen.getvalue()


async def test_a_terminal_of_few_letters_gets_what_it_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    ctx = await write([m.Text("très bien"), m.Text("go")])
    assert b"tr?s bien" in raw.getvalue()
    assert b"go" in raw.getvalue()
    assert ctx.report.rows == []


async def test_a_pipe_that_nobody_reads_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    full = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", full)
    loop = asyncio.get_running_loop()
    began = loop.time()
    ctx = await write([m.Text("x" * 190)] * 3000)
    assert loop.time() - began < 4
    lost = sum(int(text.split()[1]) for reason, text in ctx.report.rows if reason == "no_client")
    assert lost > 1500
    assert lost + await asyncio.to_thread(_drain, reading) == 3000  # read again: every line is counted or here
    assert not [t for t in threading.enumerate() if t.name.startswith("omnistream-")]
    full.close()


def _drain(reading: int) -> int:
    lines = 0
    os.set_blocking(reading, False)
    import time

    quiet = 0
    while quiet < 20:
        try:
            lines += os.read(reading, 1 << 16).count(b"\n")
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.01)
    os.close(reading)
    return lines


async def test_a_closed_pipe_is_reported_and_the_graph_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    broken = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", broken)
    ctx = context("show", clock=ManualClock(3 * SECOND))
    console = Console()
    await console.open(ctx)
    await console.write(message(m.Text("one")))
    await asyncio.sleep(0.1)
    for _ in range(3):
        await console.write(message(m.Text("more")))
    await console.close()
    assert {r for r, _ in ctx.report.rows} == {"no_client"}  # type: ignore[attr-defined]
    assert "Broken pipe" in ctx.report.rows[0][1]  # type: ignore[attr-defined]
    monkeypatch.undo()
    with pytest.raises(BrokenPipeError):
        broken.close()


async def test_closing_twice_or_unopened_is_no_harm() -> None:
    console = Console()
    await console.close()
    await console.open(context("show"))
    await console.close()
    await console.close()


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(GraphError, match="width"):
        Console(width=0)
