from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.world import evaluation_grammar, grammar
from cirgen.world.claims import Among, Copy, Delta, Given, Swap, Value, apply, claimed_attributes
from cirgen.world.figure import Figure
from cirgen.world.gallery import NAMES
from cirgen.world.parser import parse, parse_caption, visible_attributes
from cirgen.world.tokens import phrases
from figures import BASE, figures, pairs, random_pairs, seeds

GRAMMARS = [grammar, evaluation_grammar]
INTENTS = ["any", *grammar.INTENTS]


@pytest.mark.parametrize("intent", INTENTS)
@pytest.mark.parametrize("module", GRAMMARS)
@given(pair=pairs, seed=seeds)
@settings(max_examples=300, deadline=None)
def test_a_text_applied_to_the_reference_yields_the_target(module, intent: str, pair, seed: int) -> None:
    reference, target = pair
    text = module.change(reference, target, random.Random(seed), intent)
    if text is None:
        return
    claims = parse(text)
    assert claims is not None, text
    assert apply(claims, reference) == target, text
    changed = set(reference.differences(target))
    assert claimed_attributes(claims) <= changed | {"object_kind", "object_count", "head", "outfit"}, text


def test_every_intent_is_met_by_the_random_pairs() -> None:
    for intent in INTENTS:
        found = [grammar.change(r, t, random.Random(0), intent) for r, t in random_pairs(300)]
        assert sum(text is not None for text in found) > 30, intent


@pytest.mark.parametrize("module", GRAMMARS)
@given(figure=figures, seed=seeds)
@settings(max_examples=400, deadline=None)
def test_a_caption_tells_exactly_what_can_be_seen(module, figure: Figure, seed: int) -> None:
    text = module.caption(figure, random.Random(seed))
    assert parse_caption(text) == visible_attributes(figure), text


@pytest.mark.parametrize("module", GRAMMARS)
@given(figure=figures, seed=seeds)
@settings(max_examples=200, deadline=None)
def test_a_short_caption_tells_nothing_false(module, figure: Figure, seed: int) -> None:
    told = parse_caption(module.caption(figure, random.Random(seed), words=10))
    assert told
    assert told.items() <= visible_attributes(figure).items()


@given(pair=pairs, seed=seeds)
@settings(max_examples=300, deadline=None)
def test_a_text_said_twice_in_two_grammars_says_the_same(pair, seed: int) -> None:
    reference, target = pair
    rng = random.Random(seed)
    text = f"{grammar.change(reference, target, rng)}, {evaluation_grammar.change(reference, target, rng)}"
    claims = parse(text)
    assert claims is not None, text
    assert apply(claims, reference) == target, text


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "make the shirt shiny", "make it nicer", "a photo of a dog", "the shirt is not red", "the",
        "make the red", "replace the hat", "curly shoes", "three shirts", "the shoes in the background's colour",
        "remove the shirt", "keep the hat and make the shirt red", "make the shirt red <unk>", "swap the colours",
        "replace the star with a mustache", "sunglasses instead of the goatee", "change the shirt to red shoes",
    ],
)  # fmt: skip
def test_what_cannot_be_read_whole_is_not_read(text: str) -> None:
    assert parse(text) is None


HATS = ("cap", "beanie", "bunny hood")
HAIR = ("short", "spiky", "bowl", "curly", "mohawk", "buns", "long", "braids")
EXAMPLES = [
    ("make the shirt red", {Value("shirt_color", "red")}),
    ("Make the shirt red.", {Value("shirt_color", "red")}),
    ("the shirt red", {Value("shirt_color", "red")}),
    ("change the shirt's colour to red", {Value("shirt_color", "red")}),
    ("change the colour of the shirt to red", {Value("shirt_color", "red")}),
    ("make the shirt striped and red", {Value("outfit", "striped shirt"), Value("shirt_color", "red")}),
    ("make the hair curly", {Given("head", HAIR), Value("head", "curly")}),
    ("add sunglasses", {Value("glasses", "sunglasses")}),
    ("the hoodie should be red", {Given("outfit", ("hoodie",)), Value("shirt_color", "red")}),
    ("a red beanie", {Value("head", "beanie", named=True), Value("hat_color", "red")}),
    ("put on a cap", {Value("head", "cap")}),
    ("take off the hat", {Among("head", HAIR), Given("head", HATS)}),
    ("one more star", {Delta(1), Given("object_kind", ("star",))}),
    ("take away two of the balls", {Delta(-2), Given("object_kind", ("ball",))}),
    (
        "add a second ball",
        {Value("object_count", "2"), Given("object_count", ("1",)), Given("object_kind", ("ball",))},
    ),
    ("the shoes in the shirt's colour", {Copy("shoes_color", "shirt_color")}),
    ("match the shoes to the shirt", {Copy("shoes_color", "shirt_color")}),
    ("swap the colours of shirt and pants", {Swap("shirt_color", "pants_color")}),
    ("red shoes instead of white", {Value("shoes_color", "red"), Given("shoes_color", ("white",))}),
    (
        "remove the two balls",
        {Value("object_kind", "none"), Given("object_kind", ("ball",)), Given("object_count", ("2",))},
    ),
]


@pytest.mark.parametrize(("text", "claims"), EXAMPLES)
def test_examples(text: str, claims: set[object]) -> None:
    assert set(parse(text) or ()) == claims


@given(words=st.lists(st.sampled_from(sorted({phrase.removesuffix("_") for phrase, _ in phrases()})), max_size=12))
@settings(max_examples=1000, deadline=None)
def test_any_words_in_any_order_are_read_or_refused(words: list[str]) -> None:
    claims = parse(" ".join(words))
    assert claims is None or isinstance(apply(claims, BASE), Figure)
    told = parse_caption(" ".join(words))
    assert told is None or set(told) <= set(NAMES)


def test_what_a_text_leaves_open_stays_as_it_was() -> None:
    claims = parse("make the shirt blue")
    assert claims is not None
    assert apply(claims, BASE) == BASE.with_values(shirt_color="blue")


def test_hair_that_a_hat_hid_must_be_told() -> None:
    hatted = BASE.with_values(head="cap", hat_color="red")
    claims = parse("take off the cap")
    assert claims is not None
    assert apply(claims, hatted) != BASE


def test_a_caption_that_contradicts_itself_is_not_read() -> None:
    assert parse_caption("a toy figure with curly black hair, red shoes and white shoes") is None
    assert parse_caption("") is None
