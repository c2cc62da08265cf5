from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from deciding import decide, make_filter, triplets

openings = st.lists(
    st.sampled_from(["change the color", "make it a", "add a hat", "with a big", "is red and"]), max_size=80
)


@given(openings, st.floats(0.05, 1), st.integers(1, 12))
def test_no_opening_exceeds_its_share_of_what_is_accepted(texts: list[str], max_share: float, always: int) -> None:
    reasons = decide(make_filter("diversity", max_share=max_share, always=always), triplets(*texts))
    kept = Counter(text for text, reason in zip(texts, reasons, strict=True) if not reason)
    seen = Counter(texts)
    for text, count in kept.items():
        assert count <= max(always, max_share * kept.total())
        assert count >= min(seen[text], always)
    cut = {kept[text] for text in seen if kept[text] < seen[text]}
    assert len(cut) <= 1  # every opening that is thinned is thinned to one and the same cap
    if cut:  # and no larger cap holds
        larger = cut.pop() + 1
        assert larger > max_share * sum(min(count, larger) for count in seen.values())


def test_case_and_punctuation_do_not_make_another_opening() -> None:
    texts = [f"{opening} {number}" for number in range(6) for opening in ("Make it, a", "make it a")]
    assert decide(make_filter("diversity", always=3), triplets(*texts)).count("common opening") == 9


def test_which_texts_go_depends_on_their_ids_alone() -> None:
    part, rows = make_filter("diversity", always=5), triplets(*["make it blue now"] * 30)
    first = dict(zip((row["triplet_id"] for row in rows), decide(part, rows), strict=True))
    again = dict(zip((row["triplet_id"] for row in rows[::-1]), decide(part, rows[::-1]), strict=True))
    assert first == again
