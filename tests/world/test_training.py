"""Training: what the models are shown, that packing changes nothing, that a cut run goes on."""

import random
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cirgen.backends.conversation import conversation
from cirgen.world.edits import edits
from cirgen.world.families import collection
from cirgen.world.parser import parse
from cirgen.world.training import clip, mllm
from cirgen.world.training.architecture import build_clip, build_mllm, mllm_processor, save_model
from cirgen.world.training.faults import TRAINED, UNSEEN, faulty_text
from cirgen.world.training.loop import Budget, Loop
from cirgen.world.training.pool import SIBLINGS, Pool, load_pool, training_family
from cirgen.world.training.tasks import LETTERS, pair_lessons
from cirgen.world.training.tokenizer import EOS, IMAGE, SPECIAL_TOKENS, clip_tokenizer, mllm_tokenizer, tokenizer_texts

FAMILIES = 6


@pytest.fixture(scope="module")
def texts():
    return tokenizer_texts(draws=150)


@pytest.fixture(scope="module")
def pool():
    """Real figures; noise for pictures where a test looks at none."""
    figures = tuple(chain.from_iterable(training_family("mllm", "medium", 0, i) for i in range(FAMILIES)))
    noise = np.random.default_rng(0).integers(0, 256, (len(figures), 96, 96, 3), dtype=np.uint8)
    return Pool(figures, noise)


def test_no_training_figure_shows_a_held_out_pair_or_serves_another_purpose():
    purposes = ("mllm", "filter-encoder", "judge-encoder")
    shown = {p: {f for i in range(25) for f in training_family(p, "medium", 0, i)} for p in purposes}
    assert not any(figure.shows_held_out_pair() for figures in shown.values() for figure in figures)
    galleries = {s.figure for name in ("corpus", "development", "evaluation") for s in collection(name)}
    for purpose, figures in shown.items():
        others = set().union(*(other for name, other in shown.items() if name != purpose))
        assert not figures & (others | galleries)


def test_siblings_are_a_few_edits_apart():
    for index in range(FAMILIES):
        family = training_family("mllm", "medium", 0, index)
        assert len(set(family)) == SIBLINGS
        assert all(any(1 <= len(edits(one, other)) <= 2 for other in family if other != one) for one in family)


