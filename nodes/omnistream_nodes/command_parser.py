"""What was said or typed -> a command of the grammar, or a rejection; never a guess."""

from __future__ import annotations

from dataclasses import dataclass

from omnistream.errors import GraphError
from omnistream.message import MS, Command, Text, Transcript
from omnistream.node import Context, Node
from omnistream_nodes.grammar_file import find_grammar, load_grammar
from omnistream_nodes.understanding import Interpreter

__all__ = ["CommandParser"]


@dataclass(kw_only=True)
class CommandParser(Node):
    """Final transcripts and typed text -> a command of `grammar`: its intent, slots, and values in SI units.

    A text is a command if it is a phrase of the grammar (case, punctuation, fillers, digits and known spellings aside), or
    one but for a slip of the ear or of the fingers, or has the sense of one (`embedding`: similarity of at least `threshold`,
    by `margin` more than any other meaning and any sentence of the file's ``confusable``). None of these changes a number or a
    slot's word. All else is ``Command(intent="none", rejected=reason)``.

    `distance_m` is negative backward, `angle_rad` positive to the left; without a distance it is `default_distance_m`.
    A command's span is its transcript's; of typed text both ends are the time of the message. `text` is the phrase that was
    understood, or the text itself where none was.

    Partial transcripts are ignored, but for a whole phrase of an urgent intent ("stop") that is followed by `urgent_pause_ms`
    of silence: it is sent at once, and nothing more is sent for that utterance.

    Model: all-MiniLM-L6-v2 (Reimers & Gurevych 2019), only where `embedding` is true.

    ```yaml
    graph: typed_commands
    nodes:
      typed: {use: console_commands}
      parse: {use: command_parser, inputs: {text: typed}, with: {embedding: false}}
      show: {use: console, inputs: {message: parse}}
    ```
    """

    inexact = {"confidence": 2e-3}

    grammar: str = "commands.yaml"
    embedding: bool = True
    threshold: float = 0.8
    margin: float = 0.08
    default_distance_m: float = 1.0
    urgent_pause_ms: int = 150

    def __post_init__(self) -> None:
        if not 0 < self.default_distance_m <= 100:
            raise GraphError(f"command_parser: default_distance_m is {self.default_distance_m}; write metres, above 0 to 100")
        if not 0 <= self.threshold <= 1 or not 0 <= self.margin <= 1:
            raise GraphError(f"command_parser: threshold {self.threshold} and margin {self.margin} must be 0 to 1")
        if self.urgent_pause_ms < 0:
            raise GraphError(f"command_parser: urgent_pause_ms is {self.urgent_pause_ms}; write 0 or more")

    async def open(self, ctx: Context) -> None:
        from omnistream_nodes.sentence import SentenceModel

        self._ctx = ctx
        self._grammar = load_grammar(find_grammar(self.grammar), {"default_distance_m": self.default_distance_m})
        self._interpreter = Interpreter(self._grammar, SentenceModel() if self.embedding else None, self.threshold, self.margin)
        self._interpreter.warm_up()
        #: The utterance that a partial transcript has already made a command of.
        self._done: tuple[int, int] | None = None

    async def step(self, text: Transcript | Text) -> Command | None:
        if isinstance(text, Text):
            return self._command(text.text, text.lang, 1.0, self._ctx.now, self._ctx.now)
        utterance = (text.utterance, text.start_ns)
        if not text.final and not self._is_urgent(text):
            return None
        if utterance == self._done:
            return None
        if not text.final:
            self._done = utterance
        return self._command(text.text, text.lang, text.confidence, text.start_ns, text.end_ns)

    def _is_urgent(self, partial: Transcript) -> bool:
        """Whether a partial transcript may act: "stop" and then silence, not the beginning of "stop by the store"."""
        paused = self._ctx.now - partial.end_ns >= self.urgent_pause_ms * MS
        return paused and self._grammar.is_urgent(self._grammar.find(partial.text))

    def _command(self, text: str, lang: str, confidence: float, start_ns: int, end_ns: int) -> Command:
        reading = self._interpreter.read(text)
        phrase = reading.phrase
        if phrase is None:
            return Command("none", text, rejected=reading.rejected, confidence=0.0, start_ns=start_ns, end_ns=end_ns, lang=lang)
        return Command(
            phrase.intent,
            phrase.text,
            slots=dict(phrase.slots),
            values=dict(phrase.values),
            confidence=round(confidence * reading.confidence, 3),
            start_ns=start_ns,
            end_ns=end_ns,
            lang=lang,
        )
