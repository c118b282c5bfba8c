"""What a node or driver says of itself: contract, ports and options, as text."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from omnistream.graph.options import options_of, spell
from omnistream.graph.ports import names_of, optional_inputs
from omnistream.graph.registry import Role, find
from omnistream.node import InPort

__all__ = ["Described", "OptionText", "describe"]


@dataclass(frozen=True, slots=True)
class OptionText:
    """One option, spelled out; `default` is None where it must be given."""

    name: str
    type: str
    default: str | None
    doc: str


@dataclass(frozen=True, slots=True)
class Described:
    """A class that a graph can use; `doc` is its docstring without the YAML `example`."""

    name: str
    target: str
    role: Role
    summary: str
    doc: str
    example: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    options: tuple[OptionText, ...]
    inexact: dict[str, float]
    variants: tuple[str, ...] = ()


def describe(use: str) -> Described:
    """What the class behind `use` says of itself. Raises GraphError where it cannot be loaded."""
    found = find(use)
    own = found.cls.__dict__.get("__doc__") or ""
    doc = "" if own.startswith(f"{found.cls.__name__}(") else inspect.cleandoc(own)  # a dataclass makes up a docstring
    text, example = _split(doc)
    spare = optional_inputs(found.cls)
    options = tuple(
        OptionText(o.name, spell(o.hint), None if o.required else _default(o.default), o.doc or _said(o.name, text))
        for o in options_of(found.cls, docs=True).values()
    )
    return Described(
        name=use,
        target=found.target,
        role=found.role,
        summary=" ".join(doc.partition("\n\n")[0].split()),
        doc=text,
        example=example,
        inputs={n: _input(p, spare=n in spare) for n, p in found.ports.inputs.items()},
        outputs={n: names_of(t) for n, t in found.ports.outputs.items()},
        options=options,
        inexact=dict(found.inexact),
        variants=found.variants,
    )


def _input(port: InPort, *, spare: bool) -> str:
    inner = names_of(port.types)
    forms = {"message": f"Message[{inner}]", "window": f"Window[{inner}]", "recent": f"Recent[{inner}]"}
    return forms.get(port.form, inner) + (" | None" if port.optional else "") + (" (may be left out)" if spare else "")


def _said(option: str, doc: str) -> str:
    """What a docstring says behind "`option`:", up to the end of the sentence."""
    found = re.search(rf"(?:^|[.;]\s+|\n)`{re.escape(option)}`:\s+(.+?)(?:\.(?:\s|$)|\n\n|$)", doc, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _default(value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return str(value)


def _split(doc: str) -> tuple[str, str]:
    """The prose of a docstring, and the graph at its end: an indented or fenced block that begins with ``graph:``."""
    lines = doc.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"\s*graph:\s*\S", line)), None)
    if start is None:
        return doc, ""
    indent = len(lines[start]) - len(lines[start].lstrip())
    stop = start
    while stop < len(lines) and (not lines[stop].strip() or len(lines[stop]) - len(lines[stop].lstrip()) >= indent):
        if lines[stop].strip().startswith("```"):
            break
        stop += 1
    before = lines[:start]
    while before and (not before[-1].strip() or before[-1].strip().startswith(("```", ".. "))):
        before.pop()
    if before and before[-1].rstrip().endswith("::"):
        before[-1] = before[-1].rstrip()[:-1]
    after = [line for line in lines[stop:] if not line.strip().startswith("```")]
    return "\n".join(before + after).strip(), textwrap.dedent("\n".join(lines[start:stop])).strip()
