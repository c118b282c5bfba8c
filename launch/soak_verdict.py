"""Judges a soak by what the robot itself wrote down: at rest in time, each command once, nothing late, every message accounted.

Pure: diaries and accounts in, a verdict out. `soak.py` makes the runs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Kill", "Said", "Verdict", "broken_accounts", "client_id", "judge", "time_to_rest_ns"]

#: A receipt that says that a command came to nothing, and why.
TOLD = ("refused", "expired", "lost")
#: What a command that moves the base does to the wheels first.
WAYS = {"go forward": ("x_mps", 1), "go backward": ("x_mps", -1), "turn right": ("yaw_radps", -1), "turn": ("yaw_radps", 1)}
#: It is begun so soon or not at all.
BEGIN_NS = 5_000_000_000


@dataclass(slots=True)
class Kill:
    """A worker's process ended at `at_ns` and its next life was open at `back_ns` (monotonic time; 0: not in this run)."""

    worker: str
    at_ns: int
    back_ns: int = 0
    moving: bool = False
    rest_ns: int = 0


@dataclass(slots=True)
class Said:
    """A typed command, and the receipt for it: `silence` where none came."""

    id: str
    text: str
    at_ns: int
    status: str = "silence"
    detail: str = ""
    effects: int = 0
    fate: str = ""


@dataclass(slots=True)
class Verdict:
    """One run, or several added up. `broken` holds a sentence for each promise that was not kept."""

    kills: list[Kill] = field(default_factory=list)
    commands: list[Said] = field(default_factory=list)
    repeated: int = 0
    late: int = 0
    actions: int = 0
    ledger: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        self.kills += other.kills
        self.commands += other.commands
        self.repeated += other.repeated
        self.late += other.late
        self.actions += other.actions
        self.ledger += other.ledger
        self.broken += other.broken


def judge(
    diary: Sequence[Mapping[str, Any]], kills: Sequence[Kill], said: Sequence[Said], rows: Iterable[Any], outcome: Any,
    *, offset_ns: int, watchdog_ns: int,
) -> Verdict:  # fmt: skip
    """`diary`: the robot's own log of this run; `rows`: the run's ledger; `offset_ns`: from monotonic to run time."""
    verdict = Verdict(list(kills), list(said), ledger=Counter(outcome.ledger))
    for kill in verdict.kills:
        kill.moving = _moving(diary, kill.at_ns)
        kill.rest_ns = time_to_rest_ns(diary, kill)
        if kill.rest_ns > watchdog_ns * 11 // 10:
            verdict.broken.append(
                f"{kill.worker} was killed at {kill.at_ns} and the robot at rest {_ms(kill.rest_ns)} ms later"
            )
        if not kill.back_ns:
            verdict.broken.append(f"{kill.worker} was killed at {kill.at_ns} and did not come back")
    actions = [e for e in diary if e["event"] == "action"]
    verdict.actions = len(actions)
    for action_id, count in Counter(e["id"] for e in actions).items():
        if count > 1:
            verdict.repeated += count - 1
            verdict.broken.append(f"the action {action_id} was executed {count} times")
    for event in actions:
        over = event["t_ns"] + offset_ns - (event["valid_until_ns"] or 0)
        if over > 0:
            verdict.late += 1
            verdict.broken.append(f"the action {event['id']} was executed {_ms(over)} ms after its time")
    _commands(verdict, actions, list(rows), offset_ns)
    verdict.broken += broken_accounts(outcome)
    return verdict


def time_to_rest_ns(diary: Sequence[Mapping[str, Any]], kill: Kill) -> int:
    """From the kill to the robot's last movement before the worker is back; 0 where it was at rest and stayed so."""
    until = kill.back_ns or 1 << 62
    moving, last = _moving(diary, kill.at_ns), kill.at_ns
    for event in diary:
        if not kill.at_ns < event["t_ns"] < until:
            continue
        now = _moves(event)
        if moving or now:
            last = event["t_ns"]
        moving = now
    return last - kill.at_ns if not moving else min(until - kill.at_ns, 1 << 62)


def client_id(action_id: str) -> tuple[str, str] | None:
    """Client and command that an action comes from, by its origin; None where no client is its cause."""
    try:
        origin: Any = json.loads(action_id[action_id.index("[") :])
    except ValueError:
        return None
    while isinstance(origin, list):
        if len(origin) == 3 and origin[0] == "client":
            return origin[1], origin[2]
        origin = next((part for part in origin if isinstance(part, list)), None)
    return None


def broken_accounts(outcome: Any) -> list[str]:
    """The per-edge law, by the sender's account and by the receiver's: one fate for each message."""
    broken: list[str] = []
    for key, edge in outcome.edges.items():
        if edge["sent"] != edge["pending"] + edge["held"] + sum(edge["fates"].values()):
            broken.append(f"the edge {key} does not add up at its sender: {edge}")
        there = outcome.received.get(key)
        if there is None or there["received"] != sum(there["fates"].values()) + there["held"]:
            broken.append(f"the edge {key} does not add up at its receiver: {there}")
    return broken


def _commands(verdict: Verdict, actions: Sequence[Mapping[str, Any]], rows: list[Any], offset_ns: int) -> None:
    effects = Counter(found[1] for e in actions if (found := client_id(e["id"])))
    for said in verdict.commands:
        said.effects = effects[said.id]
        if said.effects > 1:
            verdict.broken.append(f"the command {said.id} ({said.text}) was executed {said.effects} times")
        if said.effects or (said.status == "done" and _by_tick(said, actions)):
            said.fate = "done"
        elif said.status in TOLD:
            said.fate = said.detail or said.status
        else:
            row = _row_for(said, rows, offset_ns)
            said.fate = row.reason if row is not None else "missing"
            if row is None:
                verdict.broken.append(
                    f"the command {said.id} ({said.text}) had no effect, its receipt says '{said.status}', the ledger nothing"
                )


def _by_tick(said: Said, actions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the robot set out as it was told without the command's own velocity, which was too old by then.

    A motion may be begun for 2 s after its cause and a velocity is valid for 0.5 s: its first fresh one is then a tick's.
    """
    way = next((w for words, w in WAYS.items() if said.text.startswith(words)), None)
    if way is None:
        return False
    name, sign = way
    before = 0.0
    for event in actions:
        speed = event["values"].get(name, 0.0) if event["kind"] == "velocity" else before
        late = 0 < event["t_ns"] - said.at_ns < BEGIN_NS
        if late and speed * sign > 1e-6 >= before * sign and client_id(event["id"]) is None:
            return True
        before = speed
    return False


def _row_for(said: Said, rows: list[Any], offset_ns: int) -> Any:
    """The ledger's row about a command, each row for one command: by its id, else by its words and time."""
    since = said.at_ns + offset_ns
    for row in rows:
        by_words = said.text in row.detail and since <= row.at_ns < since + 20_000_000_000
        if f'"{said.id}"' in row.detail or by_words:
            rows.remove(row)
            return row
    return None


def _moves(event: Mapping[str, Any]) -> bool:
    return event["x_mps"] != 0 or event["yaw_radps"] != 0


def _moving(diary: Sequence[Mapping[str, Any]], at_ns: int) -> bool:
    """Whether the wheels turned at `at_ns`."""
    moving = False
    for event in diary:
        if event["t_ns"] > at_ns:
            break
        moving = _moves(event)
    return moving


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.0f}"
