"""Ports as type hints say them: every form that is allowed, and one sentence for every one that is not."""

from __future__ import annotations

import pickle
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Optional, TypeVar, Union

import pytest

import omnistream.message as messages  # noqa: F401  # pyright: ignore[reportUnusedImport]  a hint names it
from omnistream.errors import GraphError
from omnistream.message import PAYLOADS, Action, AudioChunk, Caption, Command, Event, Gesture, Message, Payload, Text, Window
from omnistream.node import Context, Emit, InPort, Node, Ports, Recent, Sink, Source, ports_of

T = TypeVar("T")


def node_with(hint: Any, returns: Any = Text) -> type[Node]:
    """A node with one input "x" of the given hint."""

    async def step(self: Any, x: Any) -> Any:
        return None

    step.__annotations__ = {"x": hint, "return": returns}
    return type("Example", (Node,), {"step": step})


def refused(cls: type) -> str:
    """The sentence with which a class is refused."""
    with pytest.raises(GraphError) as error:
        ports_of(cls)
    text = str(error.value)
    assert "\n" not in text
    assert 20 < len(text) < 400
    assert cls.__name__ in text
    return text


# -- inputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "types", "form", "optional"),
    [
        (Text, {Text}, "one", False), (Text | None, {Text}, "one", True), (Optional[Text], {Text}, "one", True),  # noqa: UP045
        (Text | Command, {Text, Command}, "one", False), (Union[Text, Command, None], {Text, Command}, "one", True),  # noqa: UP007
        (Window[AudioChunk], {AudioChunk}, "window", False), (Window[AudioChunk] | None, {AudioChunk}, "window", True),
        (Window[Text | Command], {Text, Command}, "window", False), (Recent[Gesture], {Gesture}, "recent", False),
        (Recent[Gesture | Event], {Gesture, Event}, "recent", False), (Message[Action], {Action}, "message", False),
        (Message[Action] | None, {Action}, "message", True), (Message[Action | Event] | None, {Action, Event}, "message", True),
        (Annotated[Text, "what was typed"], {Text}, "one", False), (Payload, set(PAYLOADS.values()), "one", False),
        ("Text", {Text}, "one", False), ("Window[AudioChunk] | None", {AudioChunk}, "window", True),
        ("messages.Text", {Text}, "one", False), ("typing.Optional[Message[Text]]", {Text}, "message", True),
    ],
)  # fmt: skip
def test_every_form_of_input(hint: Any, types: set[type], form: str, optional: bool) -> None:
    assert ports_of(node_with(hint)).inputs == {"x": InPort("x", frozenset(types), form, optional)}


@pytest.mark.parametrize(
    "hint",
    [
        int, str, None, type(None), Any, list[Text], tuple[Text, ...], dict, object, T, Text | int, Text | str | None, Window,
        Recent, Message, Window[int], Recent[Any], Message[str], Message[Window[Text]], Window[Message[Text]],
        Window[Text] | Window[Command],
        Message[Text] | Command, Window[Text] | Text, Emit[Text], Context, Callable[[Text], None], Node, "int", Window[None],
        Annotated[int, "x"],
    ],
)  # fmt: skip
def test_what_is_no_payload_is_refused_by_class_and_parameter(hint: Any) -> None:
    text = refused(node_with(hint))
    assert text.startswith("Example.step: parameter 'x'")


def test_a_parameter_without_a_type_is_refused() -> None:
    class Bare(Node):
        async def step(self, text) -> Text:
            return text

    assert refused(Bare) == "Bare.step: parameter 'text' has no type; write 'text: Text' or the like"


def test_a_class_of_the_same_name_is_not_the_payload() -> None:
    fake = type("Text", (), {"__annotations__": {}})
    assert "is not a payload" in refused(node_with(fake))


def test_ports_are_in_the_order_of_the_parameters() -> None:
    class Join(Node):
        async def step(self, b: Text, a: Gesture | None, c: Recent[Event]) -> Action | None:
            return None

    assert list(ports_of(Join).inputs) == ["b", "a", "c"]


def test_a_node_may_have_no_input_by_inheritance_alone() -> None:
    class Parent(Node):
        async def step(self, x: Text) -> Text:
            return x

    class Child(Parent):
        pass

    assert ports_of(Child) == ports_of(Parent)


# -- outputs --------------------------------------------------------------------------------------


class Pair(NamedTuple):
    action: Action | None = None
    caption: Caption | None = None


@dataclass
class Both:
    a: Text | Command
    b: Event | None = None


