"""The trained network in ONNX Runtime: evidence -> a decision, by as much of the network as it takes.

Words are read first, as many as there are. Where they alone are enough, as a head says that was trained to know, hands, things
and state are not even made into tokens. Else the second half decides, without its parts for things and for hands where there
are none or the words need none, and on as many as there are: padding would have added nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from omnistream_models.fused import tables, tensors
from omnistream_models.fused.decode import decode
from omnistream_models.fused.evidence import Evidence
from omnistream_models.fused.schema import HEADS, Decision
from omnistream_models.fused.size import folded
from omnistream_models.fused.tokens import NEEDS, OBJECTS, WORDS, kept, other_tokens, text_tokens
from omnistream_models.fused.weights import PATHS, Manifest, checked, read_manifest, shipped
from omnistream_models.onnx_session import open_session_of

__all__ = ["Answer", "FusedNetwork", "Reading", "by_all", "by_words"]

_KNOWN = 4096
#: What the words are so likely to need is looked at.
_NEED = 0.05
#: Room for so many words and things: few sizes, for each is planned anew when it first comes.
_WORDS, _THINGS = (6, 10, WORDS), (4, 7, OBJECTS)
_OF_PART = {"objects": "detections", "hands": "hands"}
_GATES = ("objects", "hands", "state", "sounds")


@dataclass(frozen=True, slots=True)
class Answer:
    """`decision`, with the gates of what was weighed; `enough`: how surely the words alone were; `early`: they had to be.

    `parts` are the kinds of evidence that were weighed beside the words (of a decision that was not early, the state too).
    """

    decision: Decision
    enough: float
    early: bool
    parts: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return "words" if self.early else " and ".join(("words", *self.parts, "state"))


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What was made of the words of `evidence`: tokens, what each head says of them, and whether they are enough (`early`)."""

    evidence: Evidence
    whole: bool
    tokens: Mapping[str, np.ndarray]
    said: dict[str, np.ndarray]
    enough: float
    early: bool


