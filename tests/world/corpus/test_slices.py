"""What the slices and kinds of the corpus mean, on any pair of figures."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.recipe_file import load_recipe
from cirgen.world import evaluation_grammar, grammar
from cirgen.world.build import TABLE, read_truth, shipped
from cirgen.world.corpus.figures import FAMILIES, FIGURES, MEANINGS
from cirgen.world.corpus.negatives import KINDS, Negatives, Wanted
from cirgen.world.corpus.questions import Asker
from cirgen.world.corpus.slices import BY_CHANGES, MORE, slices
from cirgen.world.corpus.splits import splits
from cirgen.world.gallery import Gallery
from cirgen.world.parser import parse
from cirgen.world.vocabulary import HELD_OUT_PAIRS
from figures import BASE, pairs, random_pairs, seeds

TRUTH = read_truth(shipped() / TABLE)


@given(pair=pairs, seed=seeds, module=st.sampled_from((grammar, evaluation_grammar)))
@settings(max_examples=200)
def test_a_query_is_in_one_slice_by_its_changes_and_in_that_of_what_it_was_asked_to_lead_with(
    pair, seed: int, module
) -> None:
    one, other = pair
    for intent, name in (("relation", "relation"), ("count", "count"), ("any", "")):
        text = module.change(one, other, random.Random(seed), intent)
        if text is None:
            continue
        found = slices(FIGURES, parse(text), one, other)
        assert sum(name in found for name in (*BY_CHANGES, MORE)) == 1
        assert not name or name in found, text
        assert ("unseen_pair" in found) == any(
            all(getattr(figure, attribute) == value for attribute, value in held_out)
            for figure in pair
            for held_out in HELD_OUT_PAIRS
        )
        assert found == [name for name in MEANINGS if name in found], "in one order"


def test_a_text_that_takes_something_away_is_a_negation_and_one_that_replaces_it_is_not() -> None:
    with_glasses = BASE.with_values(glasses="visor")
    assert "negation" in slices(FIGURES, parse("no glasses"), with_glasses, BASE)
    assert "negation" not in slices(FIGURES, parse("add a visor"), BASE, with_glasses)
    with_hat = BASE.with_values(head="cap", hat_color="red")
    assert "negation" in slices(FIGURES, parse("take off the hat to show curly black hair"), with_hat, BASE)
    assert "negation" not in slices(FIGURES, parse("the black cap"), with_hat, with_hat.with_values(hat_color="black"))
    assert slices(FIGURES, None, BASE, with_glasses)[-1] == "unreadable"


def test_no_hard_negative_of_any_pair_is_listed_twice_or_is_right() -> None:
    figures = [figure for pair in random_pairs(40) for figure in pair]
    gallery = Gallery([str(place) for place in range(len(figures))], figures)
    negatives = Negatives(gallery, np.ones(len(gallery), dtype=bool))
    for place in range(0, len(figures), 2):
        text = grammar.change(figures[place], figures[place + 1], random.Random(place)) or ""
        found = negatives.of(Wanted(str(place), place, place + 1, text, frozenset((place + 1,))))
        rows = [row for row, _ in found]
        assert rows[0] == place and len(set(rows)) == len(rows) and place + 1 not in rows
        assert [kind for _, kind in found] == sorted((kind for _, kind in found), key=list(KINDS).index)


def test_every_family_of_the_shipped_figures_has_a_split_and_test_alone_has_every_slice() -> None:
    of_image = splits(TRUTH, FAMILIES, FIGURES.images)
    assert len(of_image) == len(TRUTH.image_ids)
    assert sorted(family for families in FAMILIES.values() for family in families) == sorted(set(TRUTH.families))
    members = [name for name, split in of_image.items() if split == "test"]
    questions = Asker(TRUTH, members, "test", 0, FIGURES).questions(3)
    assert {name for question in questions for name in question.slices} >= set(FIGURES.strata)
    assert len({(question.reference, question.targets) for question in questions}) == len(questions)


def test_the_corpus_is_mined_as_the_demo_is_but_in_one_pool() -> None:
    demo, ours = (load_recipe(name).recipe.resolved() for name in ("demo", "voxel-figures"))
    assert {field for field in ours if ours[field] != demo[field]} == {"name", "export"}
    assert {field for field in ours["export"] if ours["export"][field] != demo["export"][field]} == {
        "validation",
        "test",
    }
