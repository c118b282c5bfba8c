"""Moonshine tiny (Useful Sensors, 2024): an utterance -> its text, freely or out of a given set of phrases.

The encoder makes one (288,) row of every 384 samples at 16 kHz. The decoder (6 layers, 8 heads of 36) is one graph for the
first token and for the rest: `use_cache_branch` chooses. Its cache is (batch, 8, time, 36) for each layer, of keys and
values, of the decoder's own past and of the encoder's rows; the latter come out of the first call only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from omnistream_models import model_path
from omnistream_models.onnx_session import open_session
from omnistream_nodes.tokens import BEGIN, END, Tokenizer

__all__ = ["Free", "Match", "Moonshine", "Trie", "Utterance"]

RATE_HZ = 16000
#: Tokens of English speech per second that the authors give as the most there is; above it the decoder is looping.
_TOKENS_PER_SECOND = 6.5
_SPARE_TOKENS = 4
#: The shortest input that the encoder's strides leave a row of.
_MIN_SAMPLES = 2560

_Cache = dict[str, np.ndarray]
#: Log-probabilities of the next token, (batch, 32768), and the cache that goes with them.
_Pass = tuple[np.ndarray, _Cache]


@dataclass(slots=True)
class Trie:
    """Phrases as token sequences with common beginnings shared. `phrase` is the one that ends here, or -1."""

    next: dict[int, Trie] = field(default_factory=dict[int, "Trie"])
    phrase: int = -1

    def add(self, tokens: Iterable[int], phrase: int) -> None:
        node = self
        for token in tokens:
            node = node.next.setdefault(token, Trie())
        node.phrase = phrase


@dataclass(frozen=True, slots=True)
class Free:
    """The decoder's own choice, token by token: text, ids, and the natural logarithm of its probability, end included."""

    text: str
    tokens: tuple[int, ...]
    log_p: float


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase of a trie, with the logarithm of its probability as the whole of what was said."""

    phrase: int
    tokens: int
    log_p: float


class Moonshine:
    """The loaded model. Not for use from two threads at once."""

    def __init__(self, threads: int = 1) -> None:
        self.tokenizer = Tokenizer(model_path("moonshine_tiny_tokenizer"))
        self._encoder: Any = open_session("moonshine_tiny_encoder", threads)
        self._decoder: Any = open_session("moonshine_tiny_decoder", threads)
        self._past = [i.name for i in self._decoder.get_inputs() if i.name.startswith("past_key_values")]
        (self._stop,) = self.tokenizer.encode("a.")[1:]
        self._own = [name for name in self._past if ".decoder." in name]

    def trie(self, variants: Iterable[Iterable[str]]) -> Trie:
        """The phrases, each in all its spellings, with a capital as the recognizer writes them."""
        root = Trie()
        for n, spellings in enumerate(variants):
            for text in spellings:
                root.add(self.tokenizer.encode(text[:1].upper() + text[1:]), n)
        return root

    def recognize(self, audio: np.ndarray) -> Utterance:
        """Begin with `audio`, (N,) float32 in -1..1 at 16 kHz: one pass of the encoder and the first of the decoder."""
        padded = np.zeros(max(len(audio), _MIN_SAMPLES), np.float32)
        padded[: len(audio)] = audio
        mask = np.ones((1, len(padded)), np.int64)
        rows = self._encoder.run(None, {"input_values": padded[None], "attention_mask": mask})[0]
        empty = np.zeros((1, 8, 0, 36), np.float32)
        start = self._run(rows, [BEGIN], dict.fromkeys(self._past, empty), first=True)
        most = int(len(audio) / RATE_HZ * _TOKENS_PER_SECOND) + _SPARE_TOKENS
        return Utterance(self.tokenizer, partial(self._run, rows), start, most)

    def weigh(self, audio: np.ndarray, texts: Sequence[str]) -> list[float]:
        """The margin of each text in `audio`, as `recognize` takes it: by how much (a logarithm, never negative) it is less
        likely than what the decoder would write in its place, token by token after the same beginning. One pass of the encoder
        and one of the decoder for all.

        A full stop is as good an end as none: the sound has only just ended, and the decoder likes to write one.
        """
        padded = np.zeros(max(len(audio), _MIN_SAMPLES), np.float32)
        padded[: len(audio)] = audio
        mask = np.ones((1, len(padded)), np.int64)
        rows = self._encoder.run(None, {"input_values": padded[None], "attention_mask": mask})[0]
        spelled = [self.tokenizer.encode(t[:1].upper() + t[1:]) for t in texts]
        given = np.full((len(texts), max(map(len, spelled)) + 1), END, np.int64)
        given[:, 0] = BEGIN
        for row, tokens in zip(given, spelled, strict=True):
            row[1 : 1 + len(tokens)] = tokens
        (logits,) = self._decoder.run(
            ["logits"],
            {
                "input_ids": given,
                "encoder_hidden_states": np.broadcast_to(rows, (len(texts), *rows.shape[1:])),
                "encoder_attention_mask": np.ones((len(texts), 1), np.int64),
                "use_cache_branch": np.array([False]),
                **dict.fromkeys(self._past, np.zeros((len(texts), 8, 0, 36), np.float32)),
            },
        )
        margins: list[float] = []
        for row, tokens in zip(logits, spelled, strict=True):
            best = row[: len(tokens) + 1].max(axis=-1)  # the softmax' denominators cancel out
            own = row[np.arange(len(tokens)), tokens]
            end = best[-1] - max(row[len(tokens), END], row[len(tokens), self._stop])
            margins.append(float((best[:-1] - own).sum() + end))
        return margins

    def _run(self, rows: np.ndarray, tokens: list[int], cache: _Cache, *, first: bool = False) -> _Pass:
        """One more token for each hypothesis of a batch: log-probabilities (batch, 32768), and the cache to go on with."""
        fresh = self._past if first else self._own
        logits, *present = self._decoder.run(
            ["logits", *(name.replace("past_key_values", "present") for name in fresh)],
            {
                "input_ids": np.array(tokens, np.int64)[:, None],
                "encoder_hidden_states": np.broadcast_to(rows, (len(tokens), *rows.shape[1:])),
                # A mask over samples, every 384th of which is read. Nothing is masked; one as long as `rows` fails at 10 s.
                "encoder_attention_mask": np.ones((len(tokens), 1), np.int64),
                "use_cache_branch": np.array([not first]),
                **cache,
            },
        )
        return _log_softmax(logits[:, -1]), {**cache, **dict(zip(fresh, present, strict=True))}


class Utterance:
    """One stretch of audio under recognition; `free` and `match` share its first passes."""

    def __init__(self, tokenizer: Tokenizer, step: Callable[[list[int], _Cache], _Pass], start: _Pass, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._step = step
        self._start = start
        self._max_tokens = max_tokens

    def free(self) -> Free:
        """The likeliest token each time, until the end."""
        log_p, cache = self._start
        tokens: list[int] = []
        total = 0.0
        while True:
            token = int(log_p[0].argmax())
            total += float(log_p[0, token])
            if token == END or len(tokens) == self._max_tokens:
                return Free(self._tokenizer.decode(tokens), tuple(tokens), total)
            tokens.append(token)
            log_p, cache = self._step([token], cache)

    def match(self, trie: Trie, least: float, beam: int = 12) -> list[Match]:
        """The phrases of `trie` by their probability, likeliest first; those below `least` (a logarithm) are not looked for.

        The end counts without a mark before it: "Stop." may go on, and counting the mark as an end let three times as many
        sentences pass that only begin like a phrase. A beginning is at least as likely as what it goes on to, so that cutting
        at `least` loses nothing above it; only `beam` may: so many beginnings are followed at a time.
        """
        found: dict[int, Match] = {}
        nodes, totals, (log_p, cache) = [trie], [0.0], self._start
        depth = 0
        while nodes:
            steps: list[tuple[float, int, int, Trie]] = []
            for row, (node, total) in enumerate(zip(nodes, totals, strict=True)):
                whole = total + float(log_p[row, END])
                if node.phrase >= 0 and whole >= least and (node.phrase not in found or found[node.phrase].log_p < whole):
                    found[node.phrase] = Match(node.phrase, depth, whole)
                steps += [(total + float(log_p[row, token]), row, token, child) for token, child in node.next.items()]
            steps = sorted((s for s in steps if s[0] >= least), key=lambda s: (-s[0], s[1], s[2]))[:beam]
            if not steps:
                break
            rows = [row for _, row, _, _ in steps]
            nodes, totals = [child for *_, child in steps], [total for total, *_ in steps]
            log_p, cache = self._step([token for _, _, token, _ in steps], {n: a[rows] for n, a in cache.items()})
            depth += 1
        return sorted(found.values(), key=lambda m: (-m.log_p, m.phrase))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
