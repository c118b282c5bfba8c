"""When the recognizer is asked, and when both are believed: figures in, phrases out."""

from __future__ import annotations

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


def test_the_recognizer_is_asked_from_the_limit_on_likeliest_first() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.5))
    rows = heard(turn_left=0.3, turn_right=0.1), heard(turn_left=0.3, turn_right=0.4)
    assert asked(decider, *rows) == [[], ["turn right", "turn left"]]


def test_urgent_phrases_have_a_limit_of_their_own_together() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.9, ask_urgent=0.35))
    assert asked(decider, heard(turn_left=0.8), heard(stop=0.2, stop_now=0.2)) == [[], ["stop", "stop now"]]


def test_a_phrase_that_the_grammar_lacks_is_never_proposed() -> None:
    assert asked(
        Decider(GRAMMAR, TEXTS, Limits(ask=0.5, ask_urgent=0.35)), heard(go_away=0.99), heard(go_away=0.9, stop=0.05)
    ) == [[], []]


def test_it_is_asked_again_after_a_rest_and_not_for_ever() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.5, again=3, most=2))
    row = heard(turn_left=0.9)
    assert [bool(a) for a in asked(decider, *[row] * 9)] == [True, False, False, True, False, False, False, False, False]
    decider.reset()
    assert asked(decider, row) == [["turn left"]]


def test_steps_in_a_row_are_waited_for() -> None:
    decider = Decider(GRAMMAR, TEXTS, Limits(ask=0.5, steps=2))
    row, none = heard(turn_left=0.9), heard()
    assert [bool(a) for a in asked(decider, row, none, row, row)] == [False, False, False, True]


def test_both_have_a_word() -> None:
    limits = Limits(margin=8, margin_least=8, weight=1.0)
    pair = [Candidate(LEFT, 0.6), Candidate(RIGHT, 0.3)]
    assert judge(pair, [0.0, 0.0], limits) == Verdict(pair[0], 1.0)
    assert judge(pair, [4.0, 0.5], limits) == Verdict(pair[1], pytest.approx(0.969, abs=1e-3))
    assert judge(pair, [20.0, 30.0], limits) is None


def test_the_less_sure_the_ears_the_less_doubt_is_allowed() -> None:
    limits = Limits(margin_least=2, margin=12, doubtful=0.5, sure=0.9)
    assert [limits.margin_at(p) for p in (0.1, 0.5, 0.7, 0.9, 1.0)] == pytest.approx([2, 2, 7, 12, 12])
    assert judge([Candidate(LEFT, 0.95)], [10.0], limits) is not None
    assert judge([Candidate(LEFT, 0.5)], [10.0], limits) is None
    assert judge([Candidate(LEFT, 0.5)], [1.0], limits) is not None
    assert judge([Candidate(STOP, 0.5), Candidate(NOW, 0.4)], [10.0, 20.0], limits) is not None  # something has ended
