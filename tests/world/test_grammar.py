from __future__ import annotations

import random
from collections import Counter

import pytest

from cirgen.world import evaluation_grammar, grammar
from cirgen.world.figure import Figure
from cirgen.world.lexicon import LEXICON, PARTS
from cirgen.world.phrases import split_words
from cirgen.world.tokens import phrases
from cirgen.world.vocabulary import ATTRIBUTES, NONE
from figures import BASE, random_pairs

GRAMMARS = [grammar, evaluation_grammar]


def texts(module, number: int = 2000) -> list[str]:
    rng = random.Random(7)
    found = [module.change(reference, target, rng) for reference, target in random_pairs(number)]
    return [text for text in found if text]


def captions(module, number: int = 500) -> list[str]:
    rng = random.Random(8)
    return [module.caption(reference, rng) for reference, _ in random_pairs(number)]


def contains(words: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    return any(words[start : start + len(phrase)] == phrase for start in range(len(words) - len(phrase) + 1))


def test_every_value_has_three_phrasings_or_more() -> None:
    for attribute in ATTRIBUTES:
        if attribute.name.endswith("_color") or attribute.name == "object_count":
            continue
        for value in attribute.hard:
            if value != NONE:
                words = LEXICON[attribute.name][value]
                assert len(words.first) + len(words.second) >= 3, value
    for words in LEXICON["color"].values():
        assert len(words.first) + len(words.second) >= 3


def test_every_color_of_the_vocabulary_has_words() -> None:
    colors = {value for a in ATTRIBUTES if a.name.endswith("_color") for value in a.hard}
    assert colors == set(LEXICON["color"])


def test_a_phrase_has_one_meaning() -> None:
    counts = Counter(split_words(phrase) for phrase, _ in phrases())
    assert [phrase for phrase, count in counts.items() if count > 1] == []


def second_phrases() -> list[tuple[str, ...]]:
    words = [words for table in (*LEXICON.values(), PARTS) for words in table.values()]
    return [split_words(phrase.removesuffix("_")) for pair in words for phrase in pair.second]


def test_the_words_of_the_second_grammar_never_occur_in_the_first() -> None:
    second = second_phrases()
    for text in texts(grammar) + captions(grammar):
        words = split_words(text)
        assert not [phrase for phrase in second if contains(words, phrase)], text


def test_the_second_grammar_uses_its_own_words_in_most_texts() -> None:
    second = second_phrases()
    found = [any(contains(split_words(text), phrase) for phrase in second) for text in texts(evaluation_grammar, 500)]
    assert sum(found) / len(found) > 0.6


@pytest.mark.parametrize("module", GRAMMARS)
def test_no_opening_dominates(module) -> None:
    found = texts(module)
    first_words = Counter(text.split()[0] for text in found)
    trigrams = Counter(" ".join(text.split()[:3]) for text in found)
    assert first_words.most_common(1)[0][1] / len(found) < 0.2
    assert trigrams.most_common(1)[0][1] / len(found) < 0.05


@pytest.mark.parametrize("module", GRAMMARS)
def test_texts_speak_of_no_images_and_are_lower_case(module) -> None:
    for text in texts(module):
        assert "image" not in text
        assert "picture" not in text
        assert text == text.lower().strip()


@pytest.mark.parametrize("module", GRAMMARS)
def test_the_same_seed_writes_the_same_text(module) -> None:
    for reference, target in random_pairs(20):
        assert module.change(reference, target, random.Random(3)) == module.change(reference, target, random.Random(3))


@pytest.mark.parametrize("module", GRAMMARS)
def test_equal_figures_have_no_change(module) -> None:
    assert module.change(BASE, BASE, random.Random(0)) is None


def test_an_old_value_is_told_only_sometimes() -> None:
    found = texts(grammar)
    told = [any(mark in text for mark in ("instead of", "rather than", " from ")) for text in found]
    assert sum(told) / len(found) < 0.4


SHIRT = BASE.with_values(shirt_color="blue")
PAIRS_BY_INTENT: dict[str, tuple[Figure, Figure]] = {
    "attribute": (BASE, SHIRT),
    "addition": (BASE, BASE.with_values(glasses="visor")),
    "removal": (BASE.with_values(beard="goatee"), BASE),
    "relation": (BASE, BASE.with_values(shirt_color="brown")),
    "count": (BASE, BASE.with_values(object_count="3")),
}


@pytest.mark.parametrize("module", GRAMMARS)
@pytest.mark.parametrize("intent", grammar.INTENTS)
def test_an_intent_is_served_where_it_applies(module, intent: str) -> None:
    assert module.change(*PAIRS_BY_INTENT[intent], random.Random(0), intent) is not None


@pytest.mark.parametrize("intent", ["addition", "removal", "relation", "count"])
def test_an_intent_that_does_not_apply_has_no_text(intent: str) -> None:
    assert grammar.change(BASE, SHIRT, random.Random(0), intent) is None


def test_a_relation_tells_no_color() -> None:
    reference, target = PAIRS_BY_INTENT["relation"]
    for seed in range(50):
        text = grammar.change(reference, target, random.Random(seed), "relation")
        assert text is not None
        assert "brown" not in text
        assert "pants" in text or "trousers" in text


def test_swapped_colors_can_be_said_as_a_swap() -> None:
    target = BASE.with_values(shirt_color=BASE.pants_color, pants_color=BASE.shirt_color)
    text = grammar.change(BASE, target, random.Random(0), "relation")
    assert text is not None
    assert "colours" in text


@pytest.mark.parametrize("module", GRAMMARS)
@pytest.mark.parametrize("words", [12, 16, 24])
def test_a_short_caption_has_about_the_words_asked_for(module, words: int) -> None:
    rng = random.Random(5)
    for figure, _ in random_pairs(200):
        whole = len(module.caption(figure, rng).split())
        assert min(words - 8, whole - 8) <= len(module.caption(figure, rng, words).split()) <= words


def test_a_query_that_may_omit_is_shorter() -> None:
    pairs = [(r, t) for r, t in random_pairs(300) if len(r.differences(t)) > 2]
    rng = random.Random(1)
    short = [evaluation_grammar.change(r, t, rng, exhaustive=False) or "" for r, t in pairs]
    whole = [evaluation_grammar.change(r, t, rng) or "" for r, t in pairs]
    assert sum(map(len, short)) < 0.8 * sum(map(len, whole))
