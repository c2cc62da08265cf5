"""YAML written by cirgen reads back as it was, whatever text a user put into a recipe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.yaml_text import NotYamlError, read_yaml, write_yaml

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
_DOCUMENTS = st.dictionaries(
    st.text(max_size=12),
    st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner), max_leaves=8),
)


@settings(deadline=None, max_examples=300)
@given(_DOCUMENTS)
def test_a_document_reads_back_as_it_was_written(document: dict[str, Any]) -> None:
    read = read_yaml(write_yaml(document)).data
    assert read == document
    assert repr(read) == repr(document), "same types and same order"


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "1e3",
        "0x1f",
        "null",
        "~",
        "Yes",
        "2026-11-23",
        "?<",
        "- a",
        "a: b",
        "a #b",
        "\x85",
        "\u2028",
        "x" * 99 + " y",
    ],
)
def test_texts_that_look_like_something_else_stay_texts(text: str) -> None:
    assert read_yaml(write_yaml({text: [text]})).data == {text: [text]}


def test_plain_words_are_written_without_quotes() -> None:
    assert (
        write_yaml({"model": "cirgen:mllm", "prompts": ["caption-brief"]})
        == "model: cirgen:mllm\nprompts:\n- caption-brief\n"
    )


def test_what_is_not_yaml_is_refused_with_its_line() -> None:
    with pytest.raises(NotYamlError) as caught:
        read_yaml("name: a\nseed: [1\n")
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "value",
    ["2026-02-30", "!!int x", "!!bool x", "9" * 5_000, "[" * 3_000, "&a {b: *a}", "&a [*a, *a]"],
)
def test_a_value_that_cannot_be_read_is_told_with_its_line(value: str) -> None:
    with pytest.raises(NotYamlError) as caught:
        read_yaml(f"name: a\nseed: {value}\n")
    assert caught.value.line in (1, 2)


def test_anchors_that_unfold_without_end_are_refused() -> None:
    text = "a: &l0 [x, x]\n" + "".join(f"b{n}: &l{n} [*l{n - 1}, *l{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(NotYamlError, match="anchor"):
        read_yaml(text)
