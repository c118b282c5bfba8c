"""The fused reasoner's variants: a change between them loses nothing of what was said, and each decides as if alone."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from omnistream.message import MS, SECOND, Command, Detections, Event
from omnistream.testing import context
from omnistream_models.fused.weights import FILES, shipped
from omnistream_nodes.fused_reasoner import FusedOutputs, FusedReasoner

T0 = 1_800_000_000 * SECOND
TABLE = Detections(
    np.array([[40, 150, 70, 180], [140, 150, 200, 165], [240, 150, 270, 180]], np.float32),
    ("red cup", "white plate", "blue ball"),
    np.full(3, 0.9, np.float32),
)
SAID = (("pick up the blue ball", "pick"), ("turn left", "turn"), ("what a day", "none"), ("take the cup", "pick"),
        ("put it there", "place"), ("go forward three meters", "move"), ("go home", "home"))  # fmt: skip


class Mind:
    def __init__(self, **options: object) -> None:
        self.node, self.ctx = FusedReasoner(**options), context("reason")

    async def hears(self, text: str, intent: str, at_s: float, variant: str, *, spoken: bool = False, **others) -> FusedOutputs:
        if self.ctx.now == 0:
            await self.node.open(self.ctx)
        self.ctx.variant = variant
        self.ctx.now = self.ctx.cause = T0 + round(at_s * SECOND)
        command = Command(intent, text, start_ns=self.ctx.now - 800 * MS * spoken, end_ns=self.ctx.now)
        (out,) = [out async for out in self.node.step(intent=command, **others)]
        return out


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FusedReasoner.variants, 2)))
async def test_what_was_said_to_one_is_known_to_the_next(first: str, second: str):
    mind = Mind()
    assert (await mind.hears("turn around", "turn", 2.0, first, spoken=True)).action.kind == "turn"
    assert (await mind.hears("turn around", "turn", 2.3, second)).caption.text == "I am at it already."
    assert (await mind.hears("turn around", "turn", 6.0, first, spoken=True)).action.kind == "turn"
    assert (await mind.hears("wave your hand", "wave", 6.3, second)).action is None
    assert (await mind.hears("wave your hand", "wave", 9.0, second)).action.kind == "wave"
    async for out in mind.node.step(stop=Event("stop", {"gesture": "open_palm"}), intent=None):
        assert out.stop is not None
    late = await mind.hears("go home", "home", 9.5, first, spoken=True)
    assert late.caption.text == "Stopped. Please say it again."
    assert not [r for r, _ in mind.ctx.report.rows if r == "no_variant"]


async def test_each_decides_as_if_there_were_no_other():
    alone = {v: Mind() for v in FusedReasoner.variants}
    changing, rng = Mind(), random.Random(0)
    for n, (text, intent) in enumerate(SAID * 3):
        variant = rng.choice(FusedReasoner.variants)
        given = (text, intent, 2.0 + 3 * n, variant)
        assert await changing.hears(*given, detections=TABLE) == await alone[variant].hears(*given, detections=TABLE)


async def test_weights_without_variants_stay_as_they_are_and_say_so_once(tmp_path: Path):
    for name in (*FILES, "fused.json"):
        (tmp_path / name).write_bytes((shipped() / name).read_bytes())
    mind, full = Mind(weights=str(tmp_path)), Mind()
    for n in range(2):
        found = await mind.hears("take the cup", "pick", 2.0 + 3 * n, "int8", detections=TABLE)
        assert found == await full.hears("take the cup", "pick", 2.0 + 3 * n, "full", detections=TABLE)
    assert [r for r, _ in mind.ctx.report.rows] == ["no_variant"]
    assert "omnistream quantize fused" in mind.ctx.report.rows[0][1]
