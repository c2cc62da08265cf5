"""What holds for every family: the real architectures, tiny and random, through both stages."""

from __future__ import annotations

import pytest
import torch
from model_checks import QUERIES, encoded, perturb, pixels_of, queries_of, same
from tiny_models import SIDE, TEXT_LENGTH, TINY_FAMILIES, WIDTH, tiny_retriever, tiny_texts
from torch import Tensor, nn
from torch.nn import functional

from cirgen_benchmark.models.base import Retriever, similarity, train_only

STEPS = 6
TEMPERATURE = 0.1
FLOAT_TOLERANCE = 1e-5

every_family = pytest.mark.parametrize("family", TINY_FAMILIES)
both_stages = pytest.mark.parametrize("stage", [1, 2])


def at_stage(family: str, stage: int) -> tuple[Retriever, list[nn.Parameter]]:
    """A retriever that is ready for a stage, and what the stage trains."""
    model = tiny_retriever(family)
    if stage == 1:
        return model, list(model.stage_one_parameters())
    model.prepare_stage_two()
    return model, list(model.stage_two_parameters())


def loss_of(model: Retriever, stage: int) -> Tensor:
    """In-batch InfoNCE; in stage two, references and targets come out of what a bank would hold."""
    references, targets = pixels_of(model, QUERIES), pixels_of(model, QUERIES, seed=1)
    with torch.set_grad_enabled(stage == 1):
        images, candidates = model.encode_references(references), model.encode_targets(targets)
    queries = model.compose(images, model.tokenize(tiny_texts(QUERIES)))
    return functional.cross_entropy(similarity(queries, candidates) / TEMPERATURE, torch.arange(QUERIES))


@every_family
def test_queries_and_targets_are_unit_vectors_of_one_space(family: str) -> None:
    model = tiny_retriever(family)
    pixels = pixels_of(model, QUERIES)
    assert pixels.shape == (QUERIES, 3, SIDE, SIDE)
    assert pixels.dtype == torch.float32
    with torch.no_grad():
        targets, queries = model.encode_targets(pixels), queries_of(model)
    assert queries.shape == (QUERIES, WIDTH)
    assert targets.shape == ((QUERIES, 32, WIDTH) if family == "blip2" else (QUERIES, WIDTH))
    for vectors in (queries, targets):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))


@every_family
def test_one_pass_over_images_gives_what_two_give(family: str) -> None:
    references, targets, *together = encoded(tiny_retriever(family))
    assert same([references, targets], together)


@every_family
def test_a_query_does_not_depend_on_its_companions(family: str) -> None:
    model = tiny_retriever(family)
    references, texts = encoded(model)[0], tiny_texts(QUERIES)
    with torch.no_grad():
        alone = [model.compose(references[i : i + 1], model.tokenize(texts[i : i + 1])) for i in range(QUERIES)]
    lengths = [len(model.tokenize([text])["input_ids"][0]) for text in texts]
    assert family == "siglip" or len(set(lengths)) > 1, "texts of one length need no padding"
    torch.testing.assert_close(torch.cat(alone), queries_of(model), atol=FLOAT_TOLERANCE, rtol=0)


@every_family
def test_both_the_reference_and_the_text_matter(family: str) -> None:
    model = tiny_retriever(family)
    references, texts = encoded(model)[0], tiny_texts(QUERIES)
    with torch.no_grad():
        queries = model.compose(references, model.tokenize(texts))
        other_references = model.compose(references.roll(1, 0), model.tokenize(texts))
        other_texts = model.compose(references, model.tokenize(texts[-1:] + texts[:-1]))
    for others in (other_references, other_texts):
        assert (queries * others).sum(dim=-1).max() < 1 - 100 * FLOAT_TOLERANCE


@every_family
def test_a_long_text_is_cut_at_the_length_of_the_model(family: str) -> None:
    model = tiny_retriever(family)
    tokens = model.tokenize(["make it red " * 50, "red"])
    assert tokens["input_ids"].shape == (2, TEXT_LENGTH)
    assert torch.isfinite(model.compose(encoded(model)[0][:2], tokens)).all()
    assert tiny_retriever(family, text_length=7).tokenize(["make it red " * 50])["input_ids"].shape == (1, 7)


@every_family
@pytest.mark.parametrize("prepared", [False, True])
def test_no_encoding_depends_on_what_stage_two_trains(family: str, prepared: bool) -> None:
    model = tiny_retriever(family)
    if prepared:
        model.prepare_stage_two()
    before, queries = encoded(model), queries_of(model)
    perturb(model.stage_two_parameters())
    assert same(encoded(model), before)
    assert not prepared or not torch.allclose(queries_of(model), queries, atol=FLOAT_TOLERANCE)


@every_family
def test_preparing_stage_two_changes_no_output_and_happens_once(family: str) -> None:
    model = tiny_retriever(family)
    before = [*encoded(model), queries_of(model)]
    model.prepare_stage_two()
    assert same([*encoded(model), queries_of(model)], before)
    perturb(model.stage_two_parameters())
    trained = queries_of(model)
    model.prepare_stage_two()
    assert torch.equal(queries_of(model), trained)


@every_family
@both_stages
def test_a_stage_lowers_the_loss_and_moves_nothing_that_is_frozen(family: str, stage: int) -> None:
    model, trained = at_stage(family, stage)
    train_only(model, trained)
    wanted = {id(parameter) for parameter in trained}
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if id(p) not in wanted}
    optimiser = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1)
    losses = []
    for _ in range(STEPS):
        loss = loss_of(model, stage)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert frozen
    assert [name for name, p in model.named_parameters() if name in frozen and not torch.equal(p, frozen[name])] == []


@every_family
@both_stages
def test_a_stage_trains_no_parameter_that_its_loss_does_not_reach(family: str, stage: int) -> None:
    model, trained = at_stage(family, stage)
    train_only(model, trained)
    loss_of(model, stage).backward()
    assert len({id(parameter) for parameter in trained}) == len(trained) > 0
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@every_family
def test_stage_two_trains_a_part_of_what_stage_one_trains_or_copies_of_it(family: str) -> None:
    model, _ = at_stage(family, 2)
    everything = {id(parameter) for parameter in model.stage_one_parameters()}
    assert {id(parameter) for parameter in model.stage_two_parameters()} < everything


@every_family
def test_loading_is_deterministic_and_leaves_the_random_state_alone(family: str) -> None:
    state = torch.get_rng_state()
    first = tiny_retriever(family)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert same(first.state_dict().values(), tiny_retriever(family).state_dict().values())
    assert not first.training


@every_family
def test_vectors_stay_float32_under_mixed_precision(family: str) -> None:
    model = tiny_retriever(family)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        queries, targets = queries_of(model), encoded(model)[1]
    assert queries.dtype == targets.dtype == torch.float32
    assert (queries * queries_of(model)).sum(dim=-1).min() > 0.99
