"""Which questions share a forward pass: as many as their own length decides, and never more than memory holds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cirgen.backends import passes
from cirgen.backends.passes import MOST_ROWS, TOKENS, Encoded, Failed, answered, full_batch, guarded, rows_of

LENGTHS = st.sampled_from([32, 64, 300, 1000, 5000])


def question(name: int, length: int, patches: int = 4) -> Encoded[int]:
    return Encoded(name, {"input_ids": torch.full((1, length), name), "pixel_values": torch.zeros(patches, 3)})


def nothing() -> None:
    pass


@given(st.lists(st.tuples(LENGTHS, st.integers(1, 3)), max_size=80))
def test_every_question_is_in_one_pass_among_its_like(shapes: list[tuple[int, int]]) -> None:
    questions = [question(place, *shape) for place, shape in enumerate(shapes)]
    groups = [group for group in passes.passes(questions) if not isinstance(group, Failed)]
    assert sorted(one.asked for group in groups for one in group) == list(range(len(shapes)))
    for group in groups:
        assert len({shapes[one.asked] for one in group}) == 1
        assert len(group) <= rows_of(group[0].inputs)


@given(st.integers(1, 20_000))
def test_rows_of_a_pass_follow_from_length_alone_and_keep_the_budget(length: int) -> None:
    rows = rows_of(question(0, length).inputs)
    assert rows == rows_of(question(1, length, patches=9).inputs)
    assert 1 <= rows <= MOST_ROWS
    assert rows == 1 or rows * length <= TOKENS


def test_a_question_as_long_as_two_large_pictures_runs_without_repetition() -> None:
    assert full_batch([question(7, 2500)])["input_ids"].shape[0] == 1


def test_rows_past_the_questions_repeat_them() -> None:
    batch = full_batch([question(1, 64), question(2, 64), question(3, 64)])
    assert batch["input_ids"][:, 0].tolist() == [1, 2, 3] * 5 + [1]


def test_pictures_that_differ_in_shape_do_not_pile_up_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "WINDOW_BYTES", 100_000)
    waiting = 0
    most = 0

    def told() -> object:
        nonlocal waiting, most
        for place in range(300):
            one = question(place, 64, patches=100 + place)
            waiting += sum(value.nbytes for value in one.inputs.values())
            most = max(most, waiting)
            yield one

    for group in passes.passes(told()):  # type: ignore[arg-type]
        waiting -= sum(value.nbytes for one in group for value in one.inputs.values())
    assert waiting == 0
    assert most < 2 * 100_000


def test_one_that_the_model_cannot_read_fails_alone_with_its_reason() -> None:
    def run(inputs: dict[str, torch.Tensor]) -> Sequence[int]:
        if (inputs["input_ids"] == 5).any():
            raise RuntimeError("five is right out")
        return [int(row[0]) for row in inputs["input_ids"]]

    found = list(answered([question(place, 64) for place in range(12)], run, nothing))
    failed = [one for one in found if isinstance(one, Failed)]
    assert [(one.asked, one.status, one.error) for one in failed] == [
        (5, "engine_error", "RuntimeError: five is right out")
    ]
    assert sorted(one for one in found if not isinstance(one, Failed)) == [(n, n) for n in range(12) if n != 5]


def test_memory_that_ran_out_is_told_with_the_setting_that_helps() -> None:
    def run(inputs: dict[str, torch.Tensor]) -> Sequence[int]:
        raise torch.OutOfMemoryError("tried to allocate")

    found = list(guarded([question(0, 2000), question(1, 2000)], run, nothing))
    assert [one.status for one in found if isinstance(one, Failed)] == ["oom", "oom"]
    assert all("2 questions" in one.error and "max_pixels" in one.error for one in found if isinstance(one, Failed))
