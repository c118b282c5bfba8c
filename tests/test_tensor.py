"""Tensors in payloads: their own memory inside a worker, the bytes of the same array everywhere else, or a refusal by name."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omnistream.errors import PayloadError
from omnistream.flow.edge import nbytes
from omnistream.link.wire import buffers_of, decode_payload, encode_payload
from omnistream.message import AudioChunk, Detections, Features, Gesture, Message, Text, VideoFrame
from omnistream.tensor import ARRAY_FIELDS, Carriage, has_tensor, hollow, to_tensor, with_arrays, with_tensors


def frame(seed: int = 0, shape: tuple[int, ...] = (4, 5, 3), dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(dtype)


def payloads() -> list[Any]:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    return [
        VideoFrame(frame()),
        VideoFrame(frame(dtype=np.uint16, shape=(4, 5)), "depth16"),
        AudioChunk(frame(shape=(7,), dtype=np.int16)),
        Features(rows, 20),
        Features(rows[:0]),
        Detections(rows, ("a", "b", "c"), rows[:, 0]),
        Gesture("none", landmarks=rows[:, :3]),
        Gesture("none"),
        Text("words"),
    ]


@pytest.mark.parametrize("payload", payloads(), ids=lambda p: type(p).__name__)
def test_a_tensor_has_the_bytes_of_its_array(payload: Any) -> None:
    held = with_tensors(payload)
    holds_any = any(getattr(payload, n) is not None for n in ARRAY_FIELDS.get(type(payload), ()))
    assert has_tensor(held) == holds_any
    assert (held is payload) != holds_any
    assert encode_payload(held) == encode_payload(payload)
    assert list(map(bytes, buffers_of(held))) == list(map(bytes, buffers_of(payload)))
    assert encode_payload(decode_payload(encode_payload(held))) == encode_payload(payload)
    assert encode_payload(with_arrays(held)) == encode_payload(payload)
    assert nbytes(held) == nbytes(payload)


def test_the_memory_is_shared_both_ways() -> None:
    tensor = torch.zeros(3, 4)
    array = with_arrays(Features(tensor)).data
    tensor[1, 2] = 7
    assert array[1, 2] == 7
    assert not array.flags.writeable
    again = with_tensors(Features(array)).data
    assert again.data_ptr() == tensor.data_ptr()
    parameter = torch.nn.Parameter(tensor)
    assert with_arrays(Features(parameter * 2)).data[1, 2] == 14
    del tensor, again, parameter
    assert array[1, 2] == 7


@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans())
def test_any_strides_come_whole(step: int, other: int, backwards: bool, turned: bool) -> None:
    whole = np.arange(24 * 24, dtype=np.float32).reshape(24, 24)
    array = whole[:: -step if backwards else step, ::other]
    array = array.T if turned else array
    assert encode_payload(Features(to_tensor(array))) == encode_payload(Features(array))
    tensor = torch.from_numpy(whole)[::step, ::other]
    assert encode_payload(Features(tensor)) == encode_payload(Features(whole[::step, ::other]))


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (Features(torch.zeros(2, 2, dtype=torch.bfloat16)), "Features.data cannot hold a tensor of bfloat16, for which numpy"),
        (
            Features(torch.zeros(2, 2, dtype=torch.float16)),
            "Features.data cannot hold an array of float16 in 2 dimensions; use",
        ),
        (VideoFrame(torch.zeros(2, 2, dtype=torch.bool)), "VideoFrame.image cannot hold an array of bool in 2 dimensions; use"),
        (Features(torch.zeros(3)), "Features.data cannot hold an array of float32 in 1 dimensions; use float32 in 2"),
        (Features(torch.eye(3).to_sparse()), "Features.data cannot hold a sparse_coo tensor; use .to_dense()"),
        (Text(torch.zeros(3)), "Text.text cannot hold Tensor; use text"),
    ],
)
def test_what_cannot_cross_is_refused_by_name(payload: Any, text: str) -> None:
    with pytest.raises(PayloadError) as error:
        encode_payload(payload)
    assert str(error.value).startswith(text)
    with pytest.raises(PayloadError) as error:
        encode_payload(hollow(payload))
    assert str(error.value).startswith(text)


def test_bfloat16_of_numpy_is_refused_by_name_too() -> None:
    import ml_dtypes

    with pytest.raises(PayloadError, match=r"Features\.data cannot hold an array of bfloat16 in 2 dimensions; use float32"):
        encode_payload(Features(np.zeros((2, 2), ml_dtypes.bfloat16)))


def test_what_is_checked_of_a_tensor_needs_none_of_its_values() -> None:
    shell = hollow(Features(torch.zeros(5, 7), 3))
    assert (shell.data.shape, shell.data.dtype, shell.hop_ns) == ((0, 0), np.float32, 3)
    plain = Features(np.zeros((5, 7), np.float32))
    assert hollow(plain) is plain


def message(payload: Any) -> Message[Any]:
    return Message("a.out", 0, 0, (), 0, 0, 0, {}, payload)


def test_a_stream_converts_a_message_once_for_all_receivers() -> None:
    carriage = Carriage.of(["Features", "Text"])
    assert carriage is not None
    held, plain = message(Features(torch.ones(2, 2))), message(Features(np.ones((2, 2), np.float32)))
    first = carriage.arrays(held)
    assert carriage.arrays(held) is first
    assert carriage.tensors(held) is held
    assert carriage.arrays(plain) is plain
    assert carriage.arrays(message(held.payload)) is not first
    assert isinstance(carriage.tensors(plain).payload.data, torch.Tensor)
    assert Carriage.of(["Text", "Action", "Event"]) is None
    assert Carriage.of(None) is not None


def test_torch_is_not_imported_by_who_does_not_use_it() -> None:
    code = (
        "import sys; import numpy as np; from omnistream.message import *; from omnistream.tensor import *\n"
        "import omnistream.engine.worker, omnistream.engine.ray, omnistream.link.wire as w\n"
        "p = Features(np.ones((2, 2), np.float32)); assert hollow(p) is with_arrays(p) is p; w.encode_payload(p)\n"
        "try: w.encode_payload(Features(1.5))\nexcept Exception as e: print(e)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Features.data cannot be float")
