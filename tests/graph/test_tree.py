# ruff: noqa: E501  a sentence that is compared stands in one line
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from omnistream.errors import GraphError
from omnistream.graph.problems import Problems
from omnistream.graph.tree import MAX_BYTES, MAX_DEPTH, Substituted, parse_tree, read_text


def parse(text: str, **env: str) -> tuple[Any, list[str], dict[Any, int]]:
    problems = Problems("g.yaml")
    tree = parse_tree(text, problems, env)
    return tree.value, [line for _, line in problems.found], tree.lines


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("2001-01-01", "2001-01-01"), ("12", 12), ("-3", -3), ("007", 7), ("1.5", 1.5), ("1e3", 1000.0),
        (".5", 0.5), ("true", True), ("False", False), ("null", None), ("~", None), ("''", ""), ("'12'", "12"), ('"true"', "true"),
        (".inf", math.inf), ("1_000", "1_000"), ("0x1f", "0x1f"), ("[1, a, [b]]", [1, "a", ["b"]]), ("{on: 1, 2: x}", {"on": 1, "2": "x"}),
        ("|\n  a\n  b\n", "a\nb\n"), ("99999999999999999999", 1e20), ("20ms", "20ms"), ("# nothing", None),
    ],
)  # fmt: skip
def test_values_follow_the_core_schema_and_keys_are_text(text: str, value: object) -> None:
    assert parse(text)[:2] == (value, [])


def test_every_key_and_item_has_its_line() -> None:
    value, found, lines = parse("a:\n  b: 1\n  c:\n    - x\n    - {d: 2,\n       e: 3}\nf: 4\n")
    assert found == []
    assert value == {"a": {"b": 1, "c": ["x", {"d": 2, "e": 3}]}, "f": 4}
    assert lines == {
        ("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5, ("a", "c", 1, "e"): 6, ("f",): 7,
    }  # fmt: skip


def test_a_key_written_twice_is_named_with_both_lines() -> None:
    value, found, _ = parse("a:\n  b: 1\n  b: {c: 2}\n  b: 3\nd: 4\n")
    assert found == [
        "g.yaml:3: a.b: the key 'b' is here a second time (first on line 2); keep one",
        "g.yaml:4: a.b: the key 'b' is here a second time (first on line 2); keep one",
    ]
    assert value == {"a": {"b": 1}, "d": 4}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: &x 1\nb: *x\n", 2, "'*x' is an alias"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "tag"),
        ("a: !x 1\n", 1, "tag"),
        ("{a: 1}: 2\n", 1, "a key must be a word"),
        ("a:\n\tb: 1\n", 2, "indent with spaces"),
        ("a: {b: ${C:-1}}\n", 1, 'write "${NAME:-default}" in quotes'),
        ("a: [1, 2\nb: 3\n", 2, "this is not YAML"),
        ("a: 'x\n", 2, "this is not YAML"),
        ("\n\na: \x01\n", 3, "this is not YAML"),
        ('"\\UFFFFFFFF"', 1, "this is not YAML"),
        ("[" * 100 + "]" * 100, 1, f"deeper than {MAX_DEPTH}"),
        ("- " * 100, 1, f"deeper than {MAX_DEPTH}"),
    ],
)
def test_what_a_graph_file_may_not_hold(text: str, line: int, what: str) -> None:
    _, found, _ = parse(text)
    assert found[0].startswith(f"g.yaml:{line}: ")
    assert what in found[0]


def test_a_bomb_of_aliases_is_refused_at_the_first() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    _, found, _ = parse("\n".join(lines))
    assert len(found) == 1
    assert found[0].startswith("g.yaml:2: ")


def test_environment_variables() -> None:
    text = 'a: ${ROBOT}\nb: "x-${ROBOT:-r1}-${NONE:-y}"\nc: $${ROBOT}\nd: ${NONE:-}\ne: $ROBOT\n'
    value, found, _ = parse(text, ROBOT="r7")
    assert found == []
    assert value == {"a": "r7", "b": "x-r7-y", "c": "${ROBOT}", "d": "", "e": "$ROBOT"}
    assert isinstance(value["b"], Substituted)
    assert not isinstance(value["e"], Substituted)


def test_a_variable_that_is_empty_takes_the_default() -> None:
    assert parse("a: ${A:-3}", A="")[0] == {"a": "3"}


def test_an_unset_variable_is_named_with_its_line() -> None:
    _, found, _ = parse("a: 1\nb: ${NOT_SET}\nc: ${9}\n")
    assert found == [
        "g.yaml:2: the environment variable NOT_SET is not set; set it, or write ${NOT_SET:-default}",
        "g.yaml:3: '${9}' has a '${' that is not ${NAME} or ${NAME:-default}; write '$${' for itself",
    ]


def test_keys_are_not_substituted() -> None:
    assert parse("${A}: 1", A="x")[0] == {"${A}": 1}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"no\.yaml: there is no such file"):
        read_text(tmp_path / "no.yaml")
    with pytest.raises(GraphError, match="cannot be read"):
        read_text(tmp_path)
    with pytest.raises(GraphError, match="cannot be read"):
        read_text("a\0b")


def test_a_file_that_is_too_large_or_not_text(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(GraphError, match="larger than the 256 KiB"):
        read_text(file)
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(GraphError, match=r"g\.yaml:2: byte 0xff is not UTF-8"):
        read_text(file)
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(file) == "a: 1\n"