class FusedNetwork:
    """Of a folder (default: the one that ships). Raises ModelError where it is missing, damaged or of another version.

    Beside words, state and sound it weighs `parts` (of `NEEDS`) only; what else there may be is not looked at.
    """

    def __init__(self, folder: Path | None = None, threads: int = 1, parts: Collection[str] = NEEDS) -> None:
        folder = folder or shipped()
        self.manifest = read_manifest(folder)
        self._words = _Half(folder, "words.onnx", self.manifest, threads)
        paths = {path: name for path, name in PATHS.items() if set(path) <= set(parts)}
        self._rest = {path: _Half(folder, name, self.manifest, threads) for path, name in paths.items()}
        self._parts = tuple(p for p in NEEDS if p in parts)
        self._table = tables.of(tensors.parse(checked(folder, "fused.safetensors", self.manifest)), folder)
        self._embedded: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def decide(self, evidence: Evidence, *, whole: bool = False) -> Answer:
        """The decision; with `whole` all of the network is run, for as many words, hands and things as fit."""
        return self.finish(self.read(evidence, whole=whole))

    def read(self, evidence: Evidence, *, whole: bool = False) -> Reading:
        """The first half: what the words say by themselves."""
        x = text_tokens(evidence)
        if not whole:
            count = _room(int(x["words_on"].sum()), _WORDS)
            x = {name: value[:count] for name, value in x.items()}
        x["embedded"] = self._embed(x["words"])
        said = self._words.run(x)
        said |= {name: 1 / (1 + np.exp(-said[name])) for name in ("enough", "needs")}
        enough = float(said["enough"][0])
        early = not whole and enough >= self.manifest.limits["enough"]
        return Reading(evidence, whole, x, said, enough, early)

    def finish(self, read: Reading) -> Answer:
        """The decision, by the second half where the words are not enough."""
        if read.early:
            return Answer(by_words(read.said, self.manifest.limits), read.enough, early=True)
        heads, parts = self._weigh(read)
        return Answer(by_all(heads, read.evidence, self.manifest.limits), read.enough, early=False, parts=parts)

    def outputs(self, evidence: Evidence) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What the words alone say (each head, `enough`), and what all says (each head, `target`, `gates`), undecided."""
        read = self.read(evidence)
        return read.said, self._weigh(read)[0]

    def _weigh(self, read: Reading) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        evidence, parts = read.evidence, self._parts
        if not read.whole:
            there = {"objects": evidence.detections is not None, "hands": bool(evidence.hands)}
            needs = dict(zip(NEEDS, read.said["needs"], strict=True))
            parts = tuple(p for p in self._parts if there[p] and needs[p] >= _NEED)
            evidence = evidence.without(*(_OF_PART[p] for p in NEEDS if p not in parts))
        rest = other_tokens(evidence, every=read.whole)
        if not read.whole:
            room = _room(int(rest["objects_on"].sum()), _THINGS)
            most: dict[str, int] = dict.fromkeys(("objects", "labels", "looks", "objects_on"), room)
            rest = {name: value[: most.get(name)] for name, value in rest.items()}
        inputs = {**read.tokens, **rest, "labels": self._embed(rest["labels"]), "hidden": read.said["hidden"]}
        inputs |= {"slots": read.said["slots"]} | {f"said_{name}": read.said[name] for name in HEADS}
        return self._rest[parts].run(inputs), parts

    def _embed(self, rows: np.ndarray) -> np.ndarray:
        """(..., GRAMS) -> (..., EMBEDDED): the mean of each word's rows of the table, remembered for words that come again."""
        flat = rows.reshape(-1, rows.shape[-1])
        out = np.zeros((len(flat), self._table.shape[1]), np.float32)
        for i, row in enumerate(flat):
            if not row[0]:
                continue
            key = row.tobytes()
            found = self._embedded.get(key)
            if found is None:
                found = self._embedded[key] = self._table[folded(row[row > 0], len(self._table))].mean(axis=0)
                if len(self._embedded) > _KNOWN:
                    self._embedded.popitem(last=False)
            out[i] = found
        return out.reshape(*rows.shape[:-1], -1)


def _room(count: int, sizes: Sequence[int]) -> int:
    return next(size for size in sizes if size >= count)


class _Half:
    """One file of the network: arrays by name, of one item, in and out. What it does not read it is not given."""

    def __init__(self, folder: Path, name: str, manifest: Manifest, threads: int) -> None:
        self._session = open_session_of(checked(folder, name, manifest), str(folder / name), threads)
        self._in, self._out = ([v.name for v in vs] for vs in (self._session.get_inputs(), self._session.get_outputs()))

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = self._session.run(self._out, {name: inputs[name][None] for name in self._in})
        return {name: value[0] for name, value in zip(self._out, values, strict=True)}


def by_words(said: Mapping[str, np.ndarray], limits: Mapping[str, float]) -> Decision:
    """What the words alone lead to."""
    return decode({**said, "target": np.zeros(0)}, sees=False, **_common(limits))


def by_all(heads: Mapping[str, np.ndarray], evidence: Evidence, limits: Mapping[str, float]) -> Decision:
    """What all of the network leads to; its target numbers the evidence's detections."""
    seen = evidence.detections
    numbers = np.arange(0) if seen is None else kept(seen)
    gates = {name: round(float(g), 3) for name, g in zip(_GATES, heads["gates"], strict=True)}
    decision = decode(
        {**heads, "target": heads["target"][: len(numbers)]}, sees=seen is not None, gates=gates, **_common(limits)
    )  # fmt: skip
    return replace(decision, target=int(numbers[decision.target])) if decision.target >= 0 else decision


def _common(limits: Mapping[str, float]) -> Any:
    return {name: limits[name] for name in ("accept", "sure", "margin", "contradict", "temperature")}
