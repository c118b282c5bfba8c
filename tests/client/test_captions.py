"""A headset shows each caption once: by its revision, and by what caused it where a crash had it made again."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from omnistream.client.captions import MAX_KNOWN, Shown
from omnistream.graph.load import load_graph
from omnistream.graph.plan import make_plan
from omnistream.protocol.codec import CaptionFrame

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "engine")]
import caption_nodes  # noqa: E402
from running import run_live  # noqa: E402

GRAPH = """graph: captions
workers: {mind: {}}
nodes:
  typed: {use: "caption_nodes:Typed"}
  palm: {use: "caption_nodes:Palm"}
  eyes: {use: "caption_nodes:Eyes", inputs: {item: palm}}
  parse: {use: command_parser, with: {embedding: false}, inputs: {text: typed}}
  reason: {use: rule_reasoner, on: mind, inputs: {intent: parse, stop: {from: eyes, urgent: true}}}
  glasses: {use: "caption_nodes:Glasses", on: mind, inputs: {item: reason.caption}}
  robot: {use: "caption_nodes:Robot", inputs: {item: {from: [reason.action, reason.stop]}}}
"""


async def test_a_caption_that_is_made_again_by_a_new_worker_is_shown_once(tmp_path: Path) -> None:
    """The palm was late and lifted behind the command; after the crash it is on time, and its caption gets another id."""
    (tmp_path / "graph.yaml").write_text(GRAPH)
    plan = make_plan(load_graph(str(tmp_path / "graph.yaml"), [], []), "planned")
    caption_nodes.FRAMES.clear()
    outcome = await run_live(plan, [(0.9, "mind")])
    assert outcome.restarts == {"mind": 1}
    stops = [f for f in caption_nodes.FRAMES if f.text == "Stopped: open palm."]
    assert len({f.id for f in stops}) == 2, "the run did not do what this test is about"
    assert len({f.origin for f in stops}) == 1
    shown = Shown()
    assert [f.text for f in caption_nodes.FRAMES if shown.is_news(f)] == ["Going forward 1 m.", "Stopped: open palm."]


frames = st.builds(
    CaptionFrame,
    id=st.sampled_from("abc"),
    rev=st.integers(0, 4),
    text=st.just("x"),
    origin=st.sampled_from(["", "1", "2", "3", "4", "5"]),
)


@given(st.lists(frames, max_size=40))
def test_a_caption_is_news_unless_it_or_a_newer_revision_or_its_origin_was(given_frames: list[CaptionFrame]) -> None:
    shown, news = Shown(), list[CaptionFrame]()
    for f in given_frames:
        known = any((n.id == f.id and n.rev >= f.rev) or (f.origin and n.origin == f.origin) for n in news)
        assert shown.is_news(f) == (not known)
        if not known:
            news.append(f)


def test_who_says_no_origin_is_known_by_id_alone() -> None:
    shown = Shown()
    assert [shown.is_news(CaptionFrame(id=i, text="x")) for i in ("a", "b", "a")] == [True, True, False]


def test_what_is_known_is_bounded() -> None:
    shown = Shown()
    for i in range(3 * MAX_KNOWN):
        assert shown.is_news(CaptionFrame(id=f"c{i}", text="x", origin=f"o{i}"))
    assert not shown.is_news(CaptionFrame(id="again", text="x", origin=f"o{2 * MAX_KNOWN}"))
    assert shown.is_news(CaptionFrame(id="again", text="x", origin="o0"))
