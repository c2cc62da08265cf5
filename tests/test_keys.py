"""A key changes with everything that can change an answer, and with nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cirgen.keys import LEFT_OUT, digest, draw, generation_key, recipe_hash

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
BASE: dict[str, Any] = {
    "prompt": "Describe it.",
    "image_ids": ("a", "b"),
    "model": {"content": "c", "backend": "transformers", "dtype": "float32", "quantization": "none", "max_pixels": 9},
    "sampling": {"temperature": 0.0, "ladder": [0.4]},
    "seed": 0,
    "sample_index": 0,
}


@given(PLAIN, PLAIN)
def test_different_data_never_share_a_digest_and_equal_data_always_do(one: Any, other: Any) -> None:
    same = digest(one) == digest(other)
    assert same == (repr(one) == repr(other)) or one == other


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_fields_changes_no_digest(fields: dict[str, int]) -> None:
    assert digest(fields) == digest(dict(reversed(fields.items())))


def test_every_part_of_a_request_changes_its_key() -> None:
    others = [
        {"prompt": "Describe it!"},
        {"image_ids": ("b", "a")},
        *({"model": BASE["model"] | {name: "other"}} for name in BASE["model"]),
        {"sampling": {"temperature": 0.1, "ladder": [0.4]}},
        {"sampling": {"temperature": 0.0, "ladder": []}},
        {"seed": 1},
        {"sample_index": 1},
    ]
    keys = {generation_key(**BASE), *(generation_key(**BASE | other) for other in others)}
    assert len(keys) == len(others) + 1


def test_what_only_changes_speed_or_place_stays_out_of_the_recipe_hash() -> None:
    recipe = {"name": "a", "mllm": {"model": "/x", "batch_size": 1, "dtype": "float32"}, "publish": {"repo": None}}
    moved = {"name": "b", "mllm": {"model": "/y", "batch_size": 64, "dtype": "float32"}, "publish": {"repo": "me/it"}}
    changed = {"name": "a", "mllm": {"model": "/x", "batch_size": 1, "dtype": "bfloat16"}, "publish": {"repo": None}}
    assert recipe_hash(recipe, {"mllm": "1"}, {}) == recipe_hash(moved, {"mllm": "1"}, {})
    assert recipe_hash(recipe, {"mllm": "1"}, {}) != recipe_hash(changed, {"mllm": "1"}, {})
    assert recipe_hash(recipe, {"mllm": "1"}, {}) != recipe_hash(recipe, {"mllm": "2"}, {})
    assert recipe_hash(recipe, {}, {"p@1": "1"}) != recipe_hash(recipe, {}, {"p@1": "2"})


def test_every_field_left_out_gives_its_reason() -> None:
    assert all(len(reason.split()) >= 2 for reason in LEFT_OUT.values())


@given(st.text(), st.integers())
def test_a_draw_is_a_share_that_depends_on_its_parts_alone(name: str, number: int) -> None:
    assert 0 <= draw(name, number) < 1
    assert draw(name, number) == draw(name, number)
