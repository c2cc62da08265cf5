"""What so many accepted triplets take, by what a preview took and by how many of its texts its filters accepted.

Few texts say little of the share that will be accepted, so it comes with its 95 % interval (Wilson 1927): at its lower
end more texts have to be written for each triplet that is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cirgen.intervals import Interval, wilson

TRIPLETS = 100_000
"""What figures are given for."""
SECONDS_PER_HOUR = 3_600


class Stage(Protocol):
    """What one stage of the whole takes."""

    @property
    def stage(self) -> str:
        """Return its name."""

    @property
    def rows(self) -> int:
        """Return how many rows it has."""

    @property
    def seconds(self) -> float:
        """Return how long it takes."""

    @property
    def prompt_tokens(self) -> int:
        """Return how many tokens are read."""

    @property
    def output_tokens(self) -> int:
        """Return how many tokens are written."""


@dataclass(frozen=True)
class Yield:
    """What `TRIPLETS` accepted triplets take at one share of texts that are accepted."""

    images: float
    """Taken in; more than the source has where the whole makes fewer triplets."""
    hours: float
    """By the clock; those of GPUs are as many times more as work at once."""
    prompt_tokens: float
    output_tokens: float
    cost: float
    """0 without a price."""


@dataclass(frozen=True)
class Estimate:
    """What a preview says of the yield of the whole."""

    texts: int
    """Written in the preview."""
    accepted: Interval
    """Share of them that its filters accepted, 0 to 1."""
    whole: float
    """Triplets of the whole, at that share."""
    expected: Yield
    most: Yield
    """At the lower end of the interval."""


def estimate_yield(
    images: int, stages: Iterable[Stage], texts: int, accepted: int, cost: float = 0.0
) -> Estimate | None:
    """Return what so many triplets take, None where the preview accepted nothing or its whole writes no text.

    Args:
        images: of the whole.
        stages: what each takes for the whole; that named `modify` has as many rows as texts are written.
        texts: that the preview wrote.
        accepted: how many of them it accepted.
        cost: of the whole.
    """
    taken = list(stages)
    planned = sum(stage.rows for stage in taken if stage.stage == "modify")
    if not accepted or not planned:
        return None
    share = accepted / texts
    low, high = wilson(share, texts)
    low, high = min(low, share), max(high, share)
    expected, most = (_yield(images, taken, planned * one, cost) for one in (share, low))
    return Estimate(texts, Interval(share, low, high), planned * share, expected, most)


def _yield(images: int, stages: list[Stage], triplets: float, cost: float) -> Yield:
    scale = TRIPLETS / triplets
    return Yield(
        images * scale,
        sum(stage.seconds for stage in stages) * scale / SECONDS_PER_HOUR,
        sum(stage.prompt_tokens for stage in stages) * scale,
        sum(stage.output_tokens for stage in stages) * scale,
        cost * scale,
    )


def in_words(estimate: Estimate, unit: str, count: int = 1) -> str:
    """Say it in two sentences.

    Args:
        estimate: of a preview.
        unit: what hours are hours of, such as `GPU`.
        count: how many of them work at once.
    """
    share, low, high = estimate.accepted
    expected, most = estimate.expected, estimate.most
    hours, most_hours = count * expected.hours, count * most.hours
    tokens = expected.prompt_tokens + expected.output_tokens
    price = f", cost {expected.cost:,.2f}" if expected.cost else ""
    return (
        f"{share:.0%} of {estimate.texts} texts were accepted (95 % interval {low:.0%} to {high:.0%}), so the whole "
        f"may hold about {estimate.whole:,.0f} triplets. {TRIPLETS:,} accepted triplets take about "
        f"{expected.images:,.0f} images, {hours:,.1f} {unit} hours (at most {most_hours:,.1f} within the "
        f"interval) and {tokens:,.0f} tokens{price}; preview more rows to know it better."
    )
