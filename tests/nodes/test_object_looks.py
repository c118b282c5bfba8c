"""Boxes of a plain detector get colours out of the picture; what cannot be seen keeps its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omnistream.errors import GraphError, ModelError
from omnistream.message import Action, Detections, VideoFrame
from omnistream.record import Recording
from omnistream.testing import context, replay
from omnistream_nodes.object_looks import LooksOutputs, ObjectLooks

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "graphs" / "recordings" / "table.mcap"


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, Detections, list[str]]:
    """The picture, a detector's boxes by kind, and what the things are."""
    with Recording(TABLE) as recording:
        (image,) = [m.payload.image for m in recording.messages("camera")][:1]
        (boxes,) = [m.payload for m in recording.messages("boxes")][:1]
        (truth,) = recording.truth()
    return image, boxes, truth["names"]


class Eye:
    """A node that is shown detections and a picture."""

    def __init__(self, **options: object) -> None:
        self.node, self.ctx = ObjectLooks(**options), context("looks")

    async def sees(self, found: Detections, image: np.ndarray | None, encoding: str = "rgb8") -> LooksOutputs:
        if not hasattr(self.node, "_network"):
            await self.node.open(self.ctx)
        return await self.node.step(found, None if image is None else VideoFrame(image, encoding))

    @property
    def reports(self) -> list[str]:
        return [reason for reason, _ in self.ctx.report.rows]


def named(found: Detections, *labels: str) -> Detections:
    return Detections(found.boxes, labels or ("",) * len(found.labels), found.scores)


async def test_things_get_the_colours_that_they_have_and_keep_all_else(table):
    image, boxes, names = table
    out, vectors = await Eye().sees(boxes, image)
    assert list(out.labels) == names
    assert out.boxes is boxes.boxes
    assert out.scores is boxes.scores
    assert vectors.data.shape == (len(names), 32)
    np.testing.assert_allclose(np.linalg.norm(vectors.data, axis=1), 1, atol=1e-5)


async def test_a_label_with_a_colour_is_left_alone_and_one_without_a_kind_gets_one(table):
    image, boxes, names = table
    said = tuple(f"green {name.split()[-1]}" for name in names)
    assert (await Eye().sees(named(boxes, *said), image)).out.labels == said
    plain = (await Eye(min_kind=0.0, min_colour=1.0).sees(named(boxes), image)).out.labels
    assert sum(p == n.split()[-1] for p, n in zip(plain, names, strict=True)) >= 0.6 * len(names)
    assert set((await Eye(min_kind=1.0, min_colour=1.0).sees(named(boxes), image)).out.labels) == {"object"}


async def test_the_order_of_detections_and_their_company_do_not_matter(table):
    image, boxes, _ = table
    order = np.random.default_rng(2).permutation(len(boxes.labels))
    shuffled = Detections(boxes.boxes[order], tuple(boxes.labels[i] for i in order), boxes.scores[order])
    eye = Eye()
    one, other = await eye.sees(boxes, image), await eye.sees(shuffled, image)
    assert tuple(one.out.labels[i] for i in order) == other.out.labels
    np.testing.assert_allclose(one.vectors.data[order], other.vectors.data, atol=1e-4)


async def test_only_so_many_are_looked_at_the_surest_first(table):
    image, boxes, names = table
    scores = np.linspace(0.1, 0.9, len(names)).astype(np.float32)
    out, vectors = await Eye(most=1).sees(Detections(boxes.boxes, boxes.labels, scores), image)
    assert out.labels == (*boxes.labels[:-1], names[-1])
    assert np.flatnonzero(vectors.data.any(1)).tolist() == [len(names) - 1]


async def test_what_is_no_box_in_the_picture_keeps_its_name(table):
    image, boxes, names = table
    odd = np.array(
        [[np.nan, 0, 9, 9], [-90, -90, -50, -50], [400, 10, 500, 60], [50, 50, 40, 40], [0, 0, np.inf, 10]], np.float32
    )
    found = Detections(np.concatenate([odd, boxes.boxes]), ("cup",) * 5 + boxes.labels, np.ones(5 + len(names), np.float32))
    out, vectors = await Eye().sees(found, image)
    assert out.labels[:5] == ("cup",) * 5
    assert list(out.labels[5:]) == names
    assert not vectors.data[:5].any()
    nothing = Detections(np.zeros((0, 4), np.float32), (), np.zeros(0, np.float32))
    out, vectors = await Eye().sees(nothing, image)
    assert (out.labels, vectors.data.shape) == ((), (0, 32))


async def test_without_a_picture_labels_stay_and_the_ledger_says_so(table):
    image, boxes, _ = table
    eye = Eye()
    assert await eye.sees(boxes, None) == LooksOutputs(boxes, None)
    assert await eye.sees(boxes, image[..., 0], "mono8") == LooksOutputs(boxes, None)
    assert await eye.sees(boxes, np.zeros((4, 9000, 3), np.uint8)) == LooksOutputs(boxes, None)
    assert eye.reports == ["no_picture", "refused", "refused"]
    assert (await eye.sees(boxes, image)).out.labels != boxes.labels


async def test_options_and_weights_are_checked(table, tmp_path: Path):
    with pytest.raises(GraphError, match="object_looks: min_colour is 2; write a number from 0 to 1"):
        ObjectLooks(min_colour=2)
    with pytest.raises(GraphError, match="object_looks: most is 0; write 1 or more"):
        ObjectLooks(most=0)
    with pytest.raises(ModelError, match=r"there is no looks\.json"):
        await Eye(weights=str(tmp_path)).sees(table[1], table[0])


def test_the_example_takes_the_red_cup_of_two(monkeypatch: pytest.MonkeyPatch, table):
    monkeypatch.chdir(ROOT)
    found = replay("graphs/recordings/table.mcap", "graphs/examples/object_looks.yaml")
    (action,) = [m.payload for m in found.outputs["screen.message"] if isinstance(m.payload, Action)]
    red = table[1].boxes[table[2].index("red cup")]
    assert (action.kind, action.target, action.model) == ("pick", "red cup", "fused")
    assert red[0] < action.values["u_px"] < red[2]
    assert red[1] < action.values["v_px"] < red[3]
