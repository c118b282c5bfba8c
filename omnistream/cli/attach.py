"""``omnistream ps``, ``ledger``, ``logs`` and ``stop``: this user's runs on this host, or a cluster's, from outside."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Table

from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.clock import pause

__all__ = ["AddressOption", "Ask", "RunArgument", "ledger", "logs", "ps", "stop", "the_run"]

AddressOption = Annotated[
    str | None, typer.Option("--address", metavar="ADDRESS", help="A Ray cluster, of which this host is one: the runs on it.")
]

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]", help="Its graph's name or process, as `omnistream ps` shows them; not needed for an only one."
    ),
]


#: Asks a run (engine/control.py). Raises OmniStreamError where it does not answer.
Ask = Callable[[dict[str, Any]], dict[str, Any]]


def runs(address: str | None = None) -> list[tuple[Ask, dict[str, Any]]]:
    """How to ask each run, and its view: of this user's on this host, or of those of a cluster."""
    from omnistream.errors import OmniStreamError

    found: list[tuple[Ask, dict[str, Any]]] = []
    for ask in _here() if address is None else _there(address):
        with contextlib.suppress(OmniStreamError):  # it has just ended, or is of somebody else
            found.append((ask, ask({"ask": "view"})))
    return found


def _here() -> list[Ask]:
    from omnistream.engine.control import SOCKET, ask
    from omnistream.engine.rundir import homes

    return [functools.partial(ask, home) for home in homes() if (home / SOCKET).exists()]


def _there(address: str) -> list[Ask]:
    from omnistream.engine.ray import cluster_runs

    return cluster_runs(address)


def the_run(name: str, address: str | None = None) -> tuple[Ask, dict[str, Any]]:
    """How to ask the run that is meant, and its view. Raises OmniStreamError where there is none, or a choice."""
    from omnistream.errors import OmniStreamError

    found = runs(address)
    where = "here" if address is None else f"on the cluster {address}"
    if not found:
        raise OmniStreamError(f"no graph is running {where}{' (of this user)' if address is None else ''}")
    meant = [r for r in found if name in ("", r[1]["graph"], str(r[1]["pid"]))]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(f"{view['graph']} (process {view['pid']})" for _, view in found)
    if meant:
        raise OmniStreamError(f"several graphs are running: name one by its process: {there}")
    raise OmniStreamError(f"no graph '{name}' is running {where}; there {'is' if len(found) == 1 else 'are'} {there}")


@sentences
def ps(address: AddressOption = None) -> None:
    """List the graphs that are running on this host, or on a cluster."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("process", "graph", "", "seconds", "nodes", "restarts", "lost", "down", "host"):
        table.add_column(column, justify="left" if column in ("graph", "", "down", "host") else "right")
    for _, view in runs(address):
        nodes = view["nodes"].values()
        lost = sum(n for node in nodes for n in node["lost"].values())
        restarts = max((node["restarts"] for node in nodes), default=0)
        what = view["title"].removesuffix(f" of {view['graph']}")
        cells = (
            view["pid"],
            view["graph"],
            what,
            f"{view['seconds']:.0f}",
            len(nodes),
            restarts,
            lost,
            ", ".join(view["down"]),
            view["host"],
        )
        table.add_row(*map(str, cells))
    screen().print(
        table if table.row_count else f"no graph is running {'here' if address is None else 'there'}", highlight=False
    )


@sentences
def ledger(
    run: RunArgument = "",
    newest: Annotated[int, typer.Option("--newest", min=1, help="So many rows.")] = 40,
    address: AddressOption = None,
) -> None:
    """Show what a running graph has lost and refused, and why."""
    ask, _ = the_run(run, address)
    found = ask({"ask": "ledger"})
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
    run: RunArgument = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    address: AddressOption = None,
) -> None:
    """Show what a running graph's workers have printed, and which of them died and came back.

    On the local engine nodes print to the run's own terminal.
    """
    from omnistream.errors import OmniStreamError

    ask, _ = the_run(run, address)
    console, since = screen(), 0
    try:
        while True:
            found = ask({"ask": "logs", "since": since})
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
def stop(run: RunArgument = "", address: AddressOption = None) -> None:
    """End a running graph as Ctrl-C does: robots to rest, queues drained. Said a second time, at once."""
    ask, view = the_run(run, address)
    ask({"ask": "stop"})
    screen().print(f"{view['graph']} (process {view['pid']}) is ending", highlight=False)
