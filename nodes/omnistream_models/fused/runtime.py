"""The trained network in ONNX Runtime: evidence -> a decision, by as much of the network as it takes.

Words are read first. Where they alone are enough, as a head says that was trained to know, hands, things and state are not even
made into tokens. Else the second half decides, with what there is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.fused import tensors
from omnistream_models.fused.decode import decode
from omnistream_models.fused.evidence import Evidence
from omnistream_models.fused.schema import HEADS, Decision
from omnistream_models.fused.tokens import kept, other_tokens, text_tokens
from omnistream_models.fused.weights import Manifest, checked, read_manifest, shipped

__all__ = ["Answer", "FusedNetwork", "by_all", "by_words"]

_KNOWN = 4096
_GATES = ("objects", "hands", "state")


@dataclass(frozen=True, slots=True)
class Answer:
    """`decision`, with the gates of what was weighed; `enough`: how surely the words alone were; `early`: they had to be."""

    decision: Decision
    enough: float
    early: bool


class FusedNetwork:
    """Of a folder (default: the one that ships). Raises ModelError where it is missing, damaged or of another version."""

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        folder = folder or shipped()
        self.manifest = read_manifest(folder)
        self._words = _session(folder, "words.onnx", self.manifest, threads)
        self._rest = _session(folder, "rest.onnx", self.manifest, threads)
        arrays = tensors.parse(checked(folder, "fused.safetensors", self.manifest))
        if "model.reader.table.weight" not in arrays:
            raise ModelError(f"{folder}: the weights hold no table of words; train them again")
        self._table = arrays["model.reader.table.weight"].astype(np.float32)
        self._embedded: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def decide(self, evidence: Evidence, *, whole: bool = False) -> Answer:
        """The decision; with `whole` all of the network is run, whatever the words are."""
        limits = self.manifest.limits
        x, embedded, said = self._read(evidence)
        enough = float(said["enough"][0])
        if not whole and enough >= limits["enough"]:
            return Answer(by_words(said, limits), enough, early=True)
        return Answer(by_all(self._whole(evidence, x, embedded, said), evidence, limits), enough, early=False)

    def outputs(self, evidence: Evidence) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What the words alone say (each head, `enough`), and what all says (each head, `target`, `gates`), undecided."""
        x, embedded, said = self._read(evidence)
        return said, self._whole(evidence, x, embedded, said)

    def _read(self, evidence: Evidence) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray]]:
        x = text_tokens(evidence)
        embedded = self._embed(x["words"])
        said = self._run(self._words, {"embedded": embedded, "words_on": x["words_on"], "typed": x["typed"]})
        return x, embedded, said | {"enough": 1 / (1 + np.exp(-said["enough"]))}

    def _whole(
        self, evidence: Evidence, x: Mapping[str, np.ndarray], embedded: np.ndarray, said: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        rest = other_tokens(evidence)
        inputs = {name: rest[name] for name in ("objects", "objects_on", "seeing", "hands", "hands_on", "state", "state_on")}
        inputs |= {"labels": self._embed(rest["labels"]), "words_on": x["words_on"], "embedded": embedded}
        inputs |= {"hidden": said["hidden"], "slots": said["slots"]} | {f"said_{name}": said[name] for name in HEADS}
        return self._run(self._rest, inputs)

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
                found = self._embedded[key] = self._table[row[row > 0]].mean(axis=0)
                if len(self._embedded) > _KNOWN:
                    self._embedded.popitem(last=False)
            out[i] = found
        return out.reshape(*rows.shape[:-1], -1)

    def _run(self, session: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [o.name for o in session.get_outputs()]
        values = session.run(names, {name: value[None] for name, value in inputs.items()})
        return {name: value[0] for name, value in zip(names, values, strict=True)}


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
    return {name: limits[name] for name in ("accept", "sure", "margin", "temperature")}


def _session(folder: Path, name: str, manifest: Manifest, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = max(1, threads), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(checked(folder, name, manifest), options, providers=["CPUExecutionProvider"])
    except ModelError:
        raise
    except Exception as e:
        raise ModelError(f"{folder / name}: ONNX Runtime cannot read it: {str(e).splitlines()[0]}") from e
