"""The commands file (graphs/commands.yaml) -> `Grammar`, with file and line in every complaint."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from omnistream.errors import GraphError
from omnistream_nodes.grammar import Grammar, Phrase

__all__ = ["find_grammar", "load_grammar"]

_SLOT = re.compile(r"\{(\w*)\}")
_KEYS = (
    "lang", "slots", "commands", "meaning", "urgent", "hear_out", "fillers", "spelling", "telltale", "confusable",
    "reserved_for_tests",
)  # fmt: skip
#: A file that expands to more is a slip (a slot in a slot's place), and would make the recognizer slow.
MAX_PHRASES = 20_000


def find_grammar(name: str) -> Path:
    """The commands file `name`: a path, or the name of one that ships with OmniStream ("commands.yaml").

    Raises GraphError where there is none.
    """
    here = Path(__file__).resolve()
    places = [Path(name).expanduser(), here.parents[2] / "graphs" / name, here.parent / name]
    for place in places:
        if place.is_file():
            return place
    raise GraphError(f"{name}: there is no such commands file; write its path, or 'commands.yaml' for the one that ships")


def load_grammar(path: Path, parameters: Mapping[str, float] | None = None) -> Grammar:
    """Read a commands file and write out every phrase that it allows.

    `parameters` are names that values under `meaning` may use, such as ``default_distance_m``.
    Raises GraphError: ``file:line: place: what was found; what to write instead``.
    """
    return _Reader(path, parameters or {}).grammar()


class _Reader:
    def __init__(self, path: Path, parameters: Mapping[str, float]) -> None:
        self.path = path
        self.parameters = parameters
        self.slots: dict[str, dict[str, float | None]] = {}

    def grammar(self) -> Grammar:
        root = self._parse()
        for key in root:
            if key not in _KEYS:
                raise self._error(root, key, f"{key}: no such section; there are {', '.join(_KEYS)}")
        self.slots = {name: self._slot(root, name) for name in self._map(root, "slots")}
        meaning = self._map(root, "meaning")
        phrases: dict[str, Phrase] = {}
        used: dict[str, list[str]] = {}
        commands = self._map(root, "commands")
        if not commands:
            raise GraphError(f"{self.path}:1: there are no commands; write 'commands:' with a list of phrases for each intent")
        for intent in commands:
            for n, pattern in enumerate(self._texts(commands, intent, "commands")):
                for phrase in self._expand(intent, pattern, meaning, commands[intent], n):
                    self._add(phrases, phrase, commands[intent], n)
                    used.setdefault(pattern, []).append(phrase.text)
        heard_out = self._texts(root, "hear_out", "")
        for where, key, pattern, section in (
            *((meaning, p, p, "meaning") for p in meaning),
            *((root["hear_out"], n, p, "hear_out") for n, p in enumerate(heard_out)),
        ):
            if pattern not in used:
                raise self._error(where, key, f"{section}: {pattern!r} is not under 'commands'; write it as it is there")
        urgent = self._texts(root, "urgent", "")
        for n, intent in enumerate(urgent):
            if intent not in commands:
                raise self._error(root["urgent"], n, f"urgent: there is no intent {intent!r} under 'commands'")
        reserved = self._map(root, "reserved_for_tests")
        plain = Grammar((), self.slots)
        return Grammar(
            phrases=tuple(phrases.values()),
            slots=self.slots,
            confusable=tuple(self._texts(root, "confusable", "")),
            urgent=frozenset(urgent),
            heard_out=frozenset(text for pattern in heard_out for text in used[pattern]),
            fillers=tuple(sorted((tuple(plain.words(f)) for f in self._texts(root, "fillers", "")), key=len, reverse=True)),
            spelling={str(k): str(v) for k, v in self._map(root, "spelling").items()},
            telltale=frozenset(self._telltale(root)),
            reserved={kind: tuple(self._texts(reserved, kind, "reserved_for_tests")) for kind in reserved},
            lang=str(root.get("lang", "en")),
            file=str(self.path),
        )

    def _parse(self) -> Any:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            root = YAML(typ="rt").load(self.path.read_text(encoding="utf-8"))
        except MarkedYAMLError as e:
            line = e.problem_mark.line + 1 if e.problem_mark else 1
            raise GraphError(f"{self.path}:{line}: this is not YAML: {(e.problem or str(e)).splitlines()[0]}") from e
        except (YAMLError, UnicodeDecodeError) as e:
            raise GraphError(f"{self.path}:1: this is not YAML: {str(e).splitlines()[0]}") from e
        except OSError as e:
            raise GraphError(f"{self.path}: the commands file cannot be read: {e.strerror}") from e
        if not isinstance(root, Mapping):
            raise GraphError(f"{self.path}:1: this is no map; write 'commands:' with a list of phrases for each intent")
        return root

    def _slot(self, root: Any, name: str) -> dict[str, float | None]:
        """A slot's values: a list of words, or a map of words to the numbers that they mean."""
        found = root["slots"][name]
        words = Grammar(())
        if isinstance(found, Mapping):
            for word, number in found.items():
                if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
                    raise self._error(
                        found, word, f"slots.{name}.{word}: {number!r} is no number; write '{word}: 1' or '{word}:'"
                    )
            pairs = [(str(word), None if n is None else float(n)) for word, n in found.items()]
        else:
            pairs = [(word, None) for word in self._texts(root["slots"], name, "slots")]
        values = {" ".join(words.words(word)): number for word, number in pairs}
        if not values or "" in values:
            raise self._error(root["slots"], name, f"slots.{name}: a value without letters; write words, such as [red, blue]")
        return values

    def _expand(self, intent: str, pattern: str, meaning: Any, where: Any, n: int) -> Iterator[Phrase]:
        """The pattern with each combination of its slots' values."""
        names = _SLOT.findall(pattern)
        for name in names:
            if name not in self.slots:
                known = ", ".join(self.slots) or "none"
                raise self._error(where, n, f"commands.{intent}: there is no slot {{{name}}}; the slots are: {known}")
        adds = meaning.get(pattern) or {}
        if not isinstance(adds, Mapping) or set(adds) - {"slots", "values"}:
            raise self._error(meaning, pattern, f"meaning: {pattern!r}: found {adds!r}; write 'slots:' and 'values:' under it")
        if math.prod(len(self.slots[name]) for name in names) > MAX_PHRASES:
            raise self._error(where, n, f"commands.{intent}: {pattern!r} stands for more than {MAX_PHRASES} phrases; split it")
        for choice in product(*(self.slots[name] for name in names)):
            slots = dict(zip(names, choice, strict=True))
            text = " ".join(Grammar(()).words(_SLOT.sub(lambda m, slots=slots: slots[m[1]], pattern)))
            if not text:
                raise self._error(where, n, f"commands.{intent}: a phrase without words; write what is said")
            words, numbers = adds.get("slots") or {}, adds.get("values") or {}
            added = {str(k): _SLOT.sub(lambda m, slots=slots: slots.get(m[1], m[0]), str(v)) for k, v in words.items()}
            values = {str(k): self._number(str(v), slots, meaning, pattern) for k, v in numbers.items()}
            yield Phrase(text, intent, slots | added, values)

    def _number(self, expression: str, slots: Mapping[str, str], meaning: Any, pattern: str) -> float:
        """A product of numbers, `pi`, {slots} and parameters."""
        result = 1.0
        for factor in (f.strip() for f in expression.split("*")):
            slot = _SLOT.fullmatch(factor)
            if slot and slot[1] in slots:
                number = self.slots[slot[1]][slots[slot[1]]]
            elif factor in self.parameters or factor == "pi":
                number = math.pi if factor == "pi" else self.parameters[factor]
            else:
                try:
                    number = float(factor)
                except ValueError:
                    number = None
            if number is None or not math.isfinite(number):
                names = ", ".join(["pi", *self.parameters, *(f"{{{s}}}" for s in slots)])
                raise self._error(
                    meaning, pattern, f"meaning: {pattern!r}: no number: {factor!r}; multiply numbers and {names}"
                )
            result *= number
        return result

    def _add(self, phrases: dict[str, Phrase], phrase: Phrase, where: Any, n: int) -> None:
        old = phrases.setdefault(phrase.text, phrase)
        if not old.means(phrase):
            raise self._error(
                where, n, f"commands.{phrase.intent}: {phrase.text!r} has another meaning under {old.intent!r}; keep one"
            )
        if len(phrases) > MAX_PHRASES:
            raise self._error(where, n, f"commands.{phrase.intent}: more than {MAX_PHRASES} phrases in all; use fewer slots")

    def _map(self, parent: Any, key: str) -> Any:
        found = parent.get(key)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise self._error(parent, key, f"{key}: found {type(found).__name__}; write 'name: value' lines")
        return found

    def _texts(self, parent: Any, key: str | int, place: str) -> list[str]:
        found = parent.get(key)
        where = f"{place}.{key}" if place else key
        if found is None:
            return []
        if not isinstance(found, list):
            raise self._error(parent, key, f"{where}: found {found!r}; write a list, such as [{found}]")
        for n, text in enumerate(found):
            if not isinstance(text, str):
                raise self._error(found, n, f"{where}: {text!r} is not text; write it in quotes")
        return [str(text) for text in found]

    def _telltale(self, root: Any) -> Iterator[str]:
        """A list of words, or of such lists."""
        rows = root.get("telltale") or []
        if isinstance(rows, list) and all(isinstance(row, list) for row in rows):
            for n in range(len(rows)):
                yield from self._texts({n: rows[n]}, n, "telltale")
        else:
            yield from self._texts(root, "telltale", "")

    def _error(self, parent: Any, key: Any, text: str) -> GraphError:
        """An error at `key` of `parent`, as the YAML reader found it."""
        try:
            marks: Any = parent.lc
            line = marks.item(key)[0] if isinstance(parent, list) else marks.key(key)[0]
        except (AttributeError, KeyError, TypeError):
            line = 0
        return GraphError(f"{self.path}:{line + 1}: {text}")
