from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.yields import TRIPLETS, estimate_yield, in_words


@dataclass
class Taken:
    stage: str
    rows: int
    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0


WHOLE = [Taken("ingest", 5_000, 36.0), Taken("modify", 20_000, 7_200.0, 6_000_000, 400_000)]


def test_what_100000_accepted_triplets_take_grows_with_every_rejected_text() -> None:
    half = estimate_yield(5_000, WHOLE, texts=40, accepted=20, cost=12.0)
    assert half is not None
    assert half.whole == 10_000
    assert half.expected.images == 50_000
    assert half.expected.hours == pytest.approx(10 * 7_236 / 3_600)
    assert (half.expected.prompt_tokens, half.expected.output_tokens) == (60_000_000, 4_000_000)
    assert half.expected.cost == 120
    told = in_words(half, "GPU")
    assert "50% of 40 texts were accepted (95 % interval 35% to 65%)" in told
    assert (
        "50,000 images, 20.1 GPU hours (at most 28.6 within the interval) and 64,000,000 tokens, cost 120.00" in told
    )


def test_hours_of_gpus_that_work_at_once_add_up() -> None:
    half = estimate_yield(5_000, WHOLE, texts=40, accepted=20)
    assert half is not None
    assert "80.4 GPU hours (at most 114.2 within the interval)" in in_words(half, "GPU", count=4)


def test_without_a_price_no_cost_is_told() -> None:
    free = estimate_yield(10, [Taken("modify", 100, 1.0, 5, 5)], texts=8, accepted=8)
    assert free is not None
    assert "cost" not in in_words(free, "machine")


@pytest.mark.parametrize(("stages", "accepted"), [(WHOLE, 0), (WHOLE[:1], 3)])
def test_where_nothing_was_accepted_or_written_nothing_is_claimed(stages: list[Taken], accepted: int) -> None:
    assert estimate_yield(5_000, stages, texts=8, accepted=accepted) is None


@given(texts=st.integers(1, 500), share=st.floats(0, 1))
def test_the_interval_holds_the_share_and_the_most_is_never_less_than_expected(texts: int, share: float) -> None:
    accepted = max(1, round(share * texts))
    found = estimate_yield(5_000, WHOLE, texts, accepted)
    assert found is not None
    assert found.accepted.low <= found.accepted.value <= found.accepted.high
    assert found.most.hours >= found.expected.hours * (1 - 1e-9)
    assert found.expected.images * 20_000 / 5_000 * accepted / texts == pytest.approx(TRIPLETS)
