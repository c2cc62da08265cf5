"""Every family of models that people name is read and answered rightly, in any company.

Models of the real architectures with random weights: they say nothing, but another answer in another batch, or another
one than `generate` gives, is a mistake all the same.
"""

from __future__ import annotations

import random
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from perf.random_models import FAMILIES, build
from PIL import Image
from transformers import AutoModelForImageTextToText

from cirgen.backends import decoding
from cirgen.backends.base import Request, Result
from cirgen.backends.decoding import JOINABLE, WholeDecoder
from cirgen.backends.heads import shareable
from cirgen.backends.processor import load_processor
from cirgen.backends.transformers import TransformersBackend
from cirgen.keys import digest
from cirgen.model_files import opened
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt

SIZES = [(60, 40), (100, 200), (333, 90), (56, 56), (200, 200), (31, 77), (150, 120), (400, 300)]
"""Of the pictures, in pixels: square, tall, wide, small and large."""
TOKENS = 10
NOTHING = "the model answered nothing"


class Pictures:
    """Coarse noise, by its place in `SIZES`."""

    def open(self, image_id: str) -> Image.Image:
        width, height = SIZES[int(image_id)]
        cells = np.random.default_rng(int(image_id)).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3))
        return Image.fromarray(cells.astype(np.uint8)).resize((width, height))


def asked(prompt: str, *image_ids: int, **values: object) -> Request:
    rendered, names = load_prompt(prompt).render(**values), tuple(map(str, image_ids))
    return Request(digest(rendered, names), 0, rendered, names, 0.0, 1.0, 0, TOKENS)


REQUESTS = [
    *(asked("caption-brief", one, words=10) for one in range(8)),
    *(asked("change-images", one, (one + 3) % 8, intent="", examples=()) for one in range(8)),
    *(asked("pick-target", *((one + place) % 8 for place in range(5)), text="now in red") for one in range(2)),
    asked("rewrite-captions", intent="", reference_caption="a dog", target_caption="two dogs on a bed", examples=()),
]
"""A caption of one image, a change of two, a pick among four, and a text without images."""


