"""A YAML file as plain values with the line of each: no tags, no aliases, no duplicate keys, bounded size and depth.

Read from the parser's events, so nothing is ever constructed but text, numbers, bool, None, list and dict. Scalars
follow YAML 1.2's core schema: ``on`` and ``yes`` are text, dates are text, keys are always text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from omnistream.errors import GraphError
from omnistream.graph.problems import Place, Problems

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Substituted", "Tree", "parse_tree", "read_text", "scalar"]

MAX_BYTES = 256 << 10
MAX_DEPTH = 24

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan,
}  # fmt: skip
_VARIABLE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\$\{)")


class Substituted(str):
    """Text that came out of ``${NAME}``: also a number or bool where one is wanted (`scalar`)."""

    __slots__ = ()


@dataclass(slots=True)
class Tree:
    """The values of a file, and the line (from 1) of each key or list item; `whole` is False where reading stopped."""

    value: Any
    lines: dict[Place, int]
    whole: bool = True


def scalar(text: str) -> Any:
    """The value of an unquoted scalar: a number, bool, None, or the text itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    if len(text) <= 64 and _FLOAT.fullmatch(text):
        return float(text)
    return text


def read_text(path: str | Path) -> str:
    """The text of a graph file. Raises GraphError where it is missing, too large or not UTF-8."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise GraphError(f"{path}: {reason}; write the path of a graph file, such as graphs/voice_robot.yaml") from error
    if len(data) > MAX_BYTES:
        raise GraphError(f"{path}:1: the file is larger than the {MAX_BYTES >> 10} KiB that a graph may have")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise GraphError(f"{path}:{line}: byte {data[error.start]:#04x} is not UTF-8 text; save the file as UTF-8") from error


def parse_tree(text: str, problems: Problems, env: Mapping[str, str]) -> Tree:
    """The values of one YAML document, with ``${NAME:-default}`` replaced in them. Problems are added, not raised."""
    builder = _Builder(problems, env)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.line = event.start_mark.line + 1
            builder.take(event)
            if builder.stopped:
                break
    except Exception as error:  # noqa: BLE001  the parser's own faults on garbage are of many kinds; all mean the same
        line, sentence = _yaml_fault(error, text)
        problems.at(line, sentence)
        builder.stopped = True
    return Tree(builder.root, builder.lines, not builder.stopped)


def _yaml_fault(error: Exception, text: str) -> tuple[int, str]:
    """The line and the sentence of an error of the YAML parser."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)
    line = mark.line + 1 if mark is not None else text[:position].count("\n") + 1 if isinstance(position, int) else 1
    why = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
    before = text.splitlines()[line - 1 : line]
    hint = "; indent with spaces" if before and "\t" in before[0] else ""
    if before and "${" in before[0]:
        hint = '; inside { } write "${NAME:-default}" in quotes'
    return line, f"this is not YAML: {why}{hint}"


class _Builder:
    """Builds values from events, keeping a stack of open maps and lists instead of recursing."""

    def __init__(self, problems: Problems, env: Mapping[str, str]) -> None:
        self.problems, self.env = problems, env
        self.root: Any = None
        self.lines: dict[Place, int] = {}
        self.line = 1
        self.stopped = False
        self._documents = 0
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []  # per open map, the key that waits for its value
        self._place: list[str | int] = []

    def take(self, event: Any) -> None:
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._stop("a second document begins here; a graph file holds one")
        elif isinstance(event, AliasEvent):
            self._stop(f"'*{event.anchor}' is an alias, which a graph file may not use; write the value again")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._open.pop()
            self._keys.pop()
            self._close()
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            if event.tag is not None and (not isinstance(event, ScalarEvent) or not any(event.implicit)):
                self._stop(f"the tag '{event.tag}' is not known; a graph file holds plain values")
            elif isinstance(event, ScalarEvent):
                self._scalar(event)
            else:
                self._begin({} if isinstance(event, MappingStartEvent) else [])

    def _stop(self, sentence: str) -> None:
        self.problems.at(self.line, sentence)
        self.stopped = True

    def _waits_for_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], dict) and self._keys[-1] is None

    def _scalar(self, event: Any) -> None:
        if self._waits_for_key():
            self._key(event.value)
            return
        plain = event.style is None or event.style == ""
        text: str = event.value
        value: Any = self._substitute(text) if "${" in text else scalar(text) if plain else text
        self._put(value)
        self._close()

    def _key(self, key: str) -> None:
        container = self._open[-1]
        place = (*self._place, key)
        if isinstance(container, dict) and key in container:
            first = self.lines.get(place, 1)
            dotted = ".".join(str(p) for p in place)
            self.problems.at(self.line, f"{dotted}: the key '{key}' is here a second time (first on line {first}); keep one")
        else:
            self.lines[place] = self.line
        self._keys[-1] = key
        self._place.append(key)

    def _put(self, value: Any) -> None:
        """Hang a value into the open container; of a key written twice the first value stays."""
        if not self._open:
            self.root = value
            return
        container = self._open[-1]
        if isinstance(container, dict):
            container.setdefault(str(self._keys[-1]), value)
        else:
            self._place.append(len(container))
            self.lines[tuple(self._place)] = self.line
            container.append(value)

    def _begin(self, container: dict[str, Any] | list[Any]) -> None:
        if self._waits_for_key():
            self._stop("a key must be a word, not a list or a map")
        elif len(self._open) >= MAX_DEPTH:
            self._stop(f"this is nested deeper than {MAX_DEPTH} levels")
        else:
            self._put(container)
            self._open.append(container)
            self._keys.append(None)

    def _close(self) -> None:
        """A value is complete: the key or index that it hung under is done with."""
        if self._open:
            self._keys[-1] = None
            self._place.pop()

    def _substitute(self, text: str) -> str:
        def one(found: re.Match[str]) -> str:
            escaped, name, default, strange = found.groups()
            if escaped:
                return "${"
            if strange:
                what = "has a '${' that is not ${NAME} or ${NAME:-default}; write '$${' for itself"
                self.problems.at(self.line, f"{text[:80]!r} {what}")
                return ""
            if value := self.env.get(name, ""):
                return value
            if default is None:
                self.problems.at(
                    self.line, f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                )
            return default or ""

        return Substituted(_VARIABLE.sub(one, text))
