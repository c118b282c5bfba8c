"""From the values of a file to a `GraphSpec`: pydantic's findings turned into sentences, and the sound part kept.

What is at fault is reported and cut out, so that the rest of the file is still checked in the same run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from omnistream.graph.problems import Problems
from omnistream.graph.spec import (
    LATER,
    BlackBoxSpec,
    GraphSpec,
    InputSpec,
    NodeSpec,
    RecordSpec,
    RotateSpec,
    SessionSpec,
    WindowSpec,
    WorkerSpec,
)
from omnistream.graph.suggest import did_you_mean
from omnistream.graph.tree import Substituted, scalar

__all__ = ["found_value", "validate"]

_KIND: Mapping[type, str] = {
    str: "text",
    int: "the number",
    float: "the number",
    bool: "the bool",
    dict: "a map",
    list: "a list",
}
_WANTED = {
    "string_type": "text", "int_type": "a whole number", "float_type": "a number", "bool_type": "true or false",
    "dict_type": "a map of `name: value`", "model_type": "a map of `word: value`", "int_from_float": "a whole number",
}  # fmt: skip


def found_value(value: object) -> str:
    """A value as an error names it: ``text 'x'``, ``the number 3``, ``nothing``."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return _KIND[type(value)]
    word = "text" if isinstance(value, str) else _KIND.get(type(value), "")
    shown = str(value).lower() if isinstance(value, bool) else repr(str(value)[:60]) if isinstance(value, str) else repr(value)
    return f"{word} {shown}".strip()


def validate(value: Any, problems: Problems) -> tuple[GraphSpec | None, frozenset[str]]:
    """The spec of all that is sound, and the names of nodes that are not. None where too little is left."""
    if not isinstance(value, dict):
        problems.add((), f"a graph file is a map that begins with `graph: NAME`; found {found_value(value)}")
        return None, frozenset()
    value = _settle(copy.deepcopy(value))
    broken: set[str] = set()
    for attempt in range(8):  # each pass cuts out what is at fault; further faults may show only then
        try:
            return GraphSpec.model_validate(value), frozenset(broken)
        except ValidationError as error:
            found = [f for f in error.errors(include_url=False) if attempt == 0 or f["loc"] != ("nodes",)]
        if not found:  # every node has been cut out
            break
        for fault in found:
            _cut(value, _report(fault, problems), fault["type"], broken)
    return None, frozenset(broken)


def _settle(value: Any, *, keep: bool = False) -> Any:
    """Substituted text takes its type outside of `with:` and `labels:`, whose types are not known here."""
    if isinstance(value, dict):
        for key, item in value.items():
            value[key] = _settle(item, keep=keep or key in ("with", "labels"))
    elif isinstance(value, list):
        value[:] = [_settle(item, keep=keep) for item in value]
    elif isinstance(value, Substituted) and not keep:
        return scalar(value)
    return value


def _report(fault: Any, problems: Problems) -> tuple[str | int, ...]:
    place: tuple[str | int, ...] = tuple(p for p in fault["loc"] if p != "[key]")
    kind: str = fault["type"]
    if kind == "extra_forbidden":
        model = _model_at(place[:-1])
        word = str(place[-1])
        words = [f.alias or n for n, f in model.model_fields.items()]
        if word in LATER.get(model.__name__, ()):
            sentence = f"`{word}` is not in this version of OmniStream; delete it"
        else:
            sentence = f"there is no such word in {_a(model)}{did_you_mean(word, words)}"
    elif kind == "missing":
        sentence = f"`{place[-1]}` is missing here; write `{place[-1]}: {_EXAMPLES.get(str(place[-1]), '...')}`"
    elif kind == "value_error":
        sentence = str(fault["ctx"]["error"])
    elif kind == "literal_error":
        known = fault["ctx"]["expected"].replace(" or ", ", ")
        sentence = f"{found_value(fault['input'])} is none of {known}; write one of these"
    elif kind == "too_short":
        words = {
            "streams": "this names no stream; write `[node, node.port]`, or delete `streams` for all that comes from outside",
            "on": "this names no event; write `[stop, error]`, or delete `on` for all",
        }
        sentence = words.get(str(place[-1]), "a graph has at least one node; write `NAME: {use: ...}`")
    elif kind in _WANTED:
        sentence = f"this must be {_WANTED[kind]}; found {found_value(fault['input'])}"
    else:
        sentence = f"{fault['msg'][:1].lower()}{fault['msg'][1:]}; found {found_value(fault['input'])}"
    problems.add(place if kind != "missing" else place[:-1], sentence)
    return place


_EXAMPLES = {"graph": "my_robot", "nodes": "{...}", "use": "camera", "from": "node.port", "size": "1s", "gap": "500ms"}


def _a(model: type[BaseModel]) -> str:
    names: Mapping[type[BaseModel], str] = {
        GraphSpec: "a graph file", NodeSpec: "a node", WorkerSpec: "a worker",
        InputSpec: "an input", WindowSpec: "a window", SessionSpec: "a session",
        RecordSpec: "`record`", RotateSpec: "`rotate`", BlackBoxSpec: "`black_box`",
    }  # fmt: skip
    return names[model]


def _model_at(place: tuple[str | int, ...]) -> type[BaseModel]:
    """Which model describes the map at a place."""
    if not place:
        return GraphSpec
    if place[0] == "record":
        return {"rotate": RotateSpec, "black_box": BlackBoxSpec}.get(str(place[-1]), RecordSpec)
    if place[0] == "workers":
        return WorkerSpec
    if len(place) == 2:
        return NodeSpec
    return {"window": WindowSpec, "session": SessionSpec}.get(str(place[-1]), InputSpec) if len(place) > 4 else InputSpec


def _cut(value: dict[str, Any], place: tuple[str | int, ...], kind: str, broken: set[str]) -> None:
    """Remove what is at fault: the key itself where it is not known, else the node or worker that holds it."""
    if kind == "missing" and place == ("graph",):
        value["graph"] = "unnamed"
    elif kind == "extra_forbidden":
        holder: Any = value
        for part in place[:-1]:  # what holds the word may be gone already, for another fault
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder.pop(place[-1], None)
    elif len(place) >= 2 and place[0] in ("nodes", "workers"):
        if place[0] == "nodes":
            broken.add(str(place[1]))
        value[str(place[0])].pop(place[1], None)
    elif place[:1] == ("graph",):
        value["graph"] = "unnamed"
    elif place:
        value.pop(str(place[0]), None)
