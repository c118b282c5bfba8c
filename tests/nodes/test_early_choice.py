"""When the recognizer is asked, and when both are believed: figures in, phrases out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from omnistream_nodes.early_choice import Candidate, Decider, Limits, Verdict, judge
from omnistream_nodes.grammar import Grammar, Phrase

STOP, NOW = Phrase("stop", "stop"), Phrase("stop now", "stop")
LEFT, RIGHT = Phrase("turn left", "turn", {"side": "left"}), Phrase("turn right", "turn", {"side": "right"})
GRAMMAR = Grammar((STOP, NOW, LEFT, RIGHT), urgent=frozenset({"stop"}))
TEXTS = ("stop", "stop now", "turn left", "turn right", "go away")


def heard(**shares: float) -> np.ndarray:
    """Probabilities of none and the five phrases that the ears know, one of which the grammar lacks."""
    row = np.zeros(6)
    for name, share in shares.items():
        row[1 + TEXTS.index(name.replace("_", " "))] = share
    row[0] = 1 - row.sum()
    return row


def asked(decider: Decider, *rows: np.ndarray) -> list[list[str]]:
    return [[c.phrase.text for c in decider.step(row)] for row in rows]


AT_ONCE = {"smooth": 0.0, "ahead": 1.0}


def test_the_recognizer_is_asked_from_the_limit_on_likeliest_first() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.5, **AT_ONCE))
    rows = heard(turn_left=0.3, turn_right=0.1), heard(turn_left=0.3, turn_right=0.4)
    assert asked(decider, *rows) == [[], ["turn right", "turn left"]]


def test_urgent_phrases_have_a_limit_of_their_own_together() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.9, ask_urgent=0.35, **AT_ONCE))
    assert asked(decider, heard(turn_left=0.8), heard(stop=0.2, stop_now=0.2)) == [[], ["stop", "stop now"]]


def test_a_phrase_that_the_grammar_lacks_is_never_proposed() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.5, ask_urgent=0.35, **AT_ONCE))
    assert asked(decider, heard(go_away=0.99), heard(go_away=0.9, stop=0.05)) == [[], []]


def test_it_is_asked_again_after_a_rest_and_not_for_ever() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.5, again=3, most=2, **AT_ONCE))
    row = heard(turn_left=0.9)
    assert [bool(decider.step(row)) and decider.may_ask() for _ in range(9)] == [i in (0, 3) for i in range(9)]
    decider.reset()
    assert decider.may_ask()


def test_a_phrase_is_asked_about_ahead_and_believed_when_it_has_been_ending_for_a_while() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.5, ask_urgent=0.3, smooth=0.5, ahead=0.6))
    left, stop, none = heard(turn_left=0.8), heard(stop=0.8), heard()

    def seen(*rows: np.ndarray) -> list[tuple[bool, bool]]:
        decider.reset()
        return [(bool(found := decider.step(row)), decider.ripe(found[0].phrase if found else LEFT)) for row in rows]

    assert seen(left, left, left) == [(True, False), (True, True), (True, True)]
    assert seen(left, none, left) == [(True, False), (False, False), (True, True)]
    assert seen(stop, none) == [(True, True), (True, False)]


def test_what_other_sentences_begin_with_is_heard_out() -> None:
    grammar = replace(GRAMMAR, heard_out=frozenset({"turn left"}))
    decider = Decider(grammar, TEXTS, Limits(ask=0.5, hear_out=2, **AT_ONCE))
    rows = [heard(turn_left=0.9), heard(turn_left=0.9), heard(), *[heard(turn_left=0.6, turn_right=0.3)] * 4]
    seen = [(decider.step(row), decider.ripe(LEFT), decider.ripe(RIGHT))[1:] for row in rows]
    assert seen == [(False, True)] * 2 + [(False, False)] + [(False, True)] * 2 + [(True, True)] * 2


def test_what_could_become_another_phrase_is_waited_for() -> None:
    ten = Phrase("turn left ten times", "turn", {"side": "left", "times": "ten"})
    decider = Decider(Grammar((*GRAMMAR.phrases, ten)), TEXTS, Limits(ask=0.5, goes_on=1, **AT_ONCE))
    seen = [(decider.step(heard(turn_left=0.9)), decider.ripe(LEFT), decider.ripe(RIGHT))[1:] for _ in range(3)]
    assert seen == [(False, True), (True, True), (True, True)]


def test_both_have_a_word() -> None:
    limits = Limits(margin=8, weight=1.0)
    pair = [Candidate(LEFT, 0.6), Candidate(RIGHT, 0.3)]
    assert judge(pair, [0.0, 0.0], limits) == Verdict(pair[0], 1.0)
    assert judge(pair, [4.0, 0.5], limits) == Verdict(pair[1], pytest.approx(0.969, abs=1e-3))
    assert judge(pair, [20.0, 30.0], limits) is None


def test_what_only_the_recognizer_tells_is_doubted_where_others_begin_so_or_no_ears_suspect_it() -> None:
    decider = Decider(replace(GRAMMAR, heard_out=frozenset({"turn left"})), TEXTS, Limits(suspect=0.1))
    assert decider.doubts(STOP)
    decider.step(heard(stop=0.2, turn_left=0.2))
    assert not decider.doubts(STOP)
    assert decider.doubts(LEFT)


def test_a_phrase_is_suspected_for_a_while_in_whichever_words_and_what_the_ears_do_not_know_always() -> None:
    decider, none = Decider(GRAMMAR, TEXTS, Limits(suspect=0.1)), heard()
    assert not decider.suspects(STOP)
    decider.step(heard(stop_now=0.12, turn_left=0.05))
    assert decider.suspects(STOP)
    assert decider.suspects(NOW)
    assert not decider.suspects(LEFT)
    assert decider.suspects(Phrase("dance with me", "dance"))
    steps = 0
    while decider.suspects(STOP):
        decider.step(none)
        steps += 1
    assert 10 <= steps <= 25  # 0.2 to 0.5 s
    decider.step(heard(stop=0.9))
    decider.reset()
    assert not decider.suspects(STOP)
