"""What training reads from a question's words: the truth about a text's claims, from the right places."""

from __future__ import annotations

import random

import torch

from cirgen.world.figure import Figure
from cirgen.world.training.classifiers import UNASKED, Classifiers
from cirgen.world.training.packing import Packer
from cirgen.world.training.pool import CLASSES as VALUE_CLASSES
from cirgen.world.training.probes import (
    AS_BEFORE,
    CLASSES,
    FALSE,
    TRUE,
    UNSAID,
    captions_probe,
    claims_probe,
    fits_probe,
    shown_probe,
)
from cirgen.world.training.tasks import judge_change, pair_lessons
from cirgen.world.training.tokenizer import ASSISTANT, SPECIAL_TOKENS, mllm_tokenizer, tokenizer_texts
from figures import BASE

TARGET = BASE.with_values(shirt_color="blue", glasses="round glasses")
NAMES = list(Figure.__dataclass_fields__)


def claims(before: Figure, after: Figure) -> dict[str, int]:
    codes = claims_probe(BASE, TARGET, before, after).codes
    return {name: code for name, code in zip(NAMES, codes, strict=True) if code != UNSAID}


def test_a_true_text_claims_what_differs() -> None:
    assert claims(BASE, TARGET) == {"shirt_color": TRUE, "glasses": TRUE}


def test_a_wrong_value_is_false_and_the_rest_stays_true() -> None:
    other = TARGET.with_values(shirt_color="green")
    assert claims(BASE, other) == {"shirt_color": FALSE, "glasses": TRUE}


def test_a_swapped_direction_claims_what_was_so_before() -> None:
    assert claims(TARGET, BASE) == {"shirt_color": AS_BEFORE, "glasses": AS_BEFORE}


def test_what_both_images_show_is_asked_of_what_the_text_speaks_of_alone() -> None:
    codes = shown_probe(BASE, TARGET, BASE, TARGET.with_values(glasses="none")).codes
    shown = [(NAMES[i % len(NAMES)], VALUE_CLASSES[i % len(NAMES)][code]) for i, code in enumerate(codes) if code >= 0]
    assert shown == [("shirt_color", "red"), ("shirt_color", "blue")]
    assert {code for code in codes if code < 0} == {UNASKED}


def test_only_the_target_among_the_candidates_fits() -> None:
    assert fits_probe([BASE, TARGET, BASE.with_values(glasses="round glasses")], TARGET).codes == (0, 1, 0)


def test_two_captions_tell_what_differs_and_what_the_second_says() -> None:
    codes = captions_probe(BASE, TARGET).codes
    assert len(codes) == len(CLASSES["captions"])
    assert [name for name, differs in zip(NAMES, codes, strict=False) if differs] == ["shirt_color", "glasses"]
    assert all(code < classes for code, classes in zip(codes, CLASSES["captions"], strict=True))


def test_a_judged_text_and_its_probe_agree() -> None:
    rng = random.Random(0)
    for right in [True, False] * 20:
        lesson = judge_change(BASE, TARGET, rng, "medium", right)
        claimed, _ = lesson.probes
        assert (lesson.answer == "yes") == (set(claimed.codes) <= {UNSAID, TRUE})


def test_probes_read_every_word_of_their_question_and_no_other() -> None:
    tokenizer = mllm_tokenizer(tokenizer_texts(draws=20))
    lessons = [pair_lessons(BASE, TARGET, random.Random(seed), "medium") for seed in range(3)]
    packed = Packer(tokenizer).pack(2, lessons)
    asked = [lesson for row in lessons for lesson in row if any(probe.kind == "claims" for probe in lesson.probes)]
    probed = packed.probes["claims"]
    assert len(probed.codes) == len(asked)
    for number, lesson in enumerate(asked):
        words = packed.ids[probed.rows[number], probed.places[number]][probed.words[number]].tolist()
        assert words[-1] == SPECIAL_TOKENS.index(ASSISTANT)
        assert tokenizer.decode(words[:-1]) == lesson.question
        assert probed.codes[number].tolist() == list(lesson.probes[0].codes)


def test_a_classifier_does_not_see_places_that_do_not_count() -> None:
    torch.manual_seed(0)
    classifiers = Classifiers(8, (2, 3))
    states, codes = torch.randn(2, 5, 8), torch.tensor([[0, 2], [1, 0]])
    places = torch.tensor([[True] * 3 + [False] * 2] * 2)
    changed = states.clone()
    changed[:, 3:] += 100
    assert classifiers(states, codes, places) == classifiers(changed, codes, places)
    assert classifiers(states, codes) != classifiers(changed, codes)
