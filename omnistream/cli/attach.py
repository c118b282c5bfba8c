"""``omnistream ps``, ``top``, ``ledger``, ``logs`` and ``stop``: the runs of this user on this host, from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.clock import pause

__all__ = ["ledger", "logs", "ps", "stop", "top"]

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]", help="Its graph's name or process, as `omnistream ps` shows them; not needed for an only one."
    ),
]


def runs() -> list[tuple[Path, dict[str, Any]]]:
    """The directory and the view of each run that answers."""
    from omnistream.engine.control import SOCKET, ask
    from omnistream.engine.rundir import homes
    from omnistream.errors import OmniStreamError

    found: list[tuple[Path, dict[str, Any]]] = []
    for home in homes():
        if (home / SOCKET).exists():
            try:
                found.append((home, ask(home, {"ask": "view"})))
            except OmniStreamError:  # it has just ended, or is of somebody else
                continue
    return found


def the_run(name: str) -> tuple[Path, dict[str, Any]]:
    """The run that is meant. Raises OmniStreamError where there is none, or a choice."""
    from omnistream.errors import OmniStreamError

    found = runs()
    if not found:
        raise OmniStreamError("no graph is running here (of this user)")
    meant = [r for r in found if name in ("", r[1]["graph"], str(r[1]["pid"]))]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(f"{view['graph']} (process {view['pid']})" for _, view in found)
    if meant:
        raise OmniStreamError(f"several graphs are running: name one by its process: {there}")
    raise OmniStreamError(f"no graph '{name}' is running here; there {'is' if len(found) == 1 else 'are'} {there}")


@sentences
def ps() -> None:
    """List the graphs that are running on this host."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("process", "graph", "", "seconds", "nodes", "restarts", "lost", "down"):
        table.add_column(column, justify="left" if column in ("graph", "", "down") else "right")
    for _, view in runs():
        nodes = view["nodes"].values()
        lost = sum(n for node in nodes for n in node["lost"].values())
        restarts = max((node["restarts"] for node in nodes), default=0)
        what = view["title"].removesuffix(f" {view['graph']}")
        cells = (
            view["pid"],
            view["graph"],
            what,
            f"{view['seconds']:.0f}",
            len(nodes),
            restarts,
            lost,
            ", ".join(view["down"]),
        )
        table.add_row(*map(str, cells))
    screen().print(table if table.row_count else "no graph is running here", highlight=False)


@sentences
def top(
    run: RunArgument = "",
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
) -> None:
    """Watch a running graph: rates, step times, queues, losses and restarts, node by node. Ctrl-C ends the watching only."""
    from omnistream.engine.control import ask
    from omnistream.errors import OmniStreamError
    from omnistream.observe.table import RunTable

    home, view = the_run(run)
    console, table = screen(), RunTable(view["title"])
    if once or not console.is_terminal:
        table.show(view, view["seconds"])
        pause(0.5)
        view = ask(home, {"ask": "view"})
        console.print(table.show(view, view["seconds"]))
        return
    with Live(console=console, refresh_per_second=4, screen=False) as live:
        try:
            while True:
                live.update(table.show(view, view["seconds"]))
                pause(0.5)
                view = ask(home, {"ask": "view"})
        except KeyboardInterrupt:
            return
        except OmniStreamError:
            console.print("the run has ended")


@sentences
def ledger(run: RunArgument = "", newest: Annotated[int, typer.Option("--newest", min=1, help="So many rows.")] = 40) -> None:
    """Show what a running graph has lost and refused, and why."""
    from omnistream.engine.control import ask

    home, _ = the_run(run)
    found = ask(home, {"ask": "ledger"})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("at s", "where", "reason", "message", "age ms", "count", ""):
        table.add_column(column, justify="right" if column in ("at s", "age ms", "count") else "left")
    for row in found["rows"][-newest:]:
        message = f"{row['stream']} {row['seq']}" if row["stream"] else ""
        age = f"{row['age_ns'] / 1e6:.0f}" if row["age_ns"] else ""
        table.add_row(f"{row['at_ns'] / 1e9:.3f}", row["where"], row["reason"], message, age, str(row["count"]), row["detail"])
    console = screen()
    if table.row_count:
        console.print(table, highlight=False, markup=False)
    counts = ", ".join(f"{k} {v}" for k, v in sorted(found["counts"].items()))
    console.print(f"in all: {counts or 'nothing lost'}", highlight=False)


@sentences
def logs(
    run: RunArgument = "", follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False
) -> None:
    """Show what a running graph's workers have printed, and which of them died and came back.

    On the local engine nodes print to the run's own terminal.
    """
    from omnistream.engine.control import ask
    from omnistream.errors import OmniStreamError

    home, _ = the_run(run)
    console, since = screen(), 0
    try:
        while True:
            found = ask(home, {"ask": "logs", "since": since})
            for line in found["lines"]:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            since = found["next"]
            if not follow:
                return
            pause(0.5)
    except (KeyboardInterrupt, OmniStreamError):
        if not follow:
            raise


@sentences
def stop(run: RunArgument = "") -> None:
    """End a running graph as Ctrl-C does: robots to rest, queues drained. Said a second time, at once."""
    from omnistream.engine.control import ask

    home, view = the_run(run)
    ask(home, {"ask": "stop"})
    screen().print(f"{view['graph']} (process {view['pid']}) is ending", highlight=False)
