"""What was said or typed -> commands: what is one, what is none, and what acts at once."""

from __future__ import annotations

import asyncio

import pytest

from omnistream.errors import GraphError
from omnistream.message import MS, SECOND, Command, Text, Transcript
from omnistream.testing import context
from omnistream_nodes.command_parser import CommandParser
from omnistream_nodes.grammar_file import find_grammar, load_grammar
from omnistream_nodes.sentence import SentenceModel

GRAMMAR = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": 1.0})


class Asked:
    """An opened parser and its context."""

    def __init__(self, node: CommandParser) -> None:
        self.node, self.ctx = node, context("parse")

    async def __call__(self, text: str | Transcript, now: int = 50 * SECOND) -> Command | None:
        self.ctx.now = now
        return await self.node.step(Text(text) if isinstance(text, str) else text)


async def _open(**options) -> Asked:
    asked = Asked(CommandParser(**options))
    await asked.node.open(asked.ctx)
    return asked


@pytest.fixture(scope="module", params=[True, False], ids=["embedding", "plain"])
def ask(request) -> Asked:
    return asyncio.run(_open(embedding=request.param))


@pytest.fixture(scope="module")
def sense() -> Asked:
    return asyncio.run(_open())


def _said(text: str, final: bool = True, utterance: int = 0, rev: int = 0, end_ns: int = 10 * SECOND) -> Transcript:
    return Transcript(text, final, utterance, rev, 9 * SECOND, end_ns, 0.8)


@pytest.mark.parametrize("phrase", GRAMMAR.phrases, ids=lambda p: p.text)
async def test_every_phrase_is_its_command(ask, phrase) -> None:
    command = await ask(phrase.text)
    assert (command.intent, command.slots, command.values, command.rejected) == (phrase.intent, phrase.slots, phrase.values, "")
    assert command.confidence == 1.0
    assert command.start_ns == command.end_ns == 50 * SECOND


@pytest.mark.parametrize("text", GRAMMAR.confusable)
async def test_confusable_sentences_are_no_commands(ask, text) -> None:
    for written in (text, text.upper() + "!", f"well, {text}", f"{text} please", text.replace("'", "’")):
        command = await ask(written)
        assert command.intent == "none", written
        assert command.rejected
        assert command.confidence == 0.0


@pytest.mark.parametrize("word", ["don't", "never", "I said", "they"])
async def test_who_denies_or_tells_commands_nothing(ask, word) -> None:
    taken = [p.text for p in GRAMMAR.phrases[::2] if (await ask(f"{word} {p.text}")).intent != "none"]
    assert taken == []


@pytest.mark.parametrize(
    "text",
    [
        "the gripper is open",
        "the ball is on the left",
        "I am going home",
        "he turned around",
        "is the ball green",
        "turn the left one back",
    ],
)
async def test_what_only_tells_or_asks_commands_nothing(ask, text) -> None:
    assert (await ask(text)).intent == "none"


async def test_no_number_and_no_slot_word_is_ever_changed(ask) -> None:
    for text in (
        "go forward eleven meters", "go forward fifteen meters", "go forward 20 meters", "go forward sick meters",
        "go forward ten feet", "go forward ten centimeters", "go forward ten kilometers", "go backward ten meters",
        "go forward a thousand meters", "go forward tin meters", "turn left ten degrees", "pick up the purple cup",
        "pick up the red mug", "take the glass", "take the lamp on the left", "take the cup on the table", "turn lift",
        "turn to the left 45 degrees", "make a right turn, 20", "keep following me for 15 meters",
    ):  # fmt: skip
        command = await ask(text)
        assert command.intent == "none", f"{text} -> {command.text}"


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("trun left", "turn left"),
        ("go foward", "go forward"),
        ("stap", "stop"),
        ("take the cap", "take the cup"),
        ("turn a round", "turn around"),
    ],
)
async def test_slips_are_forgiven_and_cost_confidence(ask, text, phrase) -> None:
    command = await ask(text)
    assert command.text == phrase
    assert 0.4 < command.confidence < 1.0


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("grab the red cup", "pick up the red cup"),
        ("turn to the left", "turn left"),
        ("make a right turn", "turn right"),
        ("describe what you see", "what do you see"),
        ("open your gripper", "open the gripper"),
        ("grab the box on the left", "take the box on the left"),
        ("keep following me", "follow me"),
    ],
)
async def test_other_words_of_the_same_sense(sense, text, phrase) -> None:
    command = await sense(text)
    assert command.text == phrase
    assert command.confidence < 1.0
    assert (await (await _open(embedding=False))(text)).intent == "none"