@pytest.mark.parametrize(
    ("returns", "outputs", "record", "generator"),
    [
        (Text, {"out": {Text}}, None, False), (Text | None, {"out": {Text}}, None, False),
        (Text | Command | None, {"out": {Text, Command}}, None, False),
        (Pair, {"action": {Action}, "caption": {Caption}}, Pair, False),
        (Pair | None, {"action": {Action}, "caption": {Caption}}, Pair, False),
        (Both, {"a": {Text, Command}, "b": {Event}}, Both, False),
        (AsyncIterator[Text], {"out": {Text}}, None, True), (AsyncGenerator[Text, None], {"out": {Text}}, None, True),
        (typing.AsyncIterator[Text | None], {"out": {Text}}, None, True),
        (AsyncIterator[Pair], {"action": {Action}, "caption": {Caption}}, Pair, True),
        (Emit[Text], {"out": {Text}}, None, False),
        (Emit[Text | Command] | None, {"out": {Text, Command}}, None, False),
        (Emit[Text] | Command, {"out": {Text, Command}}, None, False),
        (AsyncIterator[Emit[Text] | Text], {"out": {Text}}, None, True),
    ],
)  # fmt: skip
def test_every_form_of_output(returns: Any, outputs: dict[str, set[type]], record: type | None, generator: bool) -> None:
    ports = ports_of(node_with(Text, returns))
    assert ports.outputs == {n: frozenset(t) for n, t in outputs.items()}
    assert (ports.record, ports.generator) == (record, generator)


@dataclass
class Broken:
    fine: Text
    count: int


@pytest.mark.parametrize(
    "returns",
    [
        None, type(None), int, str, Any, list[Text], tuple[Text, Command], Text | int, Message[Text], Window[Text], Message,
        Pair | Text,
        AsyncIterator[int], AsyncIterator[None], AsyncIterator, typing.AsyncIterator, AsyncGenerator, Emit, Emit[int], object,
        AsyncIterator[AsyncIterator[Text]],
    ],
)  # fmt: skip
def test_an_output_that_is_no_payload_is_refused_by_class(returns: Any) -> None:
    assert refused(node_with(Text, returns)).startswith("Example.step")


def test_a_record_with_a_field_that_is_no_payload_is_refused_by_field() -> None:
    assert refused(node_with(Text, Broken)).startswith("Example.step: what it returns, field 'count': ")


def test_a_step_that_says_nothing_of_its_output_is_refused() -> None:
    class Mute(Node):
        async def step(self, text: Text):
            return text

    assert "must have an output" in refused(Mute)


# -- sources, sinks, and classes that are neither -------------------------------------------------


def test_a_source_has_outputs_and_a_sink_has_inputs() -> None:
    class From(Source):
        async def run(self, ctx: Context) -> AsyncIterator[Emit[Text] | Command]:
            yield Command("none", "")

    class To(Sink):
        async def write(self, action: Message[Action], caption: Caption | None) -> None: ...

    assert ports_of(From) == Ports({}, {"out": frozenset({Text, Command})}, None, True)
    assert ports_of(To) == Ports(
        {
            "action": InPort("action", frozenset({Action}), "message", False),
            "caption": InPort("caption", frozenset({Caption}), "one", True),
        },
        {},
    )


@pytest.mark.parametrize(("base", "method"), [(Node, "step"), (Source, "run"), (Sink, "write")])
def test_a_class_without_its_method_is_refused_by_what_it_lacks(base: type, method: str) -> None:
    class Mixin:
        pass

    for bases in ((base,), (base, Mixin), (Mixin, base)):
        empty = type("Empty", bases, {})
        assert refused(empty) == f"Empty has no '{method}' method; a {base.__name__} needs one"


# -- what else the contract promises --------------------------------------------------------------


@dataclass(kw_only=True)
class Configured(Node):
    """Options are fields."""

    size: int = 3

    async def step(self, x: Text) -> Text | None:
        return x


def test_a_node_is_free_to_make_and_can_be_pickled() -> None:
    made = pickle.loads(pickle.dumps(Configured(size=5)))
    assert made == Configured(size=5)


async def test_what_a_part_need_not_define_does_nothing() -> None:
    from omnistream.testing import context

    ctx = context()
    for part in (Node(), Source(), Sink()):
        await part.open(ctx)
        await part.close()
    await Sink().safe("why")
    await Sink().resume()
    assert ctx.report.rows == []


def test_recent_is_a_tuple_of_messages() -> None:
    found: Recent[Text] = Recent([1, 2])  # type: ignore[list-item]
    assert found == (1, 2)
    assert isinstance(found, tuple)
