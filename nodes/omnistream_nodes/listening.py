"""From samples to transcripts: when to look at what was heard, and when to say that it was all.

Waiting for silence is most of what a spoken command costs in time. So the words are looked at as soon as the voice
pauses, and the length of silence that must follow depends on them: little after a whole command, more where the command
could go on ("go forward ... ten meters") or is not sure, most where they are no command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from omnistream_nodes.endpointing import HOP, Endpointer, Hop
from omnistream_nodes.grammar import Phrase
from omnistream_nodes.phrase_choice import Choice, PhraseChooser
from omnistream_nodes.voice_model import RATE_HZ

__all__ = ["Heard", "Listener", "Silences"]

#: Hops before the onset and after the voice that are recognized with it: more, or fewer, makes the recognizer worse.
_LEAD_HOPS, _TAIL_HOPS = 6, 7
#: The recognizer is sensitive to where its input begins: what was no phrase is looked at again, cut closer, after so long.
_CLOSE_LEAD_HOPS = 2
_SECOND_LOOK = RATE_HZ * 200 // 1000
#: The endpointer finds an onset up to 40 hops after the fact.
_LOOK_BACK_HOPS = 64
#: A voice as short as this is a click.
_LEAST_VOICED = RATE_HZ * 64 // 1000
#: An utterance that begins so soon after lost sound may lack its beginning ("[don't] stop").
_TORN_SAMPLES = RATE_HZ * 150 // 1000


@dataclass(frozen=True, slots=True)
class Silences:
    """How much silence, in samples, follows words of each kind, and `doubt` more a phrase that somebody doubts; `partial` is
    the time between partial results, 0 for none."""

    probe: int
    urgent: int
    commit: int
    unsure: int
    end: int
    partial: int
    utterance: int
    doubt: int = 0

    @classmethod
    def of_ms(
        cls, *, probe: int, urgent: int, commit: int, unsure: int, end: int, partial: int, utterance: float, doubt: int = 0
    ) -> Silences:  # fmt: skip
        """The same of milliseconds."""
        times = (probe, urgent, commit, unsure, end, partial, utterance, doubt)
        return cls(*(round(ms * RATE_HZ / 1000) for ms in times))


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript in sample numbers: the first and the one after the last voiced sample."""

    text: str
    final: bool
    utterance: int
    rev: int
    start: int
    end: int
    confidence: float


