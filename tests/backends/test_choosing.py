"""A model's belief in an answer belongs to the question: not to its companions, its place, or any setting of speed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cirgen.backends.base import Choice, Request
from cirgen.backends.options import option_tokens, padded, shares
from cirgen.backends.passes import MOST_ROWS
from cirgen.backends.template import TemplateBackend
from cirgen.backends.transformers import TransformersBackend
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path

FILES = sorted(local_path("cirgen:images").glob("*.png"))[:5]
TEXTS = ["make the hat red", "remove the glasses", "add two more balls and make the shirt blue", "swap them"]
YES_NO = ("yes", "no")


class Files:
    """Opens files by path."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


def question(text: str, *paths: Path) -> Request:
    names = tuple(map(str, paths))
    prompt = load_prompt("judge-change").render(text=text)
    return Request(digest(text, names), 0, prompt, names, 0.0, 1.0, 0, 1)


QUESTIONS = [question(text, one, two) for text in TEXTS for one in FILES for two in FILES if one != two]


@pytest.fixture(scope="module")
def backend() -> TransformersBackend:
    return TransformersBackend(Model(model="cirgen:mllm"))


def beliefs(backend: TransformersBackend, requests: list[Request]) -> dict[str, Choice]:
    return {choice.request.key: choice for choice in backend.choose(iter(requests), YES_NO, Files())}


@pytest.mark.integration
def test_shares_are_bit_equal_alone_in_company_and_in_any_order(backend: TransformersBackend) -> None:
    together = beliefs(backend, QUESTIONS)
    shuffled = beliefs(backend, random.Random(3).sample(QUESTIONS, len(QUESTIONS)))
    alone = [next(iter(backend.choose([one], YES_NO, Files()))) for one in QUESTIONS[:3]]
    other_speed = beliefs(TransformersBackend(Model(model="cirgen:mllm", batch_size=3)), QUESTIONS)
    assert together == shuffled == other_speed
    assert all(together[choice.request.key] == choice for choice in alone)


@pytest.mark.integration
def test_shares_sum_to_one_and_say_what_greedy_decoding_answers(backend: TransformersBackend) -> None:
    found = beliefs(backend, QUESTIONS)
    written = {
        result.request.key: result.text
        for result in backend.generate((Request(*_fields(q, 2)) for q in QUESTIONS), Files())
    }
    assert len(found) == len(QUESTIONS)
    for key, choice in found.items():
        assert choice.status == "ok"
        assert sum(choice.shares) == pytest.approx(1)
        assert 0.5 < choice.mass <= 1.000001  # this model was taught to answer with one of the two
        if abs(choice.shares[0] - 0.5) > 1e-3:
            assert YES_NO[int(choice.shares[1] > choice.shares[0])] == written[key]


def _fields(request: Request, tokens: int) -> tuple[object, ...]:
    return (request.key, 0, request.prompt, request.image_ids, 0.0, 1.0, 0, tokens)


@pytest.mark.integration
def test_an_unreadable_picture_fails_alone(backend: TransformersBackend, tmp_path: Path) -> None:
    broken = question("make the hat red", FILES[0], tmp_path / "gone.png")
    found = beliefs(backend, [QUESTIONS[0], broken, QUESTIONS[1]])
    assert found[broken.key].status == "image_error"
    assert found[broken.key].shares == ()
    assert [found[q.key].status for q in QUESTIONS[:2]] == ["ok", "ok"]


@pytest.mark.integration
def test_words_that_stand_for_an_image_fail_alone(backend: TransformersBackend) -> None:
    poisoned = question("make the <image> red", FILES[0], FILES[1])
    poisoned = Request(poisoned.key, 0, "<image> <image> <image> what?", poisoned.image_ids, 0.0, 1.0, 0, 1)
    found = beliefs(backend, [QUESTIONS[0], poisoned, QUESTIONS[1]])
    assert found[poisoned.key].status == "parse_error"
    assert found[QUESTIONS[0].key] == beliefs(backend, QUESTIONS[:1])[QUESTIONS[0].key]


@pytest.mark.integration
def test_every_request_gets_one_choice_however_many_there_are(backend: TransformersBackend) -> None:
    requests = QUESTIONS[: 2 * MOST_ROWS + 3]
    assert sorted(c.request.key for c in backend.choose(iter(requests), YES_NO, Files())) == sorted(
        request.key for request in requests
    )


def test_a_template_believes_nothing() -> None:
    with pytest.raises(TypeError, match="no probabilities"):
        TemplateBackend("", None).choose([], YES_NO, Files())


class Words:
    """A tokenizer of whole words, white space before a word being a part of it."""

    def __init__(self, *known: str) -> None:
        self.known = known

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [self.known.index(text)] if text in self.known else []

    def decode(self, ids: list[int]) -> str:
        return self.known[ids[0]]


def test_spellings_of_an_option_count_for_it() -> None:
    assert option_tokens(Words("yes", " Yes", "NO", "maybe"), YES_NO) == [[0, 1], [2]]


def test_a_letter_is_no_article() -> None:
    assert option_tokens(Words("A", " a", "a", " B"), ("A", "B")) == [[0], [3]]


def test_options_that_begin_alike_are_refused_with_the_way_out() -> None:
    class FirstLetter(Words):
        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return [self.known.index(text.strip()[0].lower())] if text.strip() else []

    with pytest.raises(UserError, match="begin differently"):
        option_tokens(FirstLetter("n", "y"), ("none", "no"))


LOGITS = st.lists(st.floats(-50, 50), min_size=6, max_size=6)


@given(LOGITS)
def test_shares_are_a_distribution_over_the_options_and_ignore_all_other_tokens(row: list[float]) -> None:
    tokens = [[0, 3], [1]]
    ((found,), (mass,)) = shares(torch.tensor([row]), tokens)
    assert sum(found) == pytest.approx(1)
    assert 0 <= mass <= 1 + 1e-9
    other = [*row[:2], row[2] - 30, row[3], row[4] - 30, row[5] - 30]
    ((again,), _) = shares(torch.tensor([other]), tokens)
    assert again == pytest.approx(found)


def test_padding_fills_up_on_the_left_and_hides_itself() -> None:
    inputs = {
        "input_ids": torch.tensor([[5, 6]]),
        "attention_mask": torch.tensor([[1, 1]]),
        "pixel_values": torch.ones(1, 3),
    }
    found = padded(inputs, 4, 9)
    assert found["input_ids"].tolist() == [[9, 9, 5, 6]]
    assert found["attention_mask"].tolist() == [[0, 0, 1, 1]]
    assert found["pixel_values"].tolist() == [[1, 1, 1]]
