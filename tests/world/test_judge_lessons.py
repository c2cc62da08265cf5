"""What the judge is taught: every answer agrees with the exact truth of the figures that it is asked about."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from cirgen.world.figure import Figure
from cirgen.world.grammar import change_parts
from cirgen.world.parser import parse
from cirgen.world.training import judge
from cirgen.world.training.checks import (
    FALSE,
    TRUE,
    UNSUPPORTED,
    check_change,
    check_target,
    compare_changes,
    is_absolute,
    shown,
    split_claims,
)
from cirgen.world.training.pool import Pool, training_family
from cirgen.world.training.tasks import Lesson
from cirgen.world.training.tokenizer import mllm_tokenizer, tokenizer_texts
from cirgen.world.truth import hold

LEVEL = "medium"


def pairs(families: int = 40) -> Iterator[tuple[Figure, Figure, random.Random]]:
    for index in range(families):
        reference, target, *_ = training_family("second-mllm", LEVEL, 1, index)
        yield reference, target, random.Random(index)


def between(lesson: Lesson, before: str, after: str) -> str:
    return lesson.question.split(before, 1)[1].split(after, 1)[0].strip()


@pytest.mark.long
def test_a_split_text_says_the_same_in_single_changes() -> None:
    for reference, target, rng in pairs():
        text, parts = change_parts(reference, target, rng) or ("", [])
        together = {claim for part in parts for claim in parse(part) or ()}
        assert together == set(parse(text) or ())
        lesson = split_claims(reference, target, rng)
        marks = [part.split(": ", 1) for part in lesson.answer.split("; ")]
        assert all(mark == ("target" if is_absolute(parse(part) or ()) else "both") for mark, part in marks)
        assert all(hold(parse(part) or (), reference, target) for _, part in marks)


def test_a_claim_about_one_image_is_true_when_the_image_shows_it() -> None:
    answers: Counter[str] = Counter()
    for reference, _, rng in pairs():
        for _ in range(10):
            lesson = check_target(reference, rng, LEVEL)
            claims = parse(between(lesson, "Change:", "Does the image"))
            assert claims and is_absolute(claims)
            assert lesson.answer == shown(claims, reference)
            answers[lesson.answer] += 1
    assert answers[UNSUPPORTED] > 5
    assert min(answers[TRUE], answers[FALSE]) > 0.3 * answers.total()


def test_what_an_image_cannot_show_is_unsupported() -> None:
    hat = next(figure for reference, target, _ in pairs() for figure in (reference, target) if figure.wears_hat)
    assert shown(parse("make the hair ginger") or (), hat) == UNSUPPORTED
    assert shown(parse(f"a {'red' if hat.shirt_color != 'red' else 'blue'} shirt") or (), hat) == FALSE


def test_a_claim_about_a_pair_is_true_when_the_change_is() -> None:
    answers: Counter[str] = Counter()
    relative = 0
    for reference, target, rng in pairs(60):
        for _ in range(6):
            lesson = check_change(reference, target, rng, LEVEL)
            claims = parse(between(lesson, "Change:", "Is this true")) or ()
            assert (lesson.answer == TRUE) == hold(claims, reference, target)
            answers[lesson.answer] += 1
            relative += not is_absolute(claims)
    assert relative > 10
    assert answers[TRUE] > 0.3 * answers.total()


def test_what_is_said_is_compared_with_the_images_even_where_the_observation_is_mistaken() -> None:
    mistaken = 0
    for reference, target, rng in pairs(60):
        for right in (True, False):
            lesson = compare_changes(reference, target, rng, LEVEL, right)
            said = parse(between(lesson, "Said:", "Does what is said")) or ()
            observed = parse(between(lesson, "Observed:", "Said:")) or ()
            assert lesson.answer == ("yes" if right else "no")
            if right:
                assert hold(said, reference, target)
            mistaken += not hold(observed, reference, target)
    assert 10 < mistaken < 60


@pytest.mark.long
@pytest.mark.parametrize(("part", "images"), [("images", {1}), ("all", {1, 2})])
def test_a_course_asks_about_images_and_pairs(part: str, images: set[int]) -> None:
    figures = tuple(figure for index in range(4) for figure in training_family("second-mllm", LEVEL, 1, index))
    pool = Pool(figures, np.zeros((len(figures), 96, 96, 3), dtype=np.uint8))
    lessons = judge.JudgeLessons(pool, judge.SETTINGS, mllm_tokenizer(tokenizer_texts(draws=100)), part)  # type: ignore[arg-type]
    seen = set()
    for turn in range(40):
        indices, packed = lessons.batch(random.Random(turn))
        seen.add(len(indices) // len(packed.ids))
        assert (packed.labels >= 0).any(dim=1).all()
    assert seen == images
