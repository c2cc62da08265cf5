from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.filters import near_duplicate
from cirgen.filters.near_duplicate import NearDuplicateSettings, _clusters, _jaccard
from deciding import decide, make_filter, triplets

LONG = "the tall figure stands on the left side of a wooden table with a red hat and two small balls beside it today"
OTHER = "a small dog runs over the wet grass behind the white fence while the sun goes down over the far green hills"


def kept(part: object, *texts: str) -> list[str]:
    rows = triplets(*texts)
    return [row["text"] for row, why in zip(rows, decide(part, rows), strict=True) if not why]  # type: ignore[arg-type]


def test_a_short_text_may_be_said_of_many_pairs_but_not_of_all() -> None:
    assert len(kept(make_filter("near_duplicate"), *["make the hat red"] * 19)) == 19
    assert len(kept(make_filter("near_duplicate"), *["make the hat red", "Make the hat red!"] * 40)) == 20
    assert len(kept(make_filter("near_duplicate", same_text=2), *["make the hat red"] * 9, "make it blue")) == 3


def test_of_long_texts_that_differ_in_a_word_few_stay() -> None:
    copies = [LONG.replace("today", word) for word in ("today", "now", "here", "there", "again", "also")]
    assert len(kept(make_filter("near_duplicate"), *copies, OTHER)) == 3 + 1
    assert len(kept(make_filter("near_duplicate", copies=1), *copies, OTHER)) == 1 + 1


def test_texts_that_share_half_their_words_are_different_texts() -> None:
    half = " ".join(LONG.split()[:11] + OTHER.split()[:11])
    assert len(kept(make_filter("near_duplicate", copies=1), LONG, OTHER, half)) == 3


def test_short_texts_are_near_copies_of_nothing() -> None:
    colors = [f"make the very big old hat {color}" for color in ("red", "green", "blue", "gold")]
    assert len(kept(make_filter("near_duplicate", copies=1, near=0.5), *colors)) == 4
    assert len(kept(make_filter("near_duplicate", copies=1, near=0.5, min_words=2), *colors)) < 4


WORDS = ["a", "b", "c", "d", "e", "f", "g", "h"]
TEXT = st.lists(st.sampled_from(WORDS), min_size=8, max_size=14).map(" ".join)


@given(texts=st.sets(TEXT, min_size=1, max_size=30), near=st.sampled_from([0.8, 0.9, 1.0]))
@settings(max_examples=30, deadline=None)
def test_near_copies_are_those_that_comparing_all_with_all_finds(texts: set[str], near: float) -> None:
    """MinHash misses a pair of Jaccard similarity 0.8 once in 4,500 times; no draw here does, as it is seeded."""
    said = sorted(texts)
    clusters = _clusters(said, NearDuplicateSettings(near=near))
    for one, mine in zip(said, clusters, strict=True):
        for other, its in zip(said, clusters, strict=True):
            assert mine == its or _jaccard(one, other) < near


def test_a_corpus_of_one_template_is_no_reason_to_compare_all_with_all(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    draws = random.Random(0)
    names = ["".join(draws.choices("abcdefgh", k=6)) for _ in range(400)]
    texts = sorted(
        {
            f"unlike the {one} on the left i want the {other} on the right"
            for one, other in zip(names, names[::-1], strict=True)
        }
    )
    compared = 0
    original = near_duplicate._jaccard

    def counted(one: str, other: str) -> float:
        nonlocal compared
        compared += 1
        return original(one, other)

    monkeypatch.setattr(near_duplicate, "_jaccard", counted)
    monkeypatch.setattr(near_duplicate, "WINDOW", 4)
    _clusters(texts, NearDuplicateSettings())
    assert compared <= len(texts) * near_duplicate.BANDS * 4
