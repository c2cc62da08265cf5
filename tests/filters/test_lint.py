from __future__ import annotations

import pytest

from deciding import make_filter, reason

GOOD = [
    "make the shirt blue and remove the hat",
    "same dress, but longer sleeves",
    "add a dog in the image",
    "is red with a v-neck",
    "change the color of the shirt to green",
    "the first button is missing",
    "make the photo closer up",
    "café tables instead of benches",
    "negative space around the mug is gone",
    "two more buttons",
    "a compare-at-price tag hangs from it",
    "shirt: teal",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_people_write_passes(text: str) -> None:
    assert reason(make_filter("lint"), text) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        (" ...!", "empty"),
        ("blue", "too short"),
        (" ".join(f"w{n}" for n in range(41)), "too long"),
        ("a " + "b" * 300, "too long"),
        ("make it like the second image", "talks about the images"),
        ("The reference photo has a blue hat", "talks about the images"),
        ("Image 2 shows a red shirt", "talks about the images"),
        ("The difference between them is the hat", "talks about the images"),
        ("I'm sorry, but there is no hat", "talks about the images"),
        ("Here is the modification you asked for", "talks about the images"),
        ("change the cardinality of the dogs", "names its change type"),
        ("negate the hat", "names its change type"),
        ("change the spatial layout", "names its change type"),
        ("attribute change of the shirt", "names its change type"),
        ("make it {{ color }} now", "template residue"),
        ("<image> make it blue", "template residue"),
        ("ASSISTANT: make it blue", "template residue"),
        ("<|im_end|> make it blue", "template residue"),
        ("changes:\n- make it blue\n- add a hat", "template residue"),
        ("сделай рубашку синей", "not English"),
        ("把衬衫变成 blue 色 的", "not English"),
        ("cambia la camisa por una azul oscuro y quita el sombrero rojo grande", "not English"),
        ("red hat and red hat and red hat and red hat and", "repeats itself"),
    ],
)
def test_what_is_no_modification_text_is_named(text: str, expected: str) -> None:
    assert reason(make_filter("lint"), text) == expected


def test_faults_can_be_allowed_one_by_one() -> None:
    assert reason(make_filter("lint", allow=["meta-talk"]), "make it like the second image") == ""
    assert reason(make_filter("lint", allow=["meta-talk"]), "negate the hat") == "names its change type"
    assert reason(make_filter("lint", language="any"), "сделай рубашку синей") == ""
