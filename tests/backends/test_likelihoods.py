"""How probable a model holds an answer: its own arithmetic, and the same in any company."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from cirgen.backends.base import Likelihood, Request
from cirgen.backends.template import TemplateBackend
from cirgen.backends.transformers import TransformersBackend
from cirgen.keys import digest
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path

pytestmark = pytest.mark.integration

FILES = sorted(local_path("cirgen:images").glob("*.png"))[:6]
PROMPT = load_prompt("change-images").render(intent="", examples=())
TEXTS = [
    "make the hat red",
    "remove the glasses",
    "add two more balls and make the shirt blue and give them a beard",
    "x",
]


class Files:
    """Opens files by path."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


def asked(text: str, *paths: Path) -> tuple[Request, str]:
    names = tuple(map(str, paths))
    return Request(digest(text, names), 0, PROMPT, names, 0.0, 1.0, 0, 64), text


ASKED = [asked(text, one, two) for text in TEXTS for one in FILES for two in FILES if one != two]


@pytest.fixture(scope="module")
def backend() -> TransformersBackend:
    return TransformersBackend(Model(model="cirgen:mllm"))


def likelihoods(backend: TransformersBackend, rows: list[tuple[Request, str]]) -> dict[str, Likelihood]:
    return {found.request.key: found for found in backend.likelihood(iter(rows), Files())}


def by_hand(backend: TransformersBackend, request: Request, text: str) -> float:
    """Feed the answer token by token, without padding, and add up the logarithms."""
    loaded = backend._loaded
    pictures = loaded.open(request, Files())
    assert not isinstance(pictures, OSError)
    inputs = loaded.encode([request], [pictures])
    total = 0.0
    tokens = loaded.processor.tokenizer.encode(text, add_special_tokens=False)
    for token in [*tokens, None]:
        with torch.inference_mode():
            chances = loaded.model(**inputs).logits[0, -1].double().log_softmax(-1)
        total += float(chances[loaded.stop_tokens].logsumexp(0) if token is None else chances[token])
        if token is not None:
            inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], dim=1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return total


def test_it_is_the_product_over_tokens_and_the_end(backend: TransformersBackend) -> None:
    rows = ASKED[:: len(ASKED) // 6]
    found = likelihoods(backend, rows)
    for request, text in rows:
        assert found[request.key].log_likelihood == pytest.approx(by_hand(backend, request, text), rel=1e-4)
        assert found[request.key].tokens == len(backend._loaded.processor.tokenizer.encode(text)) + 1


def test_it_is_bit_equal_alone_in_company_and_in_any_order(backend: TransformersBackend) -> None:
    together = likelihoods(backend, ASKED)
    assert together == likelihoods(backend, random.Random(1).sample(ASKED, len(ASKED)))
    assert together == likelihoods(TransformersBackend(Model(model="cirgen:mllm", batch_size=1)), ASKED)
    for row in ASKED[::30]:
        (alone,) = backend.likelihood([row], Files())
        assert together[row[0].key] == alone


def test_what_a_model_writes_it_holds_more_probable_than_what_it_does_not(backend: TransformersBackend) -> None:
    pairs = list(itertools.pairwise(FILES))
    requests = [Request(digest(str(pair)), 0, PROMPT, tuple(map(str, pair)), 0.0, 1.0, 0, 64) for pair in pairs]
    for result in backend.generate(requests, Files()):
        own, other = (
            next(iter(backend.likelihood([(result.request, text)], Files()))) for text in (result.text, TEXTS[3])
        )
        assert 0 >= own.log_likelihood > other.log_likelihood


def test_an_unreadable_picture_fails_alone(backend: TransformersBackend, tmp_path: Path) -> None:
    broken = asked("make the hat red", FILES[0], tmp_path / "gone.png")
    found = likelihoods(backend, [ASKED[0], broken])
    assert found[broken[0].key].status == "image_error"
    assert found[ASKED[0][0].key].status == "ok"


def test_a_template_believes_nothing() -> None:
    with pytest.raises(TypeError, match="no probabilities"):
        TemplateBackend("", None).likelihood([], Files())


def test_words_that_stand_for_an_image_are_read_as_words(backend: TransformersBackend) -> None:
    odd = asked("put an <image> on the hat", FILES[0], FILES[1])
    found = likelihoods(backend, [ASKED[0], odd])
    assert {one.status for one in found.values()} == {"ok"}
    assert found[ASKED[0][0].key] == likelihoods(backend, [ASKED[0]])[ASKED[0][0].key]


def test_logits_that_are_no_numbers_are_an_engine_error_and_cost_no_other_row(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = backend._loaded.forward

    def overflowing(inputs: dict[str, torch.Tensor], last: int) -> torch.Tensor:
        logits = forward(inputs, last)
        poisoned = (inputs["input_ids"] == inputs["input_ids"].max()).any(dim=1)
        return torch.where(poisoned[:, None, None], torch.nan, logits)

    expected = likelihoods(backend, ASKED[:8])
    monkeypatch.setattr(backend._loaded, "forward", overflowing)
    found = likelihoods(backend, ASKED[:8])
    for key, one in found.items():
        assert one == expected[key] or one.status == "engine_error"
        assert one.log_likelihood == one.log_likelihood
