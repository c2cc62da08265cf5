"""The shipped models: they load with the stock Auto classes, in both engines' names, and answer alike in any batch."""

import random
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor

from cirgen.world.accuracy import Answerer, shipped_model, tells_truth
from cirgen.world.families import collection
from cirgen.world.parser import parse, parse_caption
from cirgen.world.render import render
from cirgen.world.training.tasks import change_images, full_caption

pytestmark = pytest.mark.integration

ENCODERS = ("filter-encoder", "judge-encoder")
WRITERS = ("mllm", "judge-mllm")
MODELS = (*WRITERS, *ENCODERS)
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def answerer():
    return Answerer(str(shipped_model("mllm")))


@pytest.fixture(scope="module")
def samples():
    return collection("development")[::100][:8]


@pytest.fixture(scope="module")
def pictures(samples):
    return [render(sample.figure, sample.nuisance) for sample in samples]


@pytest.mark.parametrize("name", MODELS)
def test_weights_load_without_a_missing_or_unexpected_name(name):
    loader = AutoModelForImageTextToText if name in WRITERS else AutoModel
    model, found = loader.from_pretrained(shipped_model(name), output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.dtype == torch.float32


def test_the_vision_weights_have_the_names_that_vllm_reads():
    with safe_open(shipped_model("mllm") / "model.safetensors", "pt") as weights:
        vision = [name for name in weights.keys() if "vision_tower" in name]  # noqa: SIM118 - not a mapping
    assert vision
    assert all(name.startswith("vision_tower.vision_model.") for name in vision)


def test_the_heads_have_a_width_that_vllm_runs_on_a_cpu():
    config = AutoModelForImageTextToText.from_pretrained(shipped_model("mllm")).config
    assert config.text_config.head_dim in (32, 64)
    assert config.vision_config.hidden_size // config.vision_config.num_attention_heads in (32, 64)


def test_the_models_are_small_enough_for_the_wheel():
    files = [path for name in MODELS for path in Path(shipped_model(name)).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 22 * MEGABYTE


def test_the_tokenizer_pads_on_the_left_and_generation_ends_at_its_end_token(answerer):
    tokenizer, generation = answerer.processor.tokenizer, answerer.model.generation_config
    assert tokenizer.padding_side == "left"
    assert (generation.pad_token_id, generation.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert not generation.do_sample


def test_captions_can_be_read_and_most_are_true(answerer, samples, pictures):
    question = full_caption(samples[0].figure, random.Random(0)).question
    captions = answerer.answers([([picture], question) for picture in pictures])
    assert all(parse_caption(caption) for caption in captions), captions
    assert sum(tells_truth(s.figure, c) for s, c in zip(samples, captions, strict=True)) > len(samples) / 2, captions


def test_one_question_alone_is_answered_as_in_a_batch(answerer, samples, pictures):
    lessons = [
        change_images(one.figure, other.figure, random.Random(i))
        for i, (one, other) in enumerate(zip(samples, samples[1:] + samples[:1], strict=True))
    ]
    rows = [([p, q], x.question) for p, q, x in zip(pictures, pictures[1:] + pictures[:1], lessons, strict=True)]
    together = answerer.answers(rows)
    assert [answerer.answers([row])[0] for row in rows] == together
    assert any(parse(text) for text in together), together


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_tells_the_right_caption_from_a_wrong_one(name, samples, pictures):
    model = AutoModel.from_pretrained(shipped_model(name)).eval()
    processor = AutoProcessor.from_pretrained(shipped_model(name))
    captions = [full_caption(sample.figure, random.Random(i)).answer for i, sample in enumerate(samples)]
    inputs = processor(text=captions, images=pictures, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        best = model(**inputs).logits_per_image.argmax(-1)
    assert (best == torch.arange(len(samples))).float().mean() >= 0.75


def test_the_writer_and_its_judge_are_different_models():
    one, other = (AutoModelForImageTextToText.from_pretrained(shipped_model(n)).state_dict() for n in WRITERS)
    assert not torch.equal(one["lm_head.weight"][:50], other["lm_head.weight"][:50])


def test_the_encoders_are_different_models():
    one, other = (AutoModel.from_pretrained(shipped_model(name)).state_dict() for name in ENCODERS)
    assert not torch.equal(one["visual_projection.weight"], other["visual_projection.weight"])
