# ruff: noqa: E501  a sentence that is compared stands in one line
from __future__ import annotations

from pathlib import Path

import graph_parts
import pytest
from helpers_graph import fault, load, nodes

from omnistream.graph.options import REQUIRED, options_of, spell


def options(text: str, **env: str) -> object:
    return (
        load(nodes(f"mic: {{use: Mic}}\nx: {{use: Speech, inputs: {{audio: mic}}, with: {text}}}"), env=env).nodes["x"].options
    )


def refused(text: str, **env: str) -> str:
    found = fault(nodes(f"mic: {{use: Mic}}\nx: {{use: Speech, inputs: {{audio: mic}}, with: {text}}}"), env=env)
    assert found.startswith("g.yaml:4: nodes.x.with.")
    return found.removeprefix("g.yaml:4: nodes.x.with.")


def test_options_take_the_types_of_their_fields() -> None:
    found = options(
        "{checkpoint: base, beams: 3, temperature: 1, mode: good, words: [a, b], weights: {a: 1}, cache: /tmp/x, size: [3, 4], debug: true}"
    )
    assert found == {
        "checkpoint": "base", "beams": 3, "temperature": 1.0, "mode": "good", "words": ["a", "b"], "weights": {"a": 1.0},
        "cache": Path("/tmp/x"), "size": (3, 4), "debug": True,
    }  # fmt: skip
    assert options("{temperature: null}") == {"temperature": None}
    assert options("{temperature: .inf}") == {"temperature": float("inf")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{chekpoint: x}", "chekpoint: Speech has no such option; did you mean 'checkpoint'?"),
        (
            "{zzz: x}",
            "zzz: Speech has no such option; it has checkpoint, beams, temperature, mode, words, weights, cache, size, debug",
        ),
        ("{beams: three}", 'beams: this must be int; found "three"'),
        ("{beams: 1.5}", "beams: this must be int; found 1.5"),
        ("{beams: '3'}", 'beams: this must be int; found "3"'),
        ("{beams: true}", "beams: this must be int; found true"),
        ("{beams: null}", "beams: this must be int; found null"),
        ("{checkpoint: 3}", "checkpoint: this must be str; found 3; put it in quotes"),
        ("{temperature: hot}", 'temperature: this must be float | null; found "hot"'),
        ("{mode: slow}", "mode: this should be 'fast' or 'good'; found \"slow\""),
        ("{words: a}", 'words: this must be list[str]; found "a"'),
        ("{words: [a, 3]}", 'words: this must be list[str]; found ["a", 3] (item [1])'),
        ("{size: [1]}", "size: this must be tuple[int, int]; found [1] (item [1])"),
        ("{weights: {a: b}}", 'weights: this must be Mapping[str, float]; found {"a": "b"}'),
        ("{debug: yes}", 'debug: this must be bool; found "yes"'),
    ],
)
def test_what_an_option_may_not_be(text: str, sentence: str) -> None:
    assert refused(text) == sentence


def test_text_from_the_environment_takes_the_type_of_the_option() -> None:
    assert options('{checkpoint: "${A:-7}", beams: "${B:-3}", debug: "${C}", words: ["${A:-1}"], temperature: "${D:-0.5}"}', C="true") == {
        "checkpoint": "7", "beams": 3, "debug": True, "words": ["1"], "temperature": 0.5,
    }  # fmt: skip
    assert type(options('{checkpoint: "${A:-7}"}')["checkpoint"]) is str  # type: ignore[index]
    assert refused('{beams: "${B}"}', B="many") == 'beams: this must be int; found "many"'


def test_a_class_may_refuse_the_values_of_its_options() -> None:
    found = fault(nodes("cam: {use: Cam, with: {fps: 0}}"))
    assert found == "g.yaml:3: nodes.cam.with: fps must be positive, not 0.0; write fps: 15"


def test_options_and_what_is_said_about_them() -> None:
    found = options_of(graph_parts.Mic, docs=True)
    assert {n: o.default for n, o in found.items()} == {"device": "default", "rate_hz": 16000}
    assert found["rate_hz"].doc == "Samples a second."
    assert options_of(graph_parts.Cam, docs=True)["fps"].doc == "frames a second"
    assert options_of(graph_parts.Encoder)["checkpoint"].default is REQUIRED
    assert options_of(graph_parts.Plain) == {}


def test_an_option_without_a_default_is_required() -> None:
    assert options_of(graph_parts.NeedsDevice)["device"].required
    assert "needs the option 'device'" in fault(nodes("x: {use: NeedsDevice}"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "float | null"),
        ("mode", '"fast" | "good"'),
        ("words", "list[str]"),
        ("cache", "Path"),
        ("size", "tuple[int, int]"),
    ],
)
def test_types_are_spelled_as_a_person_would(name: str, text: str) -> None:
    assert spell(options_of(graph_parts.Speech)[name].hint) == text
