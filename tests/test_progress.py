"""Progress in lines and in bars."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cirgen.progress import Bars, Lines, Silent


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_lines_come_every_ten_seconds_and_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    with Lines(stream, now=clock).step("Caption images", 1_000) as step:
        for _ in range(25):
            clock.seconds += 1
            step.advance(40, ok="98%")
    assert stream.getvalue().splitlines() == [
        "Caption images: 400 of 1,000, 40/s, ok 98%, 0:00:15 left",
        "Caption images: 800 of 1,000, 40/s, ok 98%, 0:00:05 left",
        "Caption images: 1,000 of 1,000, 40/s, ok 98%",
    ]


def test_loading_a_model_does_not_count_and_nothing_is_promised_before_two_batches_came() -> None:
    stream, clock = io.StringIO(), Clock()
    with Lines(stream, now=clock).step("Caption images", 320) as step:
        clock.seconds += 600  # the model loads
        for _ in range(5):
            clock.seconds += 20
            for _ in range(64):
                clock.seconds += 0.001
                step.advance()
    assert stream.getvalue().splitlines() == [
        "Caption images: 1 of 320",
        "Caption images: 65 of 320",
        "Caption images: 129 of 320, 3.2/s, 0:01:00 left",
        "Caption images: 193 of 320, 3.2/s, 0:00:40 left",
        "Caption images: 257 of 320, 3.2/s, 0:00:20 left",
        "Caption images: 320 of 320, 3.2/s",
    ]


def test_the_last_line_is_written_once() -> None:
    stream, clock = io.StringIO(), Clock()
    with Lines(stream, now=clock).step("Caption images", 2) as step:
        for _ in range(2):
            clock.seconds += 30
            step.advance()
    assert stream.getvalue().splitlines() == ["Caption images: 1 of 2", "Caption images: 2 of 2, 0.033/s"]


def test_a_step_of_unknown_length_counts_alone() -> None:
    stream, clock = io.StringIO(), Clock()
    with Lines(stream, now=clock).step("Ingest images") as step:
        clock.seconds += 2
        step.advance(3)
    assert stream.getvalue() == "Ingest images: 3, 1.5/s\n"


def test_a_step_that_breaks_still_says_how_far_it_came() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Lines(stream).step("Caption images", 10) as step:
        step.advance(4)
        raise KeyboardInterrupt
    assert stream.getvalue().startswith("Caption images: 4 of 10, ")


def test_a_bar_shows_count_and_notes_within_80_columns() -> None:
    stream = io.StringIO()
    bars = Bars(Console(file=stream, force_terminal=True, width=80, color_system=None))
    with bars.step("Write modification texts", 1_500) as step:
        step.advance(1_500, accepted="71%")
    bars.say("[note] 3 files could not be read")
    shown = stream.getvalue()
    assert "1500/1500" in shown
    assert "accepted 71%" in shown
    assert "/s" in shown
    assert "[note] 3 files could not be read" in shown


def test_silence_is_kept() -> None:
    silent = Silent()
    silent.say("nothing")
    with silent.step("Caption images", 3) as step:
        step.advance(3, ok="100%")