@pytest.mark.parametrize("text", ["", "   ", "?!", "please", "1 2 3", "¡", "\x00", "a" * 5000, "go " * 3000, "停"])
async def test_nonsense_of_any_kind_is_rejected(ask, text) -> None:
    command = await ask(text)
    assert command.intent == "none"
    assert command.rejected


async def test_a_transcript_gives_its_span_and_confidence(ask) -> None:
    command = await ask(_said("Go forward, ten meters."))
    assert (command.start_ns, command.end_ns, command.confidence) == (9 * SECOND, 10 * SECOND, 0.8)


async def test_partial_transcripts_are_ignored_but_for_a_whole_stop(ask) -> None:
    later = 10 * SECOND + 200 * MS
    assert await ask(_said("Turn left.", final=False, utterance=1), later) is None
    assert await ask(_said("Stop by", final=False, utterance=1, rev=1), later) is None
    assert await ask(_said("Stop.", final=False, utterance=1, rev=2), 10 * SECOND + 20 * MS) is None  # still speaking, perhaps
    first = await ask(_said("Stop.", final=False, utterance=1, rev=3), later)
    assert first is not None
    assert first.intent == "stop"
    assert await ask(_said("Stop.", final=False, utterance=1, rev=4), later) is None
    assert await ask(_said("stop now", utterance=1, rev=5), later) is None
    again = await ask(_said("stop", utterance=2), later)
    assert again is not None
    assert again.intent == "stop"


async def test_a_recognizer_that_counts_anew_is_heard(ask) -> None:
    """After a restart its utterances have the old numbers, but not the old times."""
    assert await ask(_said("Stop.", final=False, utterance=7), 11 * SECOND) is not None
    restarted = Transcript("stop", True, 7, 0, 20 * SECOND, 21 * SECOND)
    assert await ask(restarted, 22 * SECOND) is not None


async def test_the_default_distance_is_an_option() -> None:
    ask = await _open(embedding=False, default_distance_m=2.5)
    assert (await ask("go forward")).values == {"distance_m": 2.5}
    assert (await ask("go backward")).values == {"distance_m": -2.5}
    assert (await ask("go forward three meters")).values == {"distance_m": 3.0}


async def test_a_missing_grammar_is_one_sentence() -> None:
    with pytest.raises(GraphError, match=r"my\.yaml: there is no such commands file"):
        await _open(grammar="my.yaml")


@pytest.mark.parametrize(
    "options", [{"default_distance_m": 0.0}, {"threshold": 2.0}, {"margin": -1.0}, {"urgent_pause_ms": -1}]
)
def test_options_that_cannot_be_are_refused(options) -> None:
    with pytest.raises(GraphError, match=next(iter(options))):
        CommandParser(**options)


def test_the_embedding_is_that_of_the_same_weights_in_torch() -> None:
    """The transformer by torch's own operators, on the weights as they are in the file."""
    torch = pytest.importorskip("torch")
    model = SentenceModel()
    weights = {k: torch.tensor(v.copy()) for k, v in model._weights.items()}
    functional = torch.nn.functional

    def linear(x, name):
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        return functional.layer_norm(x, (384,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)

    ids = model._pieces.encode("Could you fetch the yellow gripper's uncharacteristically naïve block?", 64)
    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(6):
        name = f"encoder.layer.{i}"
        heads = [linear(x, f"{name}.attention.self.{p}").view(-1, 12, 32).transpose(0, 1) for p in ("query", "key", "value")]
        mixed = functional.scaled_dot_product_attention(*heads).transpose(0, 1).reshape(-1, 384)
        x = norm(x + linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = functional.gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(x + linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    expected = functional.normalize(x.mean(0), dim=0).numpy()
    found = model.embed("Could you fetch the yellow gripper's uncharacteristically naïve block?")
    assert abs(found - expected).max() < 2e-6


def test_word_pieces_are_those_of_bert() -> None:
    """Ids as in the reference vocabulary: [CLS] un ##aff ##able [SEP] is the example of its authors."""
    pieces = SentenceModel()._pieces
    assert pieces.encode("unaffable", 64) == [101, 14477, 20961, 3468, 102]
    assert pieces.encode("Hello, World!", 64) == [101, 7592, 1010, 2088, 999, 102]
    assert len(pieces.encode("word " * 500, 64)) == 64