class Listener:
    """One stream of hops -> what was said. A function of the samples alone: when they come does not matter."""

    def __init__(
        self, chooser: PhraseChooser, endpointer: Endpointer, silences: Silences,
        doubted: Callable[[Phrase], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        """`doubted`: what somebody else says, when all is silent, of the phrase that was chosen."""
        self._chooser = chooser
        self._doubted = doubted
        self._endpointer = endpointer
        self._silences = silences
        self._sound: deque[np.ndarray] = deque(maxlen=silences.utterance // HOP + _LOOK_BACK_HOPS)
        self._utterance = -1
        self._rev = 0
        self._text = ""
        self._choice: Choice | None = None
        self._choice_end = 0  # where the voice had ended that `_choice` is about
        self._looks = 0  # at the utterance as it ends there
        self._next_probe = 0
        self._next_partial = 0
        self._lost_at = -_TORN_SAMPLES
        self._torn = False

    def hear(self, hop: np.ndarray, *, partials: bool = True, told: bool = False) -> Iterator[Heard]:
        """One more hop of (128,) int16. Without `partials` nothing is said, or looked at, before an utterance seems to end.

        While the utterance is about to be `told` by somebody else it is not looked at, which takes time; but not for ever.
        """
        partials = partials and self._silences.partial > 0
        self._sound.append(hop)
        now = self._endpointer.step(hop)
        if not now.speaking:
            return
        if now.began:
            self._begin(now)
        age = now.end - now.onset
        known = self._choice is not None and self._choice_end == now.voiced_end
        if self._chooser.hopeful(age):
            probe = self._silences.commit + self._silences.doubt if told else self._silences.probe
            if not known and now.silence >= probe and now.end >= self._next_probe:
                self._look(now, _LEAD_HOPS)
                known = True
                if partials and self._choice is not None:
                    yield from self._partial(now, self._choice.heard)
            elif known and self._looks == 1 and now.silence >= _SECOND_LOOK and self._choice and not self._choice.phrase:
                self._look(now, _CLOSE_LEAD_HOPS)
        if now.silence >= self._enough(now, known) or age >= self._silences.utterance:
            yield from self._end(now, known)
        elif partials and now.end >= self._next_partial and now.silence < self._silences.probe:
            # Every look costs the whole utterance again: the longer it is, the rarer.
            self._next_partial = now.end + max(self._silences.partial, age // 4)
            yield from self._partial(now, self._chooser.free(self._audio(now, _LEAD_HOPS)).text)

    def lost(self, sample: int) -> Iterator[Heard]:
        """Sound was lost; the next hop begins at `sample`. An utterance that it tore is closed, without its words."""
        now = self._endpointer.hop
        if now.speaking:
            yield self._heard(now, "", 0.0, final=True)
        self._sound.clear()
        self._endpointer.reset(sample)
        self._lost_at = sample

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way whose beginning is not in doubt."""
        return self._endpointer.hop.speaking and not self._torn

    @property
    def now(self) -> Hop:
        """Where the voice is."""
        return self._endpointer.hop

    def sound(self) -> np.ndarray:
        """The utterance so far, with what is just before it and all that came since, as float32 in -1..1."""
        return self._audio(self._endpointer.hop, _LEAD_HOPS, whole=True)

    def close(self, text: str, confidence: float) -> Heard:
        """End the utterance here: these were its words, by somebody who knew before the silence."""
        heard = self._heard(self._endpointer.hop, text, confidence, final=True)
        self._choice = None
        self._endpointer.finish()
        return heard

    def _begin(self, now: Hop) -> None:
        self._utterance += 1
        self._rev = 0
        self._text = ""
        self._choice = None
        self._next_probe = 0
        self._next_partial = now.onset + self._silences.partial
        self._torn = now.onset - self._lost_at < _TORN_SAMPLES

    def _enough(self, now: Hop, known: bool) -> int:
        """The silence after which the utterance is over. Whether there is doubt is asked only when it would be over without."""
        choice, silences = self._choice if known else None, self._silences
        if choice is None or choice.phrase is None:
            return silences.end
        enough = silences.urgent if choice.urgent else silences.unsure if choice.unsure else silences.commit
        if now.silence < enough or not self._doubted(choice.phrase):
            return enough
        return min(silences.end, enough + silences.doubt)

    def _end(self, now: Hop, known: bool) -> Iterator[Heard]:
        if now.voiced_end - now.onset >= _LEAST_VOICED or self._rev:
            if not known:
                self._look(now, _LEAD_HOPS)
            if self._torn or self._choice is None:
                yield self._heard(now, "", 0.0, final=True)
            else:
                yield self._heard(now, self._choice.text, self._choice.confidence, final=True)
        self._choice = None
        self._endpointer.finish()

    def _partial(self, now: Hop, text: str) -> Iterator[Heard]:
        if text and text != self._text and not self._torn:
            self._text = text
            yield self._heard(now, text, 0.5, final=False)

    def _heard(self, now: Hop, text: str, confidence: float, *, final: bool) -> Heard:
        heard = Heard(text, final, self._utterance, self._rev, now.onset, now.voiced_end, confidence)
        self._rev += 1
        return heard

    def _look(self, now: Hop, lead: int) -> None:
        """Recognize the utterance as it is now, from so many hops before its onset."""
        first = self._choice is None or self._choice_end != now.voiced_end
        choice = self._chooser.choose(self._audio(now, lead), now.voiced_end - now.onset)
        self._looks = 1 if first else self._looks + 1
        if first or choice.phrase:
            self._choice = choice
        self._choice_end = now.voiced_end
        self._next_probe = now.end + (now.end - now.onset) // 10

    def _audio(self, now: Hop, lead: int, *, whole: bool = False) -> np.ndarray:
        """The utterance so far, as float32 in -1..1; `whole` leaves none of the silence behind it out."""
        last = len(self._sound) - (0 if whole else max(0, (now.end - now.voiced_end) // HOP - _TAIL_HOPS))
        first = max(0, len(self._sound) - (now.end - now.onset) // HOP - lead)
        return np.concatenate([self._sound[i] for i in range(first, last)]).astype(np.float32) / 32768
