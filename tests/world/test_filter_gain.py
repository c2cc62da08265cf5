"""What filtering achieved, told with an interval and in plain words."""

from __future__ import annotations

import pytest

from cirgen.world.filter_gain import gain, sentence
from cirgen.world.truth import Verdict
from cirgen.world.truth_report import Judged


def judged(accepted_good: int, accepted_bad: int, rejected_good: int, rejected_bad: int) -> list[Judged]:
    """Return triplets of that many references, one for each."""
    kinds = (("", True), ("", False), ("lint", True), ("lint", False))
    counts = (accepted_good, accepted_bad, rejected_good, rejected_bad)
    rows = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    return [
        Judged(str(row), "t", reason, Verdict(True, good, good, good, good)) for row, (reason, good) in enumerate(rows)
    ]


def test_the_difference_is_that_of_the_shares_and_lies_in_its_interval() -> None:
    found = gain(judged(80, 20, 20, 80))
    assert found is not None
    assert (found.all, found.accepted, found.rejected) == pytest.approx((0.5, 0.8, 0.2))
    assert found.over_all.value == pytest.approx(0.3)
    assert found.over_rejected.value == pytest.approx(0.6)
    assert found.over_all.low < 0.3 < found.over_all.high
    assert gain(judged(80, 20, 20, 80)) == found


def test_it_says_how_many_of_the_good_ones_are_kept() -> None:
    found = gain(judged(60, 20, 20, 80))
    assert found is not None
    assert found.kept is not None
    assert found.kept.share == pytest.approx(0.75)
    assert found.kept.low < 0.75 < found.kept.high
    assert "Of the good ones 75.0 % [" in sentence(found)
    nothing_good = gain(judged(0, 20, 0, 80))
    assert nothing_good is not None
    assert nothing_good.record()["kept"] is None
    assert "Of the good ones" not in sentence(nothing_good)


def test_an_interval_is_wider_where_triplets_share_their_reference() -> None:
    alone = judged(80, 20, 20, 80)
    shared = [row._replace(reference_id=str(int(row.reference_id) // 10)) for row in alone]
    one, other = gain(alone), gain(shared)
    assert one is not None
    assert other is not None
    assert other.over_all.high - other.over_all.low > one.over_all.high - one.over_all.low


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((80, 20, 20, 80), "from 50.0 to 80.0 %: +30.0 points ["),
        ((900, 900, 10, 90), "changed little."),
        ((5, 5, 4, 6), "changed little: it may be chance."),
        ((20, 80, 80, 20), "did harm."),
        ((5, 5, 0, 0), "cannot be told"),
        ((0, 0, 5, 5), "cannot be told"),
    ],
)
def test_a_small_difference_is_called_small(counts: tuple[int, int, int, int], words: str) -> None:
    said = sentence(gain(judged(*counts)))
    assert words in said
    assert ("changed little" in said) == ("changed little" in words)
