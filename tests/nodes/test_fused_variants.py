"""The fused reasoner's variants: a change between them loses nothing of what was said, and each decides as if alone."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.message import MS, SECOND, Command, Detections, Event
from omnistream.testing import context
from omnistream_models import onnx_session
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
    def __init__(self, told: dict[str, Any] | None = None, **options: object) -> None:
        self.node, self.ctx = FusedReasoner(**options), context("reason", **told or {})

    async def open(self) -> None:
        await self.node.open(self.ctx)
        self.ctx.now = T0

    async def hears(self, text: str, intent: str, at_s: float, variant: str, *, spoken: bool = False, **others) -> FusedOutputs:
        if self.ctx.now == 0:
            await self.open()
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


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened, by the last two parts of their paths, in the order of opening."""
    found, whole = list[str](), onnx_session._session

    def open_one(model: Any, name: str, threads: int) -> Any:
        found.append("/".join(Path(name).parts[-2:]))
        return whole(model, name, threads)

    monkeypatch.setattr(onnx_session, "_session", open_one)
    return found


@pytest.mark.parametrize(
    ("variants", "unconnected", "folders", "files"),
    [
        (("full",), {"frame", "detections", "gesture"}, ["fused"], ["words", "state"]),
        (("small",), {"frame", "detections"}, ["small"], ["words", "hands", "state"]),
        (("full", "int8", "small"), {"gesture", "frame"}, ["fused", "int8", "small"], ["words", "things", "state"]),
        (("full",), set(), ["fused"], ["words", "rest", "things", "hands", "state"]),
    ],
)
async def test_what_the_run_can_need_is_opened_before_it_and_nothing_else_ever(
    opened: list[str], variants: tuple[str, ...], unconnected: set[str], folders: list[str], files: list[str]
):
    mind, whole = Mind({"variants": variants, "unconnected": frozenset(unconnected)}), Mind()
    await mind.open()
    looks = [] if "frame" in unconnected else ["looks/looks.onnx"]
    assert sorted(opened) == sorted([*(f"{folder}/{file}.onnx" for folder in folders for file in files), *looks])
    await whole.open()
    given = {} if "detections" in unconnected else {"detections": TABLE}
    for n, (text, intent) in enumerate(SAID * len(variants)):
        asked = (text, intent, 2.0 + 3 * n, variants[n % len(variants)])
        before = len(opened)
        answer = await mind.hears(*asked, **given)
        assert len(opened) == before
        assert answer == await whole.hears(*asked, **given)
