"""The options of a node: the fields of its dataclass, checked against their type hints before anything is made."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from omnistream.graph.problems import Place, Problems
from omnistream.graph.suggest import did_you_mean
from omnistream.graph.tree import Substituted, scalar

__all__ = ["REQUIRED", "Option", "check_options", "make", "options_of", "spell"]

#: The default of an option that has none.
REQUIRED: Any = dataclasses.MISSING


@dataclass(frozen=True, slots=True)
class Option:
    """One field of a node's class: its type hint, its default (`REQUIRED` if it has none) and what is said about it."""

    name: str
    hint: Any
    default: Any
    doc: str = ""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def options_of(cls: type, *, docs: bool = False) -> dict[str, Option]:
    """The options of a class in the order written; with `docs`, what its source says beside each."""
    if not dataclasses.is_dataclass(cls):
        return {}
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):  # a hint that exists for type checkers only
        hints = {}
    said = _docs(cls) if docs else {}
    found: dict[str, Option] = {}
    for f in dataclasses.fields(cls):
        if not f.init or f.name.startswith("_"):
            continue
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        if f.default_factory is dataclasses.MISSING and not _is_own(cls, f.name):
            default = REQUIRED
        doc = str(f.metadata.get("doc", "")) or said.get(f.name, "")
        found[f.name] = Option(f.name, hints.get(f.name, Any), default, doc)
    return found


def _is_own(cls: type, name: str) -> bool:
    """Whether a dataclass gives the field its default; an attribute of `Source` or `Sink` of that name is none."""
    return any(name in vars(base) for base in cls.__mro__ if "__dataclass_fields__" in vars(base))


def spell(hint: Any) -> str:
    """A type hint as a person would write it."""
    if isinstance(hint, str):
        return hint
    if typing.get_origin(hint) is typing.Annotated:
        return spell(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " | ".join(spell(a) for a in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(json.dumps(a) if isinstance(a, str) else str(a) for a in typing.get_args(hint))
    if hint is type(None):
        return "null"
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("collections.abc.", "").replace("pathlib.", "")


def check_options(cls: type, given: Mapping[str, Any], place: Place, problems: Problems) -> dict[str, Any]:
    """The given options with the types of their fields. Unknown, missing and mistyped ones are added to `problems`."""
    known = options_of(cls)
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            problems.add((*place, name), f"{cls.__name__} has no such option{did_you_mean(name, known, 'it has')}")
            continue
        try:
            checked[name] = _convert(known[name].hint, value)
        except ValueError as error:
            problems.add((*place, name), str(error))
    missing = [o for o in known.values() if o.required and o.name not in given]
    for option in missing:
        problems.add(
            place, f"{cls.__name__} needs the option '{option.name}' ({spell(option.hint)}); write `{option.name}: ...`"
        )
    return checked


def make(cls: type, options: Mapping[str, Any], place: Place, problems: Problems) -> Any:
    """The node object, or None where its class refuses the options (in ``__post_init__``); that is then in `problems`."""
    try:
        return cls(**options)
    except Exception as error:  # noqa: BLE001  whatever a stranger's class raises is the reason that it refuses
        text = " ".join(str(error).split())[:300]
        plain = isinstance(error, ValueError) or type(error).__module__.startswith("omnistream.")
        problems.add(place, text if plain and text else f"{cls.__name__} refuses these options: {type(error).__name__}: {text}")
        return None


def _convert(hint: Any, value: Any) -> Any:
    """`value` as the hint says: strict, as JSON would be read (a list may become a tuple, text a path or an enum member)."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=None if _has_config(hint) else _ARBITRARY)
    except PydanticUserError:
        return _plain(value)
    attempts = [_plain(value)]
    if (other := _plain(value, settle=True)) != attempts[0]:
        attempts.append(other)  # text from the environment is a number where a number is wanted
    first: ValidationError | None = None
    for attempt in attempts:
        try:
            return adapter.validate_json(json.dumps(attempt), strict=True)
        except ValidationError as error:
            first = first or error
    assert first is not None
    raise ValueError(_fault(first, hint, attempts[-1]))


_ARBITRARY = ConfigDict(arbitrary_types_allowed=True)


def _has_config(hint: Any) -> bool:
    """Pydantic takes no configuration for a type that brings its own."""
    return isinstance(hint, type) and (
        dataclasses.is_dataclass(hint) or hasattr(hint, "model_config") or typing.is_typeddict(hint)
    )


def _plain(value: Any, *, settle: bool = False) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v, settle=settle) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v, settle=settle) for v in value]
    if isinstance(value, Substituted):
        return scalar(str(value)) if settle else str(value)
    return value


def _fault(error: ValidationError, hint: Any, value: Any) -> str:
    fault = error.errors(include_url=False)[0]
    where = "".join(f"[{p}]" for p in fault["loc"] if isinstance(p, int))
    found = json.dumps(value)
    found = found if len(found) <= 60 else found[:57] + "..."
    quotes = "; put it in quotes" if hint is str and isinstance(value, int | float) else ""
    kind: str = fault["type"]
    if kind.endswith(("_type", "_parsing", "_from_float", "missing", "extra_forbidden")) or len(error.errors()) > 1:
        return f"this must be {spell(hint)}; found {found}{where and f' (item {where})'}{quotes}"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"this {message[:1].lower()}{message[1:]}; found {found}{where and f' (item {where})'}"


def _docs(cls: type) -> dict[str, str]:
    """What the source says about each field: a string below it, a comment behind it, or comments above it."""
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(base))
            tree = ast.parse(source).body[0]
        except (OSError, TypeError, SyntaxError, IndexError):
            continue
        lines = source.splitlines()
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for index, item in enumerate(body):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                below = body[index + 1] if index + 1 < len(body) else None
                doc = _said(item, below, lines)
                if doc:
                    said[item.target.id] = doc
    return said


def _said(item: ast.AnnAssign, below: ast.stmt | None, lines: list[str]) -> str:
    if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
        return " ".join(below.value.value.split())
    end = item.end_lineno or item.lineno
    behind = lines[end - 1].encode()[item.end_col_offset or 0 :].decode().strip()
    if behind.startswith("#") and not behind.lstrip("# ").startswith(("noqa", "type:", "pyright:")):
        return behind.lstrip("#: ").strip()
    above: list[str] = []
    row = item.lineno - 2
    while row >= 0 and lines[row].strip().startswith("#"):
        above.insert(0, lines[row].strip().lstrip("#: ").strip())
        row -= 1
    return " ".join(above)