ABOUT = [
    asked(name, *images, **values)
    for images in ((0,), (4, 1), (4, 6), (7,))
    for name, values in (
        [("caption-brief", {"words": words}) for words in (6, 10, 14)] + [("caption-attributes", {})]
        if len(images) == 1
        else [("change-images", {"intent": intent, "examples": ()}) for intent in ("", "Speak of colours.")]
        + [("judge-change", {"text": "now in red"})]
    )
]
"""Several questions about one image, and about two."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_that_is_written_is_read_again(family: str, tmp_path: Path) -> None:
    """Weights under names that nobody knows would be drawn anew, and every run would be another model's."""
    build(family, tmp_path)
    _, report = opened(AutoModelForImageTextToText, tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def backend(folder: Path) -> TransformersBackend:
    made = TransformersBackend(Model(model=str(folder), batch_size=32))
    # a random model hardly ever says that it is done: with every eighth token an end, answers differ in length
    made._loaded.stop_tokens = list(range(0, made._loaded.model.config.get_text_config().vocab_size, 8))
    return made


def of_size(backend: TransformersBackend, batch_size: int, **settings: object) -> TransformersBackend:
    return TransformersBackend(
        backend._settings.model_copy(update={"batch_size": batch_size, **settings}), backend._loaded
    )


def answers(backend: TransformersBackend, requests: list[Request]) -> dict[str, Result]:
    return {result.request.key: result for result in backend.generate(iter(requests), Pictures())}


@pytest.fixture(scope="module")
def together(backend: TransformersBackend) -> dict[str, Result]:
    return answers(backend, REQUESTS)


def test_every_request_is_read_and_answered(together: dict[str, Result]) -> None:
    assert len(together) == len(REQUESTS)
    assert {result.status for result in together.values()} <= {"ok", "truncated", "parse_error"}
    assert {result.error for result in together.values() if result.status == "parse_error"} <= {NOTHING}
    assert len({result.text for result in together.values()}) > 2
    assert len({result.output_tokens for result in together.values()}) > 2


def test_answers_are_the_same_alone_in_company_and_in_places_that_others_left(
    backend: TransformersBackend, together: dict[str, Result]
) -> None:
    assert answers(of_size(backend, 1), REQUESTS) == together
    assert answers(of_size(backend, 3), random.Random(1).sample(REQUESTS, len(REQUESTS))) == together
    assert answers(of_size(backend, 32, batch_tokens=300), REQUESTS) == together


def test_rows_that_come_and_go_are_answered_as_generate_does(
    backend: TransformersBackend, together: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend._loaded.model.config.model_type in JOINABLE
    monkeypatch.setattr("cirgen.backends.answering.decoder_for", WholeDecoder)
    assert answers(backend, REQUESTS) == together


def test_images_that_several_prompts_are_about_are_read_once_and_answers_are_the_same(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = answers(of_size(backend, 1), ABOUT)
    backend.take_speed()
    company = [*REQUESTS[1:4], *ABOUT, *REQUESTS[-2:]]
    found = answers(backend, company)
    assert {key: found[key] for key in alone} == alone
    speed, whole = backend.take_speed(), sum(result.prompt_tokens for result in found.values())
    assert speed.images == sum(len(request.image_ids) for request in company)
    once = shareable(backend._loaded.model.config)
    assert (speed.prompt_tokens < 0.9 * whole) == once
    assert (speed.prompt_tokens == whole) == (not once)
    assert answers(of_size(backend, 3), company) == found
    monkeypatch.setattr("cirgen.backends.answering.decoder_for", WholeDecoder)
    assert answers(backend, company) == found


def test_draws_are_the_same_alone_and_in_company(backend: TransformersBackend) -> None:
    drawn = [replace(one, temperature=1.0, top_k=50, top_p=0.9) for one in REQUESTS[::3]]
    assert answers(of_size(backend, 1), drawn) == answers(backend, drawn)


def test_beliefs_and_likelihoods_are_bit_equal_alone_and_in_company(backend: TransformersBackend) -> None:
    shuffled = random.Random(2).sample(REQUESTS, len(REQUESTS))
    beliefs = {one.request.key: one for one in backend.choose(iter(shuffled), ("A", "B", "C", "D"), Pictures())}
    read = [(one, "make the hat red") for one in shuffled]
    likelihoods = {one.request.key: one for one in backend.likelihood(iter(read), Pictures())}
    assert {one.status for one in (*beliefs.values(), *likelihoods.values())} == {"ok"}
    for request, text in read[::6]:
        assert list(backend.choose([request], ("A", "B", "C", "D"), Pictures())) == [beliefs[request.key]]
        assert list(backend.likelihood([(request, text)], Pictures())) == [likelihoods[request.key]]


def test_a_prompt_has_as_many_tokens_whatever_is_asked_of_it(
    backend: TransformersBackend, together: dict[str, Result]
) -> None:
    some = REQUESTS[::5]
    written = [together[one.key].prompt_tokens for one in some]
    assert min(written) > 10
    beliefs = {one.request.key: one for one in backend.choose(iter(some), ("yes", "no"), Pictures())}
    assert [beliefs[one.key].prompt_tokens for one in some] == written
    text = "make the hat red"
    read = {one.request.key: one for one in backend.likelihood([(one, text) for one in some], Pictures())}
    # the end of the answer is told by the last token before it, and is not read
    assert [read[one.key].prompt_tokens - (read[one.key].tokens - 1) for one in some] == written


def test_pictures_make_a_difference(backend: TransformersBackend) -> None:
    loaded = backend._loaded
    first, second = (
        loaded.forward(loaded.encode(REQUESTS[:1], [[Pictures().open(name).resize((56, 56))]]), 1) for name in "04"
    )
    assert not torch.allclose(first, second, atol=1e-4, rtol=1e-4)


def test_padding_on_the_left_changes_no_logit(backend: TransformersBackend) -> None:
    loaded = backend._loaded
    assert loaded.processor.tokenizer.padding_side == "left"
    inputs = loaded.encode(REQUESTS[:1], [[Pictures().open("0")]])
    wider = {
        name: torch.nn.functional.pad(value, (7, 0), value=loaded.pad_token if name == "input_ids" else 0)
        if value.shape == inputs["input_ids"].shape
        else value
        for name, value in inputs.items()
    }
    first, second = (
        loaded.generate(one, 1, return_dict_in_generate=True, output_logits=True).logits[0] for one in (inputs, wider)
    )
    assert torch.allclose(first, second, atol=1e-4, rtol=1e-4)


def test_a_prompt_begins_once(backend: TransformersBackend) -> None:
    tokenizer = backend._loaded.processor.tokenizer
    (row,) = backend._loaded.encode(REQUESTS[-1:], [[]])["input_ids"].tolist()
    if tokenizer.bos_token_id is not None:
        assert row.count(tokenizer.bos_token_id) == 1


def test_its_own_penalties_do_not_let_padding_into_an_answer(
    backend: TransformersBackend, together: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend._loaded.model.generation_config, "repetition_penalty", 1.7)
    monkeypatch.setattr("cirgen.backends.answering.decoder_for", WholeDecoder)
    assert answers(backend, REQUESTS[:8]) == {one.key: together[one.key] for one in REQUESTS[:8]}


@pytest.mark.parametrize("family", ["smolvlm", "idefics3"])
def test_small_pictures_are_not_blown_up_beyond_the_pixel_limit(family: str, tmp_path: Path) -> None:
    folder = build(family, tmp_path / family)
    tokens = {}
    for max_pixels in (56 * 56, 2 * 56 * 2 * 56, 10**6):
        processor = load_processor(folder, family, max_pixels)
        tokens[max_pixels] = processor(text=["<image>"], images=[[Image.new("RGB", (60, 60))]])["pixel_values"][0]
    assert [len(tiles) for tiles in tokens.values()] == [1, 5, 17]


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
@pytest.mark.parametrize("family", ["qwen2.5-vl", "smolvlm"])
def test_processors_of_videos_are_done_without(family: str, tmp_path: Path) -> None:
    processor = load_processor(build(family, tmp_path / family), family, 10**6)
    assert "video_processor" not in processor.get_attributes()


def test_models_that_change_logits_by_their_own_settings_are_answered_by_generate(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [type(decoding.decoder_for(backend._loaded, backend._speed))]
    monkeypatch.setattr(backend._loaded.model.generation_config, "suppress_tokens", [1])
    kinds.append(type(decoding.decoder_for(backend._loaded, backend._speed)))
    assert kinds == [decoding.JoinedDecoder, WholeDecoder]
