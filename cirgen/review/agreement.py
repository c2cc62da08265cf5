"""How far reviewers agree beyond chance: Cohen's kappa for two, Krippendorff's alpha for more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cirgen.review.verdicts import GOOD

KAPPA = "Cohen's kappa"
ALPHA = "Krippendorff's alpha"


class Agreement(NamedTuple):
    """Agreement on the triplets that at least two reviewers judged."""

    statistic: str
    reviewers: int
    rows: int
    same: float
    """Share of pairs of verdicts on one triplet that are the same."""
    value: float | None
    """Over all verdicts; None where everybody always gave the same one, which leaves chance undefined."""
    good: float | None
    """The same statistic for good against everything else."""


def agreement(verdicts: Iterable[Mapping[str, str]]) -> Agreement | None:
    """Return the agreement of reviewers, None where no triplet has two verdicts.

    Args:
        verdicts: of each triplet, by reviewer.
    """
    shared = [dict(sorted(by_reviewer.items())) for by_reviewer in verdicts if len(by_reviewer) > 1]
    reviewers = sorted({name for by_reviewer in shared for name in by_reviewer})
    if not shared:
        return None
    named = [list(by_reviewer.values()) for by_reviewer in shared]
    whether = [["good" if verdict == GOOD else "not good" for verdict in row] for row in named]
    measure = cohen_kappa if len(reviewers) == 2 else krippendorff_alpha
    statistic = KAPPA if len(reviewers) == 2 else ALPHA
    return Agreement(statistic, len(reviewers), len(shared), _same(named), measure(named), measure(whether))


def _same(units: Sequence[Sequence[str]]) -> float:
    pairs = sum(len(unit) * (len(unit) - 1) for unit in units)
    return sum(n * (n - 1) for unit in units for n in Counter(unit).values()) / pairs


def cohen_kappa(units: Sequence[Sequence[str]]) -> float | None:
    """Return Cohen's kappa (1960) of two reviewers: (observed - chance) / (1 - chance), chance from their own habits.

    Args:
        units: the two verdicts on each triplet, always in the same order of reviewers.
    """
    count = len(units)
    observed = sum(one == other for one, other in units) / count
    ones, others = (Counter(unit[place] for unit in units) for place in (0, 1))
    chance = sum(number * others[verdict] for verdict, number in ones.items()) / count**2
    return (observed - chance) / (1 - chance) if chance < 1 else None


def krippendorff_alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Return Krippendorff's alpha for nominal data (2011, "Computing Krippendorff's Alpha-Reliability", case D).

    Args:
        units: the verdicts on each triplet, two or more; reviewers may have skipped some.
    """
    coincidences: Counter[tuple[str, str]] = Counter()
    for unit in units:
        for place, one in enumerate(unit):
            for other in (*unit[:place], *unit[place + 1 :]):
                coincidences[one, other] += 1 / (len(unit) - 1)  # type: ignore[assignment]
    totals: Counter[str] = Counter()
    for (one, _), number in coincidences.items():
        totals[one] += number
    n = sum(totals.values())
    differing = sum(number for (one, other), number in coincidences.items() if one != other)
    expected = (n**2 - sum(number**2 for number in totals.values())) / (n - 1)
    return 1 - differing / expected if expected else None
