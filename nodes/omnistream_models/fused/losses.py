"""What training asks of the network at each stage."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its name everywhere)

from omnistream_models.fused.data import IGNORE
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.schema import HEADS, REASONS
from omnistream_models.fused.tokens import NEEDS

__all__ = ["by_hands", "by_words", "whole"]

_UNCLEAR = REASONS.index("unclear")
_WEIGHTS = {"verb": 1.0, "reason": 1.5, "direction": 1.0, "amount": 1.0, "manner": 0.5, "kind": 0.5, "colour": 0.5}


def _cross(logits: Tensor, wanted: Tensor) -> Tensor:
    """0 where no item has an answer."""
    if not bool((wanted != IGNORE).any()):
        return logits.sum() * 0
    return F.cross_entropy(logits, wanted, ignore_index=IGNORE)


def by_words(said: Mapping[str, Tensor], enough: Tensor, y: Mapping[str, Tensor]) -> Tensor:
    """What words alone can know: the verb and its slots, whether they are a command, and whether more must be looked at."""
    alone = y["enough"] == 1
    wanted = {name: y[name] for name in HEADS} | {
        "reason": torch.where(alone | (y["reason"] == _UNCLEAR), y["reason"], torch.full_like(y["reason"], IGNORE)),
        "direction": torch.where(alone, y["direction"], torch.full_like(y["direction"], IGNORE)),
    }
    total = sum((_WEIGHTS[name] * _cross(said[name], wanted[name]) for name in HEADS), enough.sum() * 0)
    needed = torch.stack([y[name] for name in NEEDS], -1).to(enough.dtype)
    total = total + F.binary_cross_entropy_with_logits(said["needs"], needed)
    return total + F.binary_cross_entropy_with_logits(enough, y["enough"].to(enough.dtype))


def by_hands(model: FusedModel, hands: Tensor, wanted: Tensor) -> Tensor:
    """What single hands show."""
    return _cross(model.fusion.shape(hands).flatten(0, 1), wanted.flatten())


def whole(heads: Mapping[str, Tensor], target: Tensor, y: Mapping[str, Tensor]) -> Tensor:
    """All heads of the second half, and the thing that is meant."""
    total = sum((_WEIGHTS[name] * _cross(heads[name], y[name]) for name in HEADS), target.sum() * 0)
    return total + 2.0 * _cross(target, y["target"])
