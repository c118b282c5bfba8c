"""The commands file and the sentences that it holds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.errors import GraphError
from omnistream_nodes.grammar import Grammar
from omnistream_nodes.grammar_file import find_grammar, load_grammar

SHIPPED = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": 1.5})
INTENTS = "stop move turn come follow describe pick place gripper look home wave slow wait give"


def test_the_shipped_file_has_every_command() -> None:
    assert {p.intent for p in SHIPPED.phrases} == set(INTENTS.split())
    assert len(SHIPPED.phrases) == 72
    assert SHIPPED.urgent == {"stop"}
    assert {"turn left", "turn right", "go home"} < SHIPPED.heard_out < set(SHIPPED.by_text)
    assert len(SHIPPED.confusable) >= 6


@pytest.mark.parametrize("phrase", SHIPPED.phrases, ids=lambda p: p.text)
def test_every_phrase_is_found_as_a_person_or_a_recognizer_writes_it(phrase) -> None:
    for text in (phrase.text, phrase.text.upper() + "!", phrase.text.capitalize() + ".", f"  Please, {phrase.text} ... now"):
        found = SHIPPED.find(text)
        assert found is not None
        assert found.means(phrase)


@pytest.mark.parametrize(
    ("text", "slots", "values"),
    [
        ("go forward", {"direction": "forward"}, {"distance_m": 1.5}),
        ("go backward", {"direction": "backward"}, {"distance_m": -1.5}),
        ("go forward ten meters", {"direction": "forward", "number": "ten"}, {"distance_m": 10.0}),
        ("go forward one meter", {"direction": "forward", "number": "one"}, {"distance_m": 1.0}),
        ("turn left", {"side": "left"}, {"angle_rad": math.pi / 2}),
        ("turn right", {"side": "right"}, {"angle_rad": -math.pi / 2}),
        ("turn around", {"side": "around"}, {"angle_rad": math.pi}),
        ("pick up the red cup", {"colour": "red", "object": "cup"}, {}),
        ("take the box on the left", {"object": "box", "side": "left"}, {}),
        ("take that", {"object": "that"}, {}),
        ("put it back", {"where": "back"}, {}),
        ("close the gripper", {"state": "closed"}, {}),
        ("look left", {"direction": "left", "side": "left"}, {}),
    ],
)
def test_what_phrases_mean(text, slots, values) -> None:
    phrase = SHIPPED.by_text[text]
    assert phrase.slots == slots
    assert phrase.values == pytest.approx(values)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("go forward 10 metres", "go forward ten meters"),
        ("go forward 1 meter", "go forward one meter"),
        ("Go forward 3m", "go forward three meters"),
        ("go forward to meters", "go forward two meters"),
        ("go forwards", "go forward"),
        ("could you turn left please", "turn left"),
        ("stop now", "stop now"),
        ("go forward 11 meters", None),
        ("go forward 1.5 meters", None),
        ("go forward 1,5 meters", None),
        ("go forward -5 meters", None),
        ("go forward ten", None),
        ("forward", None),
        ("", None),
        ("?!", None),
    ],
)
def test_numbers_spellings_and_fillers(text, phrase) -> None:
    found = SHIPPED.find(text)
    assert (found and found.text) == phrase


def test_what_could_go_on_into_another_command() -> None:
    going_on = {p.text for p in SHIPPED.phrases if SHIPPED.goes_on(p)}
    assert going_on == {"go forward", *(f"take the {o}" for o in ("cup", "ball", "box", "block", "bottle"))}


def test_what_is_only_begun() -> None:
    assert SHIPPED.begins("Pick up the")
    assert SHIPPED.begins("Take the ...")
    assert not SHIPPED.begins("go forward")  # a whole phrase, too
    assert not SHIPPED.begins("stop now")
    assert not SHIPPED.begins("")


def test_both_spellings_of_a_word_are_listened_for() -> None:
    assert SHIPPED.variants(SHIPPED.by_text["go forward two meters"]) == ["go forward two meters", "go forward two metres"]


@given(st.text(max_size=60))
def test_any_text_is_read(text) -> None:
    found = SHIPPED.find(text)
    assert found is None or SHIPPED.find(found.text) is found


@given(
    st.lists(
        st.sampled_from(sorted({w for p in SHIPPED.phrases for w in p.text.split()} | {"to", "for", "please"})), max_size=7
    )
)
def test_a_text_of_known_words_keeps_its_slots(words) -> None:
    found = SHIPPED.find(" ".join(words))
    if found is not None:
        assert all(w in words for w in found.slots.values() if w in SHIPPED.slot_words - SHIPPED.counting)


GOOD = """
slots:
  number: {one: 1, two: 2}
  side: [left, right]
commands:
  move: ["go {number}"]
meaning:
  "go {number}": {values: {distance_m: "0.5 * {number} * step_m"}}
"""


def _load(tmp_path: Path, text: str) -> Grammar:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return load_grammar(path, {"step_m": 3.0})


def test_a_site_s_own_file(tmp_path) -> None:
    grammar = _load(tmp_path, GOOD)
    found = grammar.find("Go 2!")
    assert found is not None
    assert (found.intent, found.values) == ("move", {"distance_m": 3.0})


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("go {number}", "go {numbr}", 6, "no slot {numbr}"),
        ("commands:", "comands:", 5, "comands: no such section"),
        ("side: [left, right]", "side: left", 4, "write a list"),
        ("side: [left, right]", "side: [left, 3]", 4, "3 is not text"),
        ("side: [left, right]", "side: []", 4, "a value without letters"),
        ("two: 2", "two: many", 3, "'many' is no number"),
        ("step_m", "stride", 8, "no number: 'stride'"),
        ("values: {", "value: {", 8, "write 'slots:' and 'values:'"),
        ('"go {number}": {val', '"go": {val', 8, "'go' is not under 'commands'"),
        ('["go {number}"]', '["go {number}"]\n  other: ["go one"]', 7, "another meaning under 'move'"),
        ('["go {number}"]', '["go {number}"]\nurgent: [stop]', 7, "no intent 'stop'"),
        ('["go {number}"]', '["go {number}"]\nhear_out: ["go one"]', 7, "hear_out: 'go one' is not under 'commands'"),
        ('["go {number}"]', '["go {number}", "..."]', 6, "a phrase without words"),
        ('["go {number}"]', "go {number}", 6, "write a list"),
        ("meaning:", "commands:", 7, "duplicate key"),
        ("slots:", "slots: [", 4, "not YAML"),
    ],
)
def test_a_bad_file_is_named_by_line(tmp_path, old, new, line, says) -> None:
    assert old in GOOD
    with pytest.raises(GraphError) as caught:
        _load(tmp_path, GOOD.replace(old, new, 1))
    assert f"my.yaml:{line}: " in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "slots: {}\n", "commands: {}\n", "\xff: ["])
def test_what_is_no_commands_file(tmp_path, text) -> None:
    with pytest.raises(GraphError, match=r"my\.yaml:1: "):
        _load(tmp_path, text)


def test_a_slot_of_slots_is_refused_before_it_fills_the_memory(tmp_path) -> None:
    many = "commands: {a: ['{x} {x} {x} {x} {x} {x}']}\nslots: {x: [" + ", ".join(f"w{chr(97 + i)}" for i in range(20)) + "]}\n"
    with pytest.raises(GraphError, match="more than 20000 phrases"):
        _load(tmp_path, many)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(GraphError, match=r"nowhere\.yaml: there is no such commands file"):
        find_grammar("nowhere.yaml")
