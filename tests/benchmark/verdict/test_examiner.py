"""A model is examined as its features file would be; a model of half a query knows nothing of the other half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import TINY_FAMILIES, tiny_images, tiny_retriever, tiny_texts
from toy_training import ToyImages, ToyRetriever, toy_triplets

from cirgen.errors import UserError
from cirgen_benchmark.models.checks import check_retriever
from cirgen_benchmark.protocols.parts import Asked
from cirgen_benchmark.protocols.retrieval import Retrieval
from cirgen_benchmark.verdict.examiner import Examiner, metric_key
from cirgen_benchmark.verdict.halves import HalfQuery

IMAGES = 25


def protocol(queries: int = 30, seed: int = 0) -> Retrieval:
    triplets = toy_triplets(queries, IMAGES, seed)
    asked = [Asked(str(n), t.reference, t.texts[0], (t.target, *t.positives)) for n, t in enumerate(triplets)]
    return Retrieval("toy", ToyImages(IMAGES).ids, asked)


def examiner(queries: int = 30, seed: int = 0, cache: Path | None = None) -> Examiner:
    return Examiner(protocol(queries, seed), ToyImages(IMAGES), batch=7, cache=cache)


def plain_ranks(model: ToyRetriever, one: Examiner) -> list[int]:
    """Rank every query by itself, from pixels, one image at a time."""
    images = one.images
    with torch.no_grad():
        pixels = {name: model.preprocess(images.open(name))[None] for name in images.ids}
        targets = {name: model.encode_targets(each)[0] for name, each in pixels.items()}
        ranks = []
        for asked in one.protocol.parts[0].asked:
            query = model.compose(model.encode_references(pixels[asked.reference]), model.tokenize([asked.text]))[0]
            found = {name: float(query @ target) for name, target in targets.items() if name != asked.reference}
            ranks.append(min(1 + sum(x > found[right] for x in found.values()) for right in asked.targets))
    return ranks


def test_scores_are_those_of_ranking_each_query_by_itself() -> None:
    model, one = ToyRetriever().eval(), examiner()
    assert one.scores(model).queries["rank"].to_pylist() == plain_ranks(model, one)


def test_a_value_is_the_metric_that_its_name_ends() -> None:
    model, one = ToyRetriever().eval(), examiner()
    ranks = np.array(plain_ranks(model, one))
    assert one.value("recall@5", model) == pytest.approx(100 * np.mean(ranks <= 5))
    assert one.value("toy.recall@5", model) == one.value("recall@5", model)


@pytest.mark.parametrize(("metric", "count"), [("recall@7", 0), ("ecall@5", 0), ("5", 0)])
def test_a_metric_that_is_none_is_told_with_those_that_are(metric: str, count: int) -> None:
    with pytest.raises(UserError, match=rf"'{metric}' is the end of {count} metrics; take one of toy.recall@1, "):
        metric_key(examiner().metrics, metric)


def test_a_metric_that_several_keys_end_is_not_guessed() -> None:
    keys = ["fashioniq.val.dress.recall@10", "fashioniq.val.mean.recall@10"]
    with pytest.raises(UserError, match="'recall@10' is the end of 2 metrics"):
        metric_key(keys, "recall@10")
    assert metric_key(keys, "mean.recall@10") == keys[1]


@pytest.mark.parametrize("part", ["pixels", "words"])
def test_a_model_that_went_astray_is_told_so(part: str) -> None:
    model = ToyRetriever()
    with torch.no_grad():
        next(getattr(model, part).parameters()).mul_(torch.inf)
    with pytest.raises(UserError, match=r"embeds .* as NaN or infinity: .* lower the learning rate"):
        examiner().scores(model)


def test_metrics_are_known_before_any_model_is() -> None:
    one = examiner()
    assert one.metrics == tuple(one.scores(ToyRetriever()).metrics)


def test_what_is_shown_for_a_query_is_the_ranking_without_its_reference() -> None:
    model, one = ToyRetriever().eval(), examiner()
    encoded = one.encode(model)
    ranks = plain_ranks(model, one)
    found = one.tops(model, encoded, depth=24)
    assert [len(each.top) for each in found] == [24] * 30
    for each, rank, asked in zip(found, ranks, one.protocol.parts[0].asked, strict=True):
        assert (each.reference, each.text, each.targets) == (asked.reference, asked.text, asked.targets)
        assert each.reference not in each.top
        assert min(each.top.index(right) for right in each.targets) + 1 == rank
    assert [each.top for each in one.tops(model, encoded, depth=5)] == [each.top[:5] for each in found]


def test_pictures_are_encoded_once_and_read_from_the_cache_by_what_they_show(tmp_path: Path) -> None:
    model = ToyRetriever().eval()
    first = examiner(cache=tmp_path).scores(model)
    encoded = model.encoded
    again = examiner(cache=tmp_path).scores(model)
    assert model.encoded == encoded
    assert again.metrics == first.metrics
    examiner(cache=tmp_path).scores(ToyRetriever(seed=1))
    assert len(list(tmp_path.iterdir())) == 2


def test_the_fingerprint_changes_with_pictures_texts_and_right_answers() -> None:
    whole, (first, *others) = examiner().fingerprint, protocol().parts[0].asked
    changed = [first._replace(text="tall"), first._replace(targets=("image-9", "image-8"))]
    protocols = [Retrieval("toy", ToyImages(IMAGES).ids, [one, *others]) for one in changed]
    found = [Examiner(one, ToyImages(IMAGES)).fingerprint for one in protocols]
    found.append(Examiner(protocol(), ToyImages(IMAGES, twins={"image-3": "image-4"})).fingerprint)
    assert examiner().fingerprint == whole
    assert len({whole, *found}) == 4


def test_what_is_asked_about_is_told_by_content() -> None:
    one = examiner()
    names = {name for asked in one.protocol.parts[0].asked for name in (asked.reference, *asked.targets)}
    assert one.asked_about == {ToyImages(IMAGES).content(name) for name in names}


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_text_alone_ignores_the_reference_and_the_image_alone_the_text(family: str) -> None:
    model = tiny_retriever(family).eval()
    pixels = torch.stack([model.preprocess(image) for image in tiny_images(2)])
    texts = tiny_texts(2)
    for keeps in ("text", "image"):
        half = HalfQuery(model, keeps).eval()
        with torch.no_grad():
            encoded = half.encode_references(pixels)
            queries = {(i, t): half.compose(encoded[[i]], half.tokenize([texts[t]])) for i in (0, 1) for t in (0, 1)}
        same, other = ((1, 0), (0, 1)) if keeps == "text" else ((0, 1), (1, 0))
        assert torch.equal(queries[0, 0], queries[same])
        assert not torch.allclose(queries[0, 0], queries[other], atol=1e-4)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_half_a_query_keeps_the_interface_and_the_encodings_of_the_whole(family: str) -> None:
    model = tiny_retriever(family).eval()
    pixels = torch.stack([model.preprocess(image) for image in tiny_images(2)])
    half = HalfQuery(model, "text").eval()
    with torch.no_grad():
        assert torch.equal(half.encode_targets(pixels), model.encode_targets(pixels))
        assert torch.equal(half.encode_references(pixels), model.encode_references(pixels))
    assert half.identity != HalfQuery(model, "image").identity != model.identity
    half.prepare_stage_two()
    check_retriever(half, tiny_images(3), tiny_texts(3))
