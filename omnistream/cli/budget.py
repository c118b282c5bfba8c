"""What `check` and `run` do with a profile: find this host's, predict, show, and refuse what cannot hold its budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from omnistream.cli.conduct import Engine
from omnistream.errors import BudgetError, GraphError

if TYPE_CHECKING:
    from rich.console import Console

    from omnistream.graph.budget.predict import PathTime, Prediction
    from omnistream.graph.budget.profile import HostProfile, Profile
    from omnistream.graph.graph import Plan

__all__ = ["AcceptLateOption", "Forecast", "ProfileOption", "SpareOption", "forecast", "refuse", "show"]

AcceptLateOption = Annotated[
    bool, typer.Option("--accept-late", help="Go on although the profile says that the budget cannot be held.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="FILE", help="The profile to go by; default: the one beside the graph.")
]
SpareOption = Annotated[
    float,
    typer.Option(
        "--spare", metavar="PERCENT",
        help="Refuse what holds its budget with less than this to spare, in time and in what steps may take.",
    ),
]  # fmt: skip
_SHOWN = 3
_MOST_SPARE = 0.9
_WIDTH = 56
#: A join that is forced less often is not worth a line.
_SEEN = 0.0005


@dataclass(frozen=True, slots=True)
class Forecast:
    """A prediction, or the sentence that says why there is none."""

    prediction: Prediction | None
    why: str = ""
    file: str = ""


def forecast(
    plan: Plan, graph: str, engine: Engine, profile: str | None = None, variants: Mapping[str, str] | None = None,
    spare: float = 0.0,
) -> Forecast:  # fmt: skip
    """What this host's profile says of a plan, with the share `spare` of its budget to be left over.

    Raises GraphError where the profile cannot be read or, if named, found.
    """
    from omnistream.graph.budget.advice import advise
    from omnistream.graph.budget.predict import Setup, declared_of, predict
    from omnistream.graph.budget.profile import profile_path, read_profile

    if not 0 <= spare <= _MOST_SPARE:
        raise GraphError(f"--spare {100 * spare:g}: write a percentage from 0 to {100 * _MOST_SPARE:g}, such as 20")
    file = str(profile or profile_path(graph))
    found = read_profile(file)
    if found is None and profile:
        raise GraphError(f"--profile {profile}: there is no such file")
    if found is None or not found.hosts:
        return Forecast(None, f"no profile, so no latency is predicted; `omnistream profile {graph}` measures it here", file)
    host = mine(found)
    if host is None:
        others = "; ".join(sorted(found.hosts))
        return Forecast(
            None, f"{file} is of another host or other versions ({others}); `omnistream profile {graph}` adds this one", file
        )
    declared = declared_of(plan.graph)
    setup = Setup(plan, host, engine=engine.value, variants=dict(variants or {}), declared=declared, spare=spare)
    prediction = predict(setup)
    return Forecast(prediction if prediction.fits else advise(setup, prediction), file=file)


def mine(profile: Profile) -> HostProfile | None:
    """What was measured on a host like this one, with the versions that are here."""
    from omnistream.graph.budget.profile import host_key, versions_here
    from omnistream.graph.host import Host

    return profile.hosts.get(host_key(Host.here().cpus, versions_here()))


def refuse(graph: str, found: Prediction, accept_late: bool) -> None:
    """Raises BudgetError where a path cannot hold the budget, unless that is accepted."""
    if found.fits or accept_late:
        return
    late = [p for p in found.paths if not p.fits]
    lines = [f"{graph}: {p} takes {_p99(p)} of {found.budget_ms:g}: {a}" for p, a in zip(late, found.advice, strict=False)]
    more = len(late) - len(lines)
    lines += [f"{graph}: and {more} more ways are over the budget"] if more > 0 else []
    raise BudgetError("\n".join(lines) + "\n--accept-late goes on all the same")


def _p99(path: PathTime) -> str:
    if path.p99 == float("inf"):
        return f"too long for {path.late:.0%} of what comes,"
    return f"{path.p99:.0f} ms p99" + (f" ({path.late:.0%} is too late to be sent)" if path.late > 0.01 else "")


def show(console: Console, found: Prediction) -> None:
    """The paths, where their time goes, the joins, and what is uncertain."""
    _title(console, f"latency, predicted from {found.seconds:.0f} s of simulation, budget {found.budget_ms:g} ms")
    console.print(_paths(found))
    for path in found.paths[:_SHOWN]:
        mean = sum(p.mean for p in path.parts)
        _title(console, f"{path}   mean {mean:.1f} ms of {found.budget_ms:g}   (hop ·  queue ░  join ▒  window -  step █)")
        console.print(_waterfall(path))
    if len(found.paths) > _SHOWN:
        console.print(f"  and {len(found.paths) - _SHOWN} faster ways (--json has all)", style="dim", highlight=False)
    if any(j.forced >= _SEEN for j in found.joins):
        _title(console, "joins, of whose firings some go on without what they waited for")
        console.print(_joins(found))
    for sink in found.silent:
        console.print(f"  nothing reached {sink} in what was measured", style="yellow", markup=False, highlight=False)
    for notice in found.notices:
        console.print(f"[yellow]notice:[/] {escape(notice)}", soft_wrap=True, highlight=False)


def _title(console: Console, text: str) -> None:
    console.print(f"\n{text}", style="bold", markup=False, highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, header_style="dim", justify="left" if not i or i == len(columns) - 1 else "right")
    return table


def _paths(found: Prediction) -> Table:
    columns = ("from source to sink", "p50 ms", "p99 ms", "late", "per s", "at most", "bottleneck")
    table = _table(*columns)
    for p in found.paths[:40]:
        color = "green" if p.fits and p.needs <= 0.8 * found.budget_ms else "yellow" if p.fits else "red"
        limit = f"{p.limit:.1f}" if p.limit < 1e6 else "-"
        late = f"{p.late:.0%}" if p.late else "-"
        p50, p99 = (f"{v:.1f}" if v < 1e9 else "-" for v in (p.p50, p.p99))
        table.add_row(
            escape(str(p)), p50, f"[{color}]{p99}[/]", late, f"{p.rate:.1f}", limit, f"{escape(p.bottleneck)} {p.used:.0%}"
        )
    return table


_SIGNS = (
    ("hop", "·", "cyan"),
    ("idle", "░", "yellow"),
    ("wait", "▒", "magenta"),
    ("fill", "-", "blue"),
    ("step", "█", "green"),
)


def _waterfall(path: PathTime) -> Table:
    """Means, one after the other; `tail` is what a node adds in the slowest hundredth."""
    whole = max(sum(p.mean for p in path.parts), 1e-6)
    table = _table("", "ms", "tail", "")
    scale = _WIDTH / max(whole, 1e-6)
    at = 0.0
    for part in path.parts:
        bar = Text(" " * int(at * scale))
        shares = {"hop": part.hop, "idle": max(0.0, part.queue - part.wait - part.fill), "wait": part.wait, "fill": part.fill}
        shares["step"] = part.step
        for name, sign, color in _SIGNS:
            first, at = at, at + shares[name]
            count = int(at * scale) - int(first * scale)
            bar.append(sign * (count or int(name == "step" and shares[name] > 0)), style=color)
        table.add_row(escape(part.node), f"{part.mean:.1f}", f"{part.tail:.1f}", bar)
    return table


def _joins(found: Prediction) -> Table:
    table = _table("port", "take", "forced", "none with")
    for j in found.joins:
        if j.forced < _SEEN:
            continue
        remedy = f"lag: {j.lag_ms:g}ms" if j.take in ("latest", "recent") else f"wait: {j.lag_ms:g}ms more"
        table.add_row(f"{escape(j.node)}.{escape(j.port)}", j.take, f"{j.forced:.1%}", remedy)
    return table
