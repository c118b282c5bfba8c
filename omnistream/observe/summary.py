"""What a run was, in figures: how long from what was said to what was done, and where every message went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from omnistream.errors import OmniStreamError
from omnistream.graph.graph import Plan
from omnistream.message import INFINITY, SECOND
from omnistream.observe.outcome import Outcome, percentiles

__all__ = ["print_summary", "summarize", "write_summary"]

#: An action may leave so much before the last voiced sample and still answer the utterance (a word said to its end).
_EARLY_NS = SECOND
#: An utterance is answered within this, or not at all.
_LATE_NS = 3 * SECOND


def summarize(plan: Plan, engine: str, outcome: Outcome, truth: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The summary as plain values. `truth` is what the played recording says, its times in run time.

    `command_to_action_ms`: from an utterance's last voiced sample to the first action handed to a transport that was
    decided from samples of that utterance; end of speech included. `reaction_ms`: from the newest sample that a decision
    read to the transport. `window_fill_ms`: from a decision's cause to the stamp at which its windows let it fire.
    """
    decided = [r for records in outcome.records.values() for r in records if r[3]]
    nodes = {
        name: {k: n.get(k) for k in ("in", "out", "step_ms", "queue_max")} | {"restarts": _restarts(plan, outcome, name)}
        for name, n in outcome.nodes.items()
    }
    return {
        "graph": plan.graph.name,
        "engine": engine,
        "duration_s": round(outcome.duration_s, 3),
        "command_to_action_ms": percentiles(_answers(truth, outcome.records)),
        "reaction_ms": percentiles([r[0] - r[3] for r in decided]),
        "window_fill_ms": percentiles([r[1] - r[2] for r in decided]),
        "nodes": nodes,
        "ledger": dict(sorted(outcome.ledger.items())),
        "outputs": {n: s["out"] for n, s in outcome.nodes.items() if s["role"] == "sink"},
        "forced": sum(n.get("forced", 0) for n in outcome.nodes.values()),
        "restarts": dict(outcome.restarts),
        "digest": outcome.digest,
        "digest_note": outcome.digest_note,
        "stopped_by": outcome.stopped_by,
        "notices": list(outcome.notices),
    }


def _restarts(plan: Plan, outcome: Outcome, node: str) -> int:
    return outcome.restarts[next(w.name for w in plan.workers if node in w.nodes)]


def _answers(truth: Sequence[Mapping[str, Any]], records: Mapping[str, Sequence[Any]]) -> list[int]:
    """For each utterance that an action answered: how long after its last voiced sample the action left.

    What was decided from sound of the next utterance is no answer to this one."""
    actions = sorted((r for rs in records.values() for r in rs if r[4].startswith("Action") and r[3]), key=lambda r: r[0])
    found: list[int] = []
    used: set[int] = set()
    starts = [*(said["start_ns"] for said in truth), INFINITY]
    for said, start, following in zip(truth, starts, starts[1:], strict=False):
        end = said["end_ns"]
        for i, record in enumerate(actions):
            if i not in used and start < record[3] <= following and end - _EARLY_NS < record[0] < end + _LATE_NS:
                used.add(i)
                found.append(record[0] - end)
                break
    return found


def write_summary(summary: Mapping[str, Any], path: str) -> None:
    """Raises OmniStreamError where it cannot be written."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(summary, indent=2) + "\n")
    except OSError as error:
        raise OmniStreamError(f"the summary cannot be written to {path} ({error.strerror})") from None


def _line(figures: Mapping[str, float]) -> str:
    if not figures:
        return "none"
    p99 = f"  p99 {figures['p99']:.0f}" if "p99" in figures else ""
    return f"p50 {figures['p50']:.0f}  p95 {figures['p95']:.0f}{p99}  max {figures['max']:.0f} ms  (n={figures['n']})"


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """The summary for a person."""
    console.print(
        f"\n[bold]{summary['graph']}[/] on {summary['engine']}, {summary['duration_s']:.1f} s, {summary['stopped_by']}"
    )
    if summary["command_to_action_ms"]:
        console.print(
            f"  command to action   {_line(summary['command_to_action_ms'])}   from the last voiced sample to the socket"
        )
    if summary["reaction_ms"]:
        console.print(f"  reaction            {_line(summary['reaction_ms'])}   from the newest sample needed to the socket")
    console.print("  outputs             " + (", ".join(f"{k} {v}" for k, v in summary["outputs"].items()) or "none"))
    console.print("  ledger              " + (", ".join(f"{k} {v}" for k, v in summary["ledger"].items()) or "nothing lost"))
    if summary["restarts"]:
        console.print("  restarts            " + ", ".join(f"{k} {v}" for k, v in summary["restarts"].items()))
    for notice in summary["notices"]:
        console.print(f"  notice              {notice}", highlight=False, markup=False)
    console.print(f"  digest              {summary['digest'] or summary['digest_note']}")


def node_table(
    nodes: Mapping[str, Mapping[str, Any]], rates: Mapping[str, float], lost: Mapping[str, int], restarts: Mapping[str, int]
) -> Table:
    """One row a node: rate, step times, queue, drops, restarts."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("node")
    for name in ("in", "out", "rate/s", "p50 ms", "p95 ms", "queue", "max", "lost", "restarts"):
        table.add_column(name, justify="right")
    for name, n in nodes.items():
        step = n.get("step_ms") or {}
        shown = [f"{step[q]:.1f}" if q in step else "-" for q in ("p50", "p95")]
        values = [str(n["in"]), str(n["out"]), f"{rates.get(name, 0):.1f}", *shown, str(n["queue"]), str(n["queue_max"])]
        drops, again = lost.get(name, 0), restarts.get(name, 0)
        table.add_row(name, *values, f"[red]{drops}[/]" if drops else "0", f"[yellow]{again}[/]" if again else "0")
    return table
