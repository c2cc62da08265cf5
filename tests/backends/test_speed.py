"""What is counted of a model's work, and what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.backends.speed import Speed, in_words, together, told


def counted(scale: int) -> Speed:
    return Speed(
        rows=scale,
        images=2 * scale,
        prompt_tokens=90 * scale,
        output_tokens=11 * scale,
        prompt_slots=100 * scale,
        output_slots=10 * scale,
        seconds=4.0 * scale,
        model_seconds=3.0 * scale,
        waited_seconds=1.0 * scale,
        operations=2e12 * scale,
        peak_tflops=1.0,
        peak_bytes=2**30,
    )


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_two_calls_add_up_to_the_rates_of_both(one: int, other: int) -> None:
    both = together(counted(one).record(), counted(other).record())
    assert both == counted(one + other).record()
    assert told(both) == pytest.approx(told(counted(1).record()) | {"waited_seconds": one + other})


def test_what_is_told_follows_from_the_counts() -> None:
    figures = told(counted(10).record())
    assert figures["images_per_second"] == pytest.approx(0.5)
    assert figures["output_tokens_per_second"] == pytest.approx(11 / 4)
    assert figures["padding_share"] == pytest.approx(1 - 100 / 110)  # a prompt's last place yields the first token
    assert figures["waited_share"] == pytest.approx(0.25)
    assert figures["model_flop_utilisation"] == pytest.approx(0.5)
    assert "50.0% of the stated peak" in in_words(figures)


def test_no_peak_no_utilisation_and_no_work_no_rates() -> None:
    figures = told(Speed().record())
    assert "model_flop_utilisation" not in figures
    assert set(figures.values()) == {0.0}
    assert "stated peak" not in in_words(figures)
