"""The shape of the ears' network: what kind it is, and how wide, deep and long of memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from omnistream.errors import ModelError

__all__ = ["NETWORKS", "Shape", "usual_shape"]

NETWORKS = ("convolutions", "conformer")


@dataclass(frozen=True, slots=True)
class Shape:
    """`classes` counts none, which is class 0; phrase n is class n + 1.

    One block for each of `dilations`, which spread the `kernel` frames of its depthwise convolution. `widen`: a block's
    pointwise layers have so many times `channels` within. The conformer's alone: `heads` of attention over the `window` frames
    of 20 ms that end with the present one.
    """

    classes: int
    channels: int = 192
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    widen: int = 2
    network: Literal["convolutions", "conformer"] = "convolutions"
    heads: int = 4
    window: int = 48

    def __post_init__(self) -> None:
        if self.network == "conformer" and (self.channels % self.heads or self.window < 2):
            raise ModelError(
                f"a conformer of {self.channels} channels, {self.heads} heads and a window of {self.window}: "
                "the heads must share the channels evenly, and the window must be 2 or more"
            )

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "dilations": list(self.dilations)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Shape:
        """Raises ModelError for a kind of network that is none."""
        if data.get("network", NETWORKS[0]) not in NETWORKS:
            raise ModelError(f"ears of the network '{data['network']}' are not known here; there are {', '.join(NETWORKS)}")
        rest: dict[str, Any] = {**data, "dilations": tuple(data["dilations"])}
        return cls(**rest)


def usual_shape(network: str, classes: int) -> Shape:
    """The shape that `omnistream train ears` gives a network; both kinds have about the same number of parameters.

    Raises ModelError for a kind that is none.
    """
    if network == "conformer":
        return Shape(classes, kernel=15, dilations=(1, 1, 1), widen=1, network="conformer")
    return Shape.from_json(Shape(classes).to_json() | {"network": network})
