"""The whole network: what the reader made of the words, and what things, hand and state add, by gates that are an output.

Each kind of evidence is encoded by itself and goes through a residual adapter; the slots ask each kind apart, and what comes
back is weighed by a gate of that kind, which depends on the words and on what is there. A kind that is absent has the gate 0
and adds nothing. There is no state between decisions: what lies in time (hands) comes as tokens with their times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from omnistream_models.fused.evidence import HEARD, LOOKS
from omnistream_models.fused.grounding import LOWEST, Grounding, Shown, Spoken, Things
from omnistream_models.fused.reading import NAMED, SLOTS, Attention, Reader, Residual, bag, of_slot
from omnistream_models.fused.schema import HEADS
from omnistream_models.fused.size import FULL, Size
from omnistream_models.fused.tokens import HAND_SIZE, LABEL_WORDS, OBJECT_SIZE

__all__ = ["GATES", "SOUNDLESS", "FusedModel", "Fusion"]

#: The kinds of evidence that are weighed, in the order of the gates.
GATES = ("objects", "hands", "state", "sounds")
SOUNDLESS = GATES[:-1]
_FACTS, _WHY = 12, 12


class Fusion(nn.Module):
    """The second half: hidden words and slots of the reader, and tokens of all else -> heads, target (B, N), gates (B, 4)."""

    def __init__(self, size: Size = FULL) -> None:
        super().__init__()
        width, counted = size.width, size.counted
        self.object_in = nn.Linear(OBJECT_SIZE + LABEL_WORDS * size.embedded + LOOKS, width)
        self.hand_in = nn.Sequential(nn.Linear(HAND_SIZE, width), nn.GELU(), nn.Linear(width, width))
        self.state_in, self.sound_in = nn.Linear(1, width), nn.Linear(HEARD, width)
        self.adapters = nn.ModuleDict({name: Residual(width, size.sense) for name in GATES})
        self.gates = nn.ModuleDict({name: nn.Linear(2 * width, 1) for name in GATES})
        self.asks = nn.ModuleDict({name: Attention(width) for name in GATES})
        self.grounding = Grounding(size)
        self.counted = nn.Sequential(nn.Linear(_WHY, counted), nn.GELU(), nn.Linear(counted, counted))
        self.told = nn.Sequential(nn.Linear(2 * counted + _FACTS, width), nn.GELU(), nn.Linear(width, len(SLOTS) * width))
        self.think = nn.Sequential(Residual(width, size.inner), Residual(width, size.inner))
        self.heads = nn.ModuleDict({name: nn.Linear(width, length) for name, length in HEADS.items() if name not in NAMED})
        self.by_hand = nn.Linear(width, 5)

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
        on = {name: x[f"{name}_on"] for name in parts}
        boxes, hands = _only(x["objects"], x["objects_on"]), _only(x["hands"], x["hands_on"])
        labels = torch.where(x["objects_on"][..., None, None], labels, torch.zeros_like(labels))
        looks = _only(x["looks"], x["objects_on"])
        enter = {
            "objects": lambda: self.object_in(torch.cat([boxes, labels.flatten(2), looks], -1)),
            "hands": lambda: self.hand_in(hands),
            "state": lambda: self.state_in(_only(x["state"].unsqueeze(-1), on["state"])),
            "sounds": lambda: self.sound_in(_only(x["sounds"], on["sounds"])),
        }
        tokens = {name: adapter(enter[name]()) for name, adapter in self.adapters.items() if name in parts}
        gates = self._weighed(tokens, on, slots[:, SLOTS.index("decide")], x["seeing"])
        mixed, target = slots, boxes[..., 0] * 0 + LOWEST
        if "objects" in parts:
            shown = Shown(tokens["hands"], hands[..., 42:46], on["hands"], gates["hands"]) if "hands" in parts else None
            spoken = Spoken(hidden, embedded, x["words_on"], slots)
            ground = self.grounding(spoken, Things(boxes, labels, looks, on["objects"]), shown)
            counted, target = _only(self.counted(ground.why), on["objects"]), ground.target
            told = torch.cat([counted.sum(1) / 4, counted.amax(1).clamp(min=0), ground.facts], -1)
            mixed = mixed + gates["objects"].unsqueeze(-1) * self.told(told).reshape(slots.shape)
        for name in tokens:
            mixed = mixed + gates[name].unsqueeze(-1) * self.asks[name](slots, tokens[name], on[name])
        mixed = self.think(mixed)
        heads = {name: said[name] for name in NAMED}
        heads |= {name: said[name] + head(mixed[:, of_slot(name)]) for name, head in self.heads.items()}
        return heads, target, torch.cat([gates[name] for name in GATES], -1)

    def of_sound(self) -> tuple[nn.Module, ...]:
        """The parts that weigh sound: without it none of them is run."""
        return self.sound_in, self.adapters["sounds"], self.gates["sounds"], self.asks["sounds"]

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

    def __init__(self, size: Size = FULL) -> None:
        super().__init__()
        self.size, self.reader, self.fusion = size, Reader(size), Fusion(size)

    def forward(self, x: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor], Tensor, Tensor]:
        """(heads by words alone, whether those are enough, heads, target, gates)."""
        return self.embedded(bag(self.reader.table, x["words"]), bag(self.reader.table, x["labels"]), x)

    def embedded(
        self, words: Tensor, labels: Tensor, x: Mapping[str, Tensor], parts: Sequence[str] = GATES
    ) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor], Tensor, Tensor]:
        """The same of words and labels that are embedded already, and of nothing but these `parts`."""
        said, enough, hidden, words, slots = self.reader.read(words, x["words_on"], x["typed"])
        return said, enough, *self.fusion(said, hidden, words, slots, labels, x, parts)
