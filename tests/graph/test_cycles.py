from __future__ import annotations

from helpers_graph import fault, faults, load, nodes

HEAD = "typed: {use: Typed}\n"


def test_a_cycle_is_named_by_its_nodes() -> None:
    text = HEAD + "a: {use: Pass, inputs: {x: c}}\nb: {use: Pass, inputs: {x: a}}\nc: {use: Pass, inputs: {x: b}}"
    assert fault(nodes(text)) == (
        "g.yaml:4: nodes.a.inputs.x: the cycle a -> b -> c -> a has no delay, so it never starts; "
        "let a port in it `take: latest` or `recent`, with `delay: 50ms`"
    )


def test_a_node_that_reads_itself() -> None:
    assert "nodes.a.inputs.back: the cycle a -> a has no delay" in fault(
        nodes(HEAD + "a: {use: Loop, inputs: {x: typed, back: {from: a, take: latest}}}")
    )


def test_every_cycle_is_told() -> None:
    text = HEAD + "a: {use: Pass, inputs: {x: b}}\nb: {use: Pass, inputs: {x: a}}\nc: {use: Pass, inputs: {x: c}}"
    found = faults(nodes(text))
    assert len(found) == 2
    assert "a -> b -> a" in found[0]
    assert "c -> c" in found[1]


def test_feedback_with_a_delay_is_no_cycle() -> None:
    graph = load(
        nodes(
            HEAD
            + "a: {use: Loop, inputs: {x: typed, back: {from: b, take: latest, delay: 50ms}}}\nb: {use: Pass, inputs: {x: a}}"
        )
    )
    assert graph.nodes["a"].inputs[1].config.delay_ns == 50_000_000


def test_a_delay_does_not_let_feedback_trigger() -> None:
    found = faults(nodes(HEAD + "a: {use: Loop, inputs: {x: typed, back: {from: a, delay: 50ms}}}"))
    assert any("feedback cannot trigger, and this port takes each" in line for line in found)
    assert not any("cycle" in line for line in found)


def test_a_long_chain_is_no_burden() -> None:
    text = HEAD + "\n".join(f"n{i}: {{use: Pass, inputs: {{x: {f'n{i - 1}' if i else 'typed'}}}}}" for i in range(1500))
    assert len(load(nodes(text)).nodes) == 1501
