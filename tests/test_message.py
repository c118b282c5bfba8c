"""The closed set of payloads, and what a message and a window are."""

from __future__ import annotations

import dataclasses
import inspect
import typing

import numpy as np
import pytest

from omnistream import message as module
from omnistream.message import INFINITY, MS, PAYLOADS, SECOND, AudioChunk, Event, Message, Payload, Text, Window


def test_the_set_of_payloads_is_complete() -> None:
    """Every payload of the design, by its name; the union, the table and what the module exports agree."""
    assert " ".join(PAYLOADS) == (
        "VideoFrame AudioChunk Text Command Features Detections Gesture Transcript Action Caption Pose RobotState Imu Event"
    )
    assert all(kind.__name__ == name for name, kind in PAYLOADS.items())
    assert set(typing.get_args(Payload)) == set(PAYLOADS.values())
    assert set(PAYLOADS) < set(module.__all__)
    others = {n for n, c in vars(module).items() if inspect.isclass(c) and c.__module__ == module.__name__} - set(PAYLOADS)
    assert others == {"Message", "Window"}


@pytest.mark.parametrize("kind", PAYLOADS.values(), ids=PAYLOADS)
def test_payloads_are_frozen_slotted_dataclasses(kind: type) -> None:
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    made = object.__new__(kind)
    assert not hasattr(made, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(kind)[0].name, 1)


@pytest.mark.parametrize("kind", PAYLOADS.values(), ids=PAYLOADS)
def test_payloads_with_arrays_compare_by_identity_and_others_by_value(kind: type) -> None:
    """A comparison of arrays is an array, so dataclass equality would raise."""
    has_arrays = any("ndarray" in str(f.type) for f in dataclasses.fields(kind))
    assert kind.__dataclass_params__.eq is not has_arrays


@pytest.mark.parametrize("kind", PAYLOADS.values(), ids=PAYLOADS)
def test_times_and_quantities_bear_their_units(kind: type) -> None:
    """A field of integers is a time, a rate or a count, and says which."""
    for field in dataclasses.fields(kind):
        if field.type == "int":
            assert field.name.endswith(("_ns", "_hz")) or field.name in ("rev", "utterance", "chunk_index"), field.name


def test_defaults_are_not_shared() -> None:
    first, second = Event("a"), Event("b")
    assert first.data is not second.data


def test_infinity_is_above_every_stamp_and_fits_the_wire() -> None:
    assert 100 * 366 * 24 * 3600 * SECOND < INFINITY < 1 << 63  # a century from 1970, in 63 bits
    assert INFINITY + INFINITY <= 1 << 63
    assert SECOND == 1000 * MS


@pytest.mark.parametrize(
    ("count", "rate", "ns"), [(320, 16000, 20 * MS), (0, 16000, 0), (441, 44100, 10 * MS), (1, 48000, 20833)]
)
def test_the_duration_of_audio_is_that_of_its_samples(count: int, rate: int, ns: int) -> None:
    assert AudioChunk(np.zeros(count, np.int16), rate).duration_ns == ns


def test_a_window_is_its_payloads_in_order() -> None:
    messages = tuple(Message("a.out", 0, i, ("a.out", 0, i), i, i, i + 5, {}, Text(str(i))) for i in range(3))
    window = Window(0, 10, messages)
    assert [p.text for p in window] == ["0", "1", "2"]
    assert len(window) == 3
    assert window.complete
    with pytest.raises(dataclasses.FrozenInstanceError):
        window.end_ns = 11  # type: ignore[misc]


def test_a_message_takes_no_attribute_that_it_does_not_have() -> None:
    message = Message("a.out", 0, 0, ("a.out", 0, 0), 1, 1, 2, {}, Text("x"))
    assert message.start_ns is None
    with pytest.raises(AttributeError):
        message.stamp = 5  # type: ignore[attr-defined]
