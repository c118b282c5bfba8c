"""Typed lines: the pure splitting, and a real pipe and pseudo-terminal as standard input."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.errors import DeviceError
from omnistream.node import Context
from omnistream_drivers.console_commands import ConsoleCommands, Lines

pytestmark = pytest.mark.usefixtures("no_leaks")


def fed(data: bytes, sizes: list[int]) -> list[str | None]:
    lines, found, at = Lines(), list[str | None](), 0
    for size in [*sizes, len(data)]:
        found += lines.feed(data[at : at + size])
        at += size
    return found + list(lines.end())


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=50)), st.lists(st.integers(0, 40)))
def test_lines_come_whole_however_they_are_cut(texts: list[str], sizes: list[int]) -> None:
    assert fed("\n".join(texts).encode(), sizes) == texts


@given(st.binary(max_size=3000), st.lists(st.integers(0, 500)))
def test_any_bytes_give_printable_lines_of_bounded_length_or_refusals(data: bytes, sizes: list[int]) -> None:
    for line in fed(data, sizes):
        assert line is None or (line.isprintable() and 0 < len(line) <= 1000)


def test_what_is_refused_and_what_is_left_out() -> None:
    assert fed(b"go\r\n\n   \nstop\x1b[31m now\x07\n", []) == ["go", "stop [31m now"]
    assert fed(b"x" * 1000 + b"\n" + b"x" * 1001 + b"\nhome", []) == ["x" * 1000, None, "home"]
    assert fed("é".encode() * 1000 + b"\n" + b"\xff\xfe\n", []) == ["é" * 1000, None]
    lines = Lines()
    assert [*lines.feed(b"y" * 10_000_000)] == []
    assert len(lines._rest) <= 4000  # a line without an end takes no memory
    assert [*lines.feed(b"\nok\n")] == [None, "ok"]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a file descriptor in the place of standard input."""
    opened: list[Any] = []

    def put(fd: int) -> None:
        opened.append(os.fdopen(fd))
        monkeypatch.setattr(sys, "stdin", opened[-1])

    yield put
    monkeypatch.undo()
    for file in opened:
        file.close()


async def test_a_pipe_s_lines_and_its_end(stdin: Any, live: Context, gather: Any) -> None:
    reading, writing = os.pipe()
    stdin(reading)
    os.write(writing, b"go forward\n" + b"x" * 1500 + b"\nstop")
    os.close(writing)
    emits = await gather(ConsoleCommands(), live)
    assert [e.payload.text for e in emits] == ["go forward", "stop"]
    await asyncio.sleep(0)
    assert [r for r, _ in live.report.rows] == ["refused"]  # type: ignore[attr-defined]


async def test_a_file_as_input(stdin: Any, live: Context, gather: Any, tmp_path: Any) -> None:
    (tmp_path / "commands").write_text("one\ntwo\n" * 500)
    stdin(os.open(tmp_path / "commands", os.O_RDONLY))
    assert len(await gather(ConsoleCommands(), live)) == 1000


async def test_a_terminal_s_lines_come_as_they_are_typed(stdin: Any, live: Context) -> None:
    keyboard, terminal = pty.openpty()
    stdin(terminal)
    source = ConsoleCommands(lang="fr")
    await source.open(live)
    stream = source.run(live)
    for text in ("avance", "stop"):
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        os.write(keyboard, text.encode() + b"\n")
        emit = await asyncio.wait_for(waiting, 2)
        assert (emit.payload.text, emit.payload.lang) == (text, "fr")
    os.write(keyboard, b"\x04")  # Ctrl-D
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(stream), 2)
    await source.close()
    os.close(keyboard)


async def test_cancelling_leaves_no_thread_waiting_for_a_line(stdin: Any, live: Context) -> None:
    reading, writing = os.pipe()
    stdin(reading)
    source = ConsoleCommands()
    await source.open(live)
    task = asyncio.ensure_future(anext(source.run(live)))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(1):
        await source.close()
    os.close(writing)


async def test_no_input_is_one_sentence(stdin: Any, live: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(os.open(os.devnull, os.O_RDONLY))  # as a worker of Ray has it when there is no terminal
    with pytest.raises(DeviceError, match="--engine local"):
        await ConsoleCommands().open(live)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DeviceError, match="zmq_commands"):
        await ConsoleCommands().open(live)


async def test_a_background_job_does_not_touch_the_terminal(stdin: Any, live: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = pty.openpty()
    stdin(terminal)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)  # to read now would stop the process (SIGTTIN)
    with pytest.raises(DeviceError, match="foreground"):
        await ConsoleCommands().open(live)
    os.close(keyboard)
