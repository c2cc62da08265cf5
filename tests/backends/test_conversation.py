"""The order of texts and images that a model is shown."""

from __future__ import annotations

import pytest

from cirgen.backends.conversation import conversation
from cirgen.prompts import load_prompt


def shown(prompt: str, images: int) -> list[str]:
    (turn,) = conversation(prompt, images)
    assert turn["role"] == "user"
    return [part.get("text", "[image]") for part in turn["content"]]


@pytest.mark.parametrize(
    ("prompt", "images", "expected"),
    [
        ("describe it", 0, ["describe it"]),
        ("describe it", 1, ["[image]", "describe it"]),
        ("what changed?", 2, ["[image]", "[image]", "what changed?"]),
        ("<image> becomes <image> how?", 2, ["[image]", "becomes", "[image]", "how?"]),
        ("one: <image>", 1, ["one:", "[image]"]),
        ("one: <image>", 0, ["one: <image>"]),
        ("one: <image>", 2, ["[image]", "[image]", "one: <image>"]),
    ],
)
def test_images_stand_where_the_prompt_marks_them_and_first_without_marks(
    prompt: str, images: int, expected: list[str]
) -> None:
    assert shown(prompt, images) == expected


def test_every_candidate_to_pick_from_follows_its_letter() -> None:
    prompt = load_prompt("pick-target")
    parts = shown(prompt.render(text="now in red"), prompt.images)
    assert parts[:10] == ["Reference:", "[image]", *(x for letter in "ABCD" for x in (f"{letter}:", "[image]"))]
    assert parts[10].startswith("Change: now in red ")


def test_a_text_in_a_slot_cannot_place_an_image() -> None:
    prompt = load_prompt("pick-target")
    parts = shown(prompt.render(text="a <image> of a dog"), prompt.images)
    assert parts.count("[image]") == prompt.images
    assert "a image of a dog" in parts[-1]
