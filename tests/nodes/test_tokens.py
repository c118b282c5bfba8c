"""Moonshine's tokens: text to ids and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.errors import ModelError
from omnistream_models import model_path
from omnistream_nodes.tokens import END, Tokenizer

TOKENS = Tokenizer(model_path("moonshine_tiny_tokenizer"))


@given(
    st.text(
        st.characters(exclude_categories=["C", "Z"], include_characters=" ", exclude_characters="▁"), min_size=1, max_size=40
    )
)
def test_what_is_encoded_is_decoded(text) -> None:
    assert TOKENS.decode(TOKENS.encode(text)) == text.strip(" ")


def test_ids_are_those_that_the_recognizer_writes() -> None:
    """As the decoder wrote them for a person's "Go forward ten meters."."""
    assert TOKENS.encode("Go forward ten meters.") == [2921, 6375, 3006, 27881, 29889]
    assert TOKENS.pieces[END] == b"</s>"


@pytest.mark.parametrize("data", [b"", b"\x05abc", b"\xff", b"\x01a\x01b"])
def test_another_file_is_refused(tmp_path, data) -> None:
    path = tmp_path / "tokens.bin"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"tokens\.bin: this is no tokenizer"):
        Tokenizer(path)
