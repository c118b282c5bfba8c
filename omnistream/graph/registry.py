"""Finding classes by what `use:` says: an entry-point name, or an import path ``module:Class``.

Only the modules that a graph names are imported. Third parties register nodes and drivers under the entry-point
groups ``omnistream.nodes`` and ``omnistream.drivers`` of their packages.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, cast

from omnistream.errors import GraphError
from omnistream.graph.inexact import inexact_of
from omnistream.graph.suggest import did_you_mean
from omnistream.graph.variants import variants_of
from omnistream.node import Node, Ports, Sink, Source, ports_of

__all__ = ["GROUPS", "Found", "Role", "add_folder", "find", "installed"]

GROUPS = ("omnistream.nodes", "omnistream.drivers")
Role = Literal["node", "source", "sink"]


@dataclass(frozen=True, slots=True)
class Found:
    """A class that a graph can use, by its import path, with its ports."""

    use: str
    target: str
    cls: type[Any]
    role: Role
    ports: Ports
    inexact: Mapping[str, float]
    variants: tuple[str, ...] = ()


def installed() -> dict[str, tuple[EntryPoint, ...]]:
    """Every installed node and driver by name, sorted; more than one entry under a name means a conflict."""
    names: dict[str, list[EntryPoint]] = {}
    for group in GROUPS:
        for point in entry_points(group=group):
            known = names.setdefault(point.name, [])
            if all(p.value != point.value for p in known):
                known.append(point)
    return {name: tuple(names[name]) for name in sorted(names)}


def add_folder(folder: str | Path) -> None:
    """Let ``module:Class`` name files of this folder (the graph's own), after everything that is installed."""
    path = str(Path(folder).resolve())
    if path not in sys.path:
        sys.path.append(path)
        importlib.invalidate_caches()


@cache
def _names() -> dict[str, tuple[EntryPoint, ...]]:
    return installed()


def find(use: str, trusted: Collection[str] | None = None) -> Found:
    """The class that `use` names. Raises GraphError with one sentence (without a place) where it cannot be had.

    With `trusted`, nothing is imported but what it holds and what is installed as a node or driver.
    """
    if ":" in use:
        target = use
        if trusted is not None and use not in trusted and not _is_installed(use):
            raise GraphError(
                f"'{use[:80]}' is named by the recording, which is not trusted to name code; give that --set yourself"
            )
    else:
        points = list(_names().get(use) or installed().get(use) or ())
        if not points:
            hint = f"write '{use.rpartition('.')[0]}:{use.rpartition('.')[2]}' for an import path" if "." in use else ""
            raise GraphError(f"there is no node or driver '{use}'" + (f"; {hint}" if hint else did_you_mean(use, _names())))
        if len(points) > 1:
            both = " and ".join(f"'{p.value}' of {p.dist.name if p.dist else '?'}" for p in points)
            raise GraphError(f"'{use}' is provided twice, by {both}; write the import path of the one you mean")
        target = points[0].value.replace(" ", "")
    cls = _import(target)
    role: Role = "source" if issubclass(cls, Source) else "sink" if issubclass(cls, Sink) else "node"
    try:
        ports = ports_of(cls)
    except GraphError:
        raise
    except Exception as error:  # a hint that Python itself cannot evaluate
        raise GraphError(f"the type hints of {cls.__name__} cannot be read: {_sentence(error)}") from error
    return Found(use, target, cls, role, ports, inexact_of(cls, ports), variants_of(cls) if role == "node" else ())


def _is_installed(target: str) -> bool:
    return any(target == point.value.replace(" ", "") for points in installed().values() for point in points)


def _import(target: str) -> type[Any]:
    module, _, name = target.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise GraphError(f"'{target[:80]}' is not an import path; write 'module:Class'")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            raise GraphError(f"there is no module '{error.name}'; check its name, or install its package") from error
        raise GraphError(f"'{module}' needs the package '{error.name}', which is not installed; install it") from error
    except Exception as error:  # importing runs a stranger's code
        raise GraphError(f"'{module}' cannot be imported: {_sentence(error)}") from error
    if found is None:
        classes = [n for n, c in vars(sys.modules[module]).items() if _is_part(c)]
        raise GraphError(f"module '{module}' has no '{name}'{did_you_mean(name, classes, 'it has')}")
    if not isinstance(found, type) or not _is_part(found):
        raise GraphError(f"'{target}' is no Node, Source or Sink; derive it from one of them")
    if not dataclasses.is_dataclass(found) and "__init__" in vars(found):
        raise GraphError(f"{name} is no dataclass, so its options are unknown; put @dataclass(kw_only=True) above the class")
    return cast(type[Any], found)


def _is_part(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Node | Source | Sink) and value not in (Node, Source, Sink)


def _sentence(error: Exception) -> str:
    """An error of foreign code in one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