def test_a_pool_is_drawn_once_and_read_from_the_cache_afterwards(tmp_path):
    first = load_pool("mllm", "easy", 0, 1, cache=tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = load_pool("mllm", "easy", 0, 1, cache=tmp_path)
    assert (first.pixels == second.pixels).all()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_every_text_encodes_and_decodes_unchanged(texts):
    tokenizer = mllm_tokenizer(texts)
    for text in ("a figure with curly black hair", "Ünseen wörds, 你好 and emoji 🎈", "a{b}[c]\\d"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.unk_token_id not in tokenizer.encode(text)


@pytest.mark.parametrize("images", [2, 5])
def test_a_packed_row_gives_every_answer_the_logits_of_its_own_conversation(pool, texts, images):
    torch.manual_seed(0)
    tokenizer = mllm_tokenizer(texts)
    model = build_mllm(tokenizer, 64, (1, 2)).eval()
    model.set_attn_implementation("eager")
    processor = mllm_processor(tokenizer)
    lessons = mllm.Lessons(pool, mllm.Settings(), tokenizer)
    row = lessons.row(range(images), random.Random(1))
    packed = lessons.packer.pack(images, [row])
    pictures = [Image.fromarray(pool.pixels[i]) for i in range(images)]
    pixels = processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
    trainee = mllm.Trainee(model)
    with torch.inference_mode():
        states = trainee.states(trainee.features(pixels), packed)[-1]
        start = int((packed.ids[0] == SPECIAL_TOKENS.index(IMAGE)).nonzero()[-1]) + 1
        for lesson in row:
            turns = [*conversation(lesson.question, lesson.images), {"role": "assistant", "content": lesson.answer}]
            text = processor.apply_chat_template(turns)
            inputs = processor(text=[text], images=pictures[: lesson.images] or None, return_tensors="pt")
            shown = (inputs["input_ids"][0] == SPECIAL_TOKENS.index(IMAGE)).nonzero()
            own = model(**inputs).logits[0, int(shown[-1]) + 1 if len(shown) else 2 : -1]
            torch.testing.assert_close(model.lm_head(states[0, start : start + len(own)]), own, atol=1e-4, rtol=1e-4)
            start += len(own)
    assert start == packed.ids.shape[1]


def test_training_lowers_the_loss_and_a_cut_run_ends_where_an_uncut_one_does(pool, texts, tmp_path):
    tokenizer = mllm_tokenizer(texts)
    settings = mllm.Settings(width=32, layers=(1, 1), batch=2, pick_batch=1)

    def run(steps: int, checkpoint: Path) -> tuple[list[float], dict[str, torch.Tensor], float]:
        torch.manual_seed(0)
        model = build_mllm(tokenizer, 32, (1, 1))
        model.set_attn_implementation("eager")
        trainee = mllm.Trainee(model)
        loss = mllm.joint_loss(trainee, mllm.Lessons(pool, settings, tokenizer))
        budget = Budget(6)
        loop = Loop("test", trainee, loss, budget, 0, rate=3e-2, checkpoint=checkpoint, report=lambda line: None)
        before = same_questions(loss)
        budget.done = lambda step, seconds: 1.0 if step >= steps else step / 6
        loop.run()
        return loop.losses, trainee.state_dict(), before - same_questions(loss)

    def same_questions(loss: mllm.Loss) -> float:
        with torch.inference_mode():
            return sum(loss(random.Random(draw)).item() for draw in range(4))

    losses, whole, gain = run(6, tmp_path / "whole.pt")
    run(3, tmp_path / "cut.pt")
    resumed_losses, resumed, _ = run(6, tmp_path / "cut.pt")
    assert gain > 0
    assert resumed_losses == losses[3:]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_an_encoder_trains_with_siblings_in_the_batch(pool, texts):
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(texts)
    trainee = clip.Trainee(build_clip(tokenizer, 32, (1, 1)))
    loop = Loop(
        "test", trainee, clip.contrastive_loss(trainee, pool, 8, tokenizer), Budget(8), 0,
        rate=1e-2, report=lambda line: None,
    )  # fmt: skip
    loop.run()
    assert min(loop.losses[5:]) < loop.losses[0]


def test_a_clip_pools_its_text_at_the_end_token(texts):
    tokenizer = clip_tokenizer(texts)
    model = build_clip(tokenizer, 32, (1, 1)).eval()
    inputs = tokenizer(["a red hat", "a figure with curly black hair"], padding="max_length", return_tensors="pt")
    output = model.text_model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
    ends = (inputs["input_ids"] == SPECIAL_TOKENS.index(EOS)).int().argmax(-1)
    torch.testing.assert_close(output.pooler_output, output.last_hidden_state[torch.arange(2), ends])


def test_judge_lessons_hold_both_verdicts_and_only_the_faults_meant_for_training(pool):
    rng = random.Random(0)
    for reference, target in zip(pool.figures, pool.figures[1:], strict=False):
        verdicts = [x.answer for x in pair_lessons(reference, target, rng, "medium") if x.answer in ("yes", "no")]
        assert sorted(verdicts) == ["no"] * 3 + ["yes"] * 3
        fault, faulty = faulty_text(reference, target, rng, "medium")
        assert fault in TRAINED
        assert fault not in UNSEEN
        assert parse(faulty.text) is not None


def test_pick_questions_ask_for_every_letter(pool):
    tokenizer = mllm_tokenizer(tokenizer_texts(draws=5))
    lessons = mllm.Lessons(pool, mllm.Settings(batch=4, pick_batch=8), tokenizer)
    rng = random.Random(0)
    rows = [lessons.row(lessons.images(pick=True, rng=rng), rng) for _ in range(40)]
    answers = {lesson.answer for row in rows for lesson in row}
    assert answers == set(LETTERS)


def test_training_goes_on_from_a_model_and_its_tokenizer(texts, tmp_path):
    tokenizer = mllm_tokenizer(texts[:400])
    torch.manual_seed(3)
    first = build_mllm(tokenizer, 32, (1, 1))
    save_model(first, mllm_processor(tokenizer), tmp_path / "first")
    settings = mllm.Settings(level="easy", families=2, steps=1, batch=2, pick_batch=1, compare_batch=2, rate=0.0)
    mllm.train_mllm(
        tmp_path / "second", settings, start=tmp_path / "first", cache=tmp_path / "cache", report=lambda line: None
    )
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one), "a rate of nothing changes nothing"
    assert (tmp_path / "second" / "tokenizer.json").read_text() == (tmp_path / "first" / "tokenizer.json").read_text()
