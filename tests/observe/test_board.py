"""What `top` makes of views: rates and quantiles of what came between them, and accounts that do not balance."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from omnistream.message import MS
from omnistream.observe.board import Board
from omnistream.observe.histogram import BOUNDS_NS, counted, left_bounds
from omnistream.observe.outcome import Outcome
from omnistream.observe.view import unbalanced


def view(
    seconds: float, fired: int, steps_ms: list[float], *, sent: int = 0, lost: int = 0, down: bool = False
) -> dict[str, Any]:
    steps = [int(ms * MS) for ms in steps_ms]
    histograms = {"step": counted(steps, BOUNDS_NS), "age": counted(steps, BOUNDS_NS), "missed": 0}
    left = counted([100 * MS - s for s in steps], left_bounds(100 * MS))
    nodes = {
        "[/a]": {"queue": 3, "restarts": 0, "lost": {}, "worker": "w", "total": {"firings": fired, **histograms, "left": []}},
        "b": {
            "queue": 0,
            "restarts": 2,
            "lost": {"late": 4},
            "worker": "w",
            "total": {"firings": 7, **histograms, "left": left},
        },
        "s": {"queue": 0, "restarts": 0, "lost": {}, "worker": "w", "total": {"out": 1}},
    }
    edge = {"sent": sent, "pending": 1, "bytes": 3 << 20, "held": 2, "credits": 5, "lost": {"dropped": lost}}
    return {
        "title": "run of [/g]", "seconds": seconds, "budget_ns": 100 * MS, "nodes": nodes, "edges": {"s.out->b.in": edge},
        "down": {"w": "x"} if down else {}, "ledger": {"late": 4}, "unbalanced": [],
    }  # fmt: skip


def text(board: Board, rows: int = 100) -> str:
    shown = io.StringIO()
    Console(file=shown, width=160).print(board.show(rows))
    return shown.getvalue()


def cells(shown: str, name: str) -> list[str]:
    return next(line.split() for line in shown.splitlines() if line.startswith(name))


def test_rates_and_quantiles_are_of_what_came_between_two_views() -> None:
    board = Board()
    board.see(view(10, 100, [900.0] * 50))
    board.see(view(12, 150, [900.0] * 50 + [2.5] * 99 + [65.0]))
    shown = cells(text(board), "[/a]")
    assert shown[1] == "25.0"
    assert 2 <= float(shown[2]) <= 3
    assert 2 <= float(shown[3]) <= 70
    board.see(view(15, 150, [900.0] * 50 + [2.5] * 99 + [65.0]))
    assert cells(text(board), "[/a]")[1] == "10.0", "over the last five seconds"
    board.see(view(20.5, 150, [900.0] * 50 + [2.5] * 99 + [65.0]))
    assert cells(text(board), "[/a]")[1] == "0.0"
    assert 900 <= float(cells(text(board), "[/a]")[3]) <= 1000, "where nothing has fired of late, it is of all"


def test_what_is_left_of_the_budget_is_a_sinks() -> None:
    board = Board()
    board.see(view(1, 1, [30.0] * 90 + [120.0] * 10))
    a, b, s = (cells(text(board), name) for name in ("[/a]", "b", "s"))
    assert a[8:10] == ["-", "-"]
    assert 60 <= float(b[8]) <= 80
    assert -50 <= float(b[9]) <= -10
    assert s[2:6] == ["-"] * 4


def test_pages_orders_and_pause() -> None:
    board = Board()
    board.see(view(1, 0, [1.0], sent=10))
    board.see(view(2, 9, [1.0], sent=40, lost=5))
    assert [line.split()[0] for line in text(board).splitlines()[2:5]] == ["[/a]", "b", "s"]
    board.sort()
    assert "by rate" in text(board)
    board.turn("edges")
    assert cells(text(board), "s.out->b.in")[1:] == ["30.0", "40", "1", "3.0", "MiB", "2", "5", "5.0", "dropped", "5"]
    for _ in range(20):
        board.sort()
        assert "s.out->b.in" in text(board)
    board.paused = True
    board.see(view(3, 9, [1.0], sent=99, down=True))
    assert "paused" in text(board)
    assert " 99 " not in text(board)
    board.paused = False
    board.see(view(3, 9, [1.0], sent=99, down=True))
    assert "down: w" in text(board)
    board.turn("nodes")
    assert "and 2 more" in text(board, 1)


def test_accounts_that_do_not_balance_are_shown() -> None:
    outcome = Outcome()
    outcome.edges = {"a.out->b.in": {"sent": 10, "pending": 1, "held": 2, "fates": {"consumed": 6}}}
    outcome.received = {"a.out->b.in": {"received": 8, "held": 1, "fates": {"consumed": 7}}}
    assert unbalanced(outcome) == ["a.out->b.in: 10 sent, 9 accounted for"]
    outcome.received["a.out->b.in"]["received"] = 9
    assert len(unbalanced(outcome)) == 2
    board = Board()
    board.see(view(1, 1, []) | {"unbalanced": unbalanced(outcome)})
    assert "does not balance: a.out->b.in: 10 sent, 9 accounted for" in text(board)
    assert "each with one fate" not in text(board)
