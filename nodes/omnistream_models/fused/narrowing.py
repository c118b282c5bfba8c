"""The start of a narrower network: of a trained one the channels that matter most, and the table's principal directions.

Each dimension of each weight belongs to something that all of its readers and writers share: the width, an embedding, or a
layer's own hidden units. Each such thing is narrowed once, by a matrix: rows of it choose channels, or turn embeddings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.reading import SLOTS
from omnistream_models.fused.size import HEADS_OF_ATTENTION, Size, folded

__all__ = ["narrowed"]

#: Of a module's name: what its weights' rows are, and their columns. "w" is the width, "e" an embedding, "@" a layer's own, "*"
#: stays as it is; a sum is one after the other.
_PARTS: Sequence[tuple[str, str, str]] = (
    (r"reader\.enter", "w", "e"),
    (r"(.*)\.change\.0", r"@\1", "w"),
    (r"(.*)\.change\.2", "w", r"@\1"),
    (r"(.*\.(?:look|ask)|.*\.asks\.\w+)\.ask", r"@\1.asked", "w"),
    (r"(.*)\.offer", r"@\1.asked+@\1.told", "w"),
    (r"(.*)\.out", "w", r"@\1.told"),
    (r"(reader\.names\.\w+)\.0", r"@\1", "e+*"),
    (r"(reader\.names\.\w+)\.2", "*", r"@\1"),
    (r"fusion\.object_in", "w", "*5+e+e+e+*"),
    (r"fusion\.hand_in\.0", "@hand", "*"),
    (r"fusion\.hand_in\.2", "w", "@hand"),
    (r"fusion\.\w+_in", "w", "*"),
    (r"fusion\.gates\.\w+", "*", "w+w"),
    (r"fusion\.counted\.0", "@why", "*"),
    (r"fusion\.counted\.2", "@counted", "@why"),
    (r"fusion\.told\.0", "@told", "@counted+@counted+*"),
    (r"fusion\.told\.2", "+".join("w" for _ in SLOTS), "@told"),
    (r"fusion\.grounding\.look", "e+e", "*"),
    (r"fusion\.grounding\.(?:role|nobody|relation|position|steady|points|weight)", "*", "w"),
    (r"(?:reader|fusion)\.(?:heads\.\w+|seek|nowhere|enough|needs|by_hand)", "*", "w"),
)


_OF_WIDTH = re.compile(r".*(?:\.norm\.(?:weight|bias)|reader\.(?:place|slots|channel))")


def narrowed(full: FusedModel, size: Size, loss: Callable[[FusedModel], Tensor]) -> FusedModel:
    """A network of that size. `loss` of some scenes tells what matters, to first order (Molchanov et al. 2019, "Importance
    estimation for neural network pruning"). What no rule is for, and has another shape, is as in a new network."""
    full.zero_grad()
    loss(full).backward()  # pyright: ignore[reportUnknownMemberType]
    made = FusedModel(size)
    old, new = full.state_dict(), made.state_dict()
    ways = _Ways(full, made)
    with torch.no_grad():
        for name, value in new.items():
            module, _, kind = name.rpartition(".")
            if _OF_WIDTH.fullmatch(name):
                value.copy_(old[name] @ ways.matrix("w").T)
            elif module in ways.layers:
                rows, columns = ways.layers[module]
                turned = old[name] if kind == "bias" else old[name] @ ways.block(columns).T
                value.copy_(ways.block(rows) @ turned)
            elif value.shape == old[name].shape:
                value.copy_(old[name])
        new["reader.table.weight"].copy_(_folded(old["reader.table.weight"] @ ways.matrix("e").T, size.rows))
    full.zero_grad()
    return made


class _Ways:
    """For each thing that has a width, (narrow, wide): how it is narrowed. `layers`: what each linear one's sides are."""

    def __init__(self, full: FusedModel, made: FusedModel) -> None:
        self.sizes = {"w": (full.size.width, made.size.width), "e": (full.size.embedded, made.size.embedded)}
        self.layers, self._scores = dict[str, tuple[list[str], list[str]]](), dict[str, Tensor]()
        self._known = {"e": _directions(full.reader.table.weight.detach(), made.size.embedded)}
        for name, module in full.named_modules():
            found = next(((m, sides) for rule, *sides in _PARTS if (m := re.fullmatch(rule, name))), None)
            if found is None or not isinstance(module, nn.Linear):
                continue
            small = made.get_submodule(name)
            assert isinstance(small, nn.Linear)
            sides = [found[0].expand(side).split("+") for side in found[1]]
            shapes = zip(sides, module.weight.shape, small.weight.shape, strict=True)
            rows, columns = (self._sized(f"{name} {n}", *shape) for n, shape in enumerate(shapes))
            self.layers[name] = rows, columns
            self._score(module, rows)

    def _sized(self, side: str, tokens: list[str], wide: int, narrow: int) -> list[str]:
        """The tokens, of which the one that was not known takes what the others leave."""
        for token in (t for t in tokens if t[0] == "*" and t[1:]):
            self.sizes[token] = (int(token[1:]), int(token[1:]))
        tokens = [t if t != "*" else f"*{side}" for t in tokens]
        unknown = next((t for t in tokens if t not in self.sizes), None)
        if unknown is not None:
            others = [self.sizes[t] for t in tokens if t != unknown]
            self.sizes[unknown] = (wide - sum(w for w, _ in others), narrow - sum(n for _, n in others))
        return tokens

    def _score(self, layer: nn.Linear, rows: list[str]) -> None:
        """Adds how much the loss would change without each channel that the layer writes."""
        each = [(p * p.grad).reshape(len(p), -1).sum(1).detach() for p in layer.parameters() if p.grad is not None]
        change = sum(each, torch.zeros(layer.out_features))
        parts = change.split([self.sizes[token][0] for token in rows])
        for token, part in zip(rows, parts, strict=True):
            self._scores[token] = self._scores.get(token, torch.zeros_like(part)) + part.square()

    def block(self, tokens: Sequence[str]) -> Tensor:
        return torch.block_diag(*(self.matrix(token) for token in tokens))

    def matrix(self, token: str) -> Tensor:
        if token not in self._known:
            wide, narrow = self.sizes[token]
            heads = HEADS_OF_ATTENTION if token.endswith((".asked", ".told")) else 1
            scores = self._scores.get(token, torch.zeros(wide)).reshape(heads, -1)
            if wide == narrow:
                kept = torch.arange(wide)
            else:  # each head keeps as many
                best = scores.topk(narrow // heads, 1).indices.sort(1).values
                kept = (best + torch.arange(heads).unsqueeze(1) * (wide // heads)).flatten()
            self._known[token] = torch.eye(wide)[kept]
        return self._known[token]


def _directions(table: Tensor, count: int) -> Tensor:
    """(count, EMBEDDED): the principal directions of a table's rows."""
    return torch.linalg.eigh(table.T @ table).eigenvectors.flip(1)[:, :count].T.contiguous()


def _folded(table: Tensor, rows: int) -> Tensor:
    """A table of fewer rows: the means of those that become one."""
    where = folded(torch.arange(len(table)), rows)[1:]
    out, count = torch.zeros(rows, table.shape[1]), torch.zeros(rows, 1)
    return out.index_add(0, where, table[1:]) / count.index_add(0, where, torch.ones(len(where), 1)).clamp(min=1)
