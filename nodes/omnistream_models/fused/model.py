"""The whole network: what the reader made of the words, and what things, hand and state add, by gates that are an output.

Each kind of evidence is encoded by itself and goes through a residual adapter; the slots ask each kind apart, and what comes
back is weighed by a gate of that kind, which depends on the words and on what is there. A kind that is absent has the gate 0
and adds nothing. There is no state between decisions: what lies in time (hands) comes as tokens with their times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from omnistream_models.fused.grounding import LOWEST, Grounding, Shown, Spoken
from omnistream_models.fused.reading import EMBEDDED, NAMED, SLOTS, WIDTH, Attention, Reader, Residual, bag, of_slot
from omnistream_models.fused.schema import HEADS
from omnistream_models.fused.tokens import HAND_SIZE, LABEL_WORDS, OBJECT_SIZE

__all__ = ["GATES", "FusedModel", "Fusion"]

#: The kinds of evidence that are weighed, in the order of the gates.
GATES = ("objects", "hands", "state")
_FACTS, _WHY = 12, 12


class Fusion(nn.Module):
    """The second half: hidden words and slots of the reader, and tokens of all else -> heads, target (B, N), gates (B, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.object_in = nn.Linear(OBJECT_SIZE + LABEL_WORDS * EMBEDDED, WIDTH)
        self.hand_in = nn.Sequential(nn.Linear(HAND_SIZE, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.state_in = nn.Linear(1, WIDTH)
        self.adapters = nn.ModuleDict({name: Residual(WIDTH, 32) for name in GATES})
        self.gates = nn.ModuleDict({name: nn.Linear(2 * WIDTH, 1) for name in GATES})
        self.asks = nn.ModuleDict({name: Attention() for name in GATES})
        self.grounding = Grounding()
        self.counted = nn.Sequential(nn.Linear(_WHY, 48), nn.GELU(), nn.Linear(48, 48))
        self.told = nn.Sequential(nn.Linear(2 * 48 + _FACTS, WIDTH), nn.GELU(), nn.Linear(WIDTH, len(SLOTS) * WIDTH))
        self.think = nn.Sequential(Residual(WIDTH, 2 * WIDTH), Residual(WIDTH, 2 * WIDTH))
        self.heads = nn.ModuleDict({name: nn.Linear(WIDTH, length) for name, length in HEADS.items() if name not in NAMED})
        self.by_hand = nn.Linear(WIDTH, 5)

    def forward(
        self,
        said: Mapping[str, Tensor],
        hidden: Tensor,
        embedded: Tensor,
        slots: Tensor,
        labels: Tensor,
        x: Mapping[str, Tensor],
        parts: Sequence[str] = GATES,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """`labels` (B, N, LABEL_WORDS, EMBEDDED) embedded; of `x`, of the fields of tokens, words and labels are not read.

        `parts` are the kinds of evidence that there are at all: nothing is computed, nor read, of the others.
        """
        on = {"objects": x["objects_on"], "hands": x["hands_on"], "state": x["state_on"]}
        boxes, hands = _only(x["objects"], on["objects"]), _only(x["hands"], on["hands"])
        labels = torch.where(on["objects"][..., None, None], labels, torch.zeros_like(labels))
        enter = {
            "objects": lambda: self.object_in(torch.cat([boxes, labels.flatten(2)], -1)),
            "hands": lambda: self.hand_in(hands),
            "state": lambda: self.state_in(_only(x["state"].unsqueeze(-1), on["state"])),
        }
        tokens = {name: adapter(enter[name]()) for name, adapter in self.adapters.items() if name in parts}
        gates = self._weighed(tokens, on, slots[:, SLOTS.index("decide")], x["seeing"])
        mixed, target = slots, boxes[..., 0] * 0 + LOWEST
        if "objects" in parts:
            shown = Shown(tokens["hands"], hands[..., 42:46], on["hands"], gates["hands"]) if "hands" in parts else None
            ground = self.grounding(Spoken(hidden, embedded, x["words_on"], slots), boxes, labels, on["objects"], shown)
            counted, target = _only(self.counted(ground.why), on["objects"]), ground.target
            told = torch.cat([counted.sum(1) / 4, counted.amax(1).clamp(min=0), ground.facts], -1)
            mixed = mixed + gates["objects"].unsqueeze(-1) * self.told(told).reshape(slots.shape)
        for name in tokens:
            mixed = mixed + gates[name].unsqueeze(-1) * self.asks[name](slots, tokens[name], on[name])
        mixed = self.think(mixed)
        heads = {name: said[name] for name in NAMED}
        heads |= {name: said[name] + head(mixed[:, of_slot(name)]) for name, head in self.heads.items()}
        return heads, target, torch.cat([gates[name] for name in GATES], -1)

    def _weighed(
        self, tokens: Mapping[str, Tensor], on: Mapping[str, Tensor], decide: Tensor, seeing: Tensor
    ) -> dict[str, Tensor]:
        """A gate (B, 1) of each kind: by the words and the mean of what there is; 0 of what is not there."""
        there = {name: on[name].any(-1, keepdim=True).to(seeing.dtype) for name in tokens}
        if "objects" in tokens:
            there["objects"] = torch.maximum(there["objects"], seeing)  # that nothing is seen is evidence, too
        means = {name: _only(t, on[name]).sum(1) / on[name].sum(1, keepdim=True).clamp(min=1) for name, t in tokens.items()}
        found = {n: torch.sigmoid(self.gates[n](torch.cat([decide, means[n]], -1))) * there[n] for n in tokens}
        return {name: found.get(name, torch.zeros_like(seeing)) for name in GATES}

    def shape(self, hands: Tensor) -> Tensor:
        """(B, H, 5): what single hands show, for the first stage of training (`data.shown`)."""
        return self.by_hand(self.adapters["hands"](self.hand_in(hands)))


def _only(values: Tensor, on: Tensor) -> Tensor:
    """Rows that are there; whatever stands in the others, not a number included, is 0."""
    return torch.where(on.unsqueeze(-1), values, torch.zeros_like(values))


class FusedModel(nn.Module):
    """Both halves. `forward` takes a batch of `tokens.FIELDS` and gives what each half says."""

    def __init__(self) -> None:
        super().__init__()
        self.reader, self.fusion = Reader(), Fusion()

    def forward(self, x: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor], Tensor, Tensor]:
        """(heads by words alone, whether those are enough, heads, target, gates)."""
        return self.embedded(bag(self.reader.table, x["words"]), bag(self.reader.table, x["labels"]), x)

    def embedded(
        self, words: Tensor, labels: Tensor, x: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor], Tensor, Tensor]:
        """The same of words and labels that are embedded already."""
        said, enough, hidden, words, slots = self.reader.read(words, x["words_on"], x["typed"])
        return said, enough, *self.fusion(said, hidden, words, slots, labels, x)
