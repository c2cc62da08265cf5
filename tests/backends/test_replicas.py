"""A model on several devices answers as on one, and a process that ends costs no row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.replicas import Replicas, visible_devices
from cirgen.backends.transformers import TransformersBackend
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path

pytestmark = pytest.mark.integration

FILES = sorted(local_path("cirgen:images").glob("*.png"))[:12]
SETTINGS = Model(model="cirgen:mllm", batch_size=4, device="cpu")


class Files:
    """Opens files by path."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


def asked(*paths: Path) -> Request:
    names = tuple(map(str, paths))
    prompt = load_prompt("change-images").render(intent="", examples=())
    return Request(digest(names), 0, prompt, names, 0.0, 1.0, 0, 64)


REQUESTS = [asked(*pair) for pair in itertools.pairwise(FILES)]


@pytest.fixture(scope="module")
def single() -> TransformersBackend:
    return TransformersBackend(SETTINGS)


@pytest.fixture(scope="module")
def replicas() -> Iterator[Replicas]:
    made = Replicas(SETTINGS, ["cpu", "cpu"])
    yield made
    made._stop()


def texts(backend: TransformersBackend | Replicas) -> dict[str, str]:
    return {result.request.key: result.text for result in backend.generate(iter(REQUESTS), Files())}


@pytest.mark.long
def test_two_processes_answer_as_one_and_share_the_work(single: TransformersBackend, replicas: Replicas) -> None:
    assert texts(replicas) == texts(single)
    assert replicas.take_speed().rows == len(REQUESTS)
    assert {replica.process.is_alive() for replica in replicas._replicas} == {True}


@pytest.mark.long
def test_prompts_about_one_image_go_to_one_process_which_reads_it_once(
    single: TransformersBackend, replicas: Replicas
) -> None:
    prompts = [load_prompt("caption-brief").render(words=words, category=None) for words in (6, 10)]
    requests = [
        Request(digest(str(path), prompt), 0, prompt, (str(path),), 0.0, 1.0, 0, 64)
        for path in FILES
        for prompt in prompts
    ]
    replicas.take_speed()
    found = {result.request.key: result for result in replicas.generate(iter(requests), Files())}
    assert replicas.take_speed().prompt_tokens < 0.8 * sum(result.prompt_tokens for result in found.values())
    expected = {result.request.key: result.text for result in single.generate(iter(requests), Files())}
    assert {key: result.text for key, result in found.items()} == expected


@pytest.mark.long
def test_beliefs_and_likelihoods_are_those_of_one_process(single: TransformersBackend, replicas: Replicas) -> None:
    chosen = [
        {one.request.key: one for one in backend.choose(REQUESTS, ("yes", "no"), Files())}
        for backend in (single, replicas)
    ]
    read = [
        {one.request.key: one for one in backend.likelihood([(one, "make it red") for one in REQUESTS], Files())}
        for backend in (single, replicas)
    ]
    assert chosen[0] == chosen[1]
    assert read[0] == read[1]


@pytest.mark.long
def test_an_error_of_the_recipe_is_told_as_it_is(replicas: Replicas) -> None:
    with pytest.raises(UserError, match="begin differently"):
        list(replicas.choose(REQUESTS, ("none", "none of them"), Files()))
    assert len(texts(replicas)) == len(REQUESTS)  # and the next call begins anew


@pytest.mark.long
def test_rows_of_a_process_that_is_killed_are_answered_by_the_others(single: TransformersBackend) -> None:
    replicas = Replicas(SETTINGS, ["cpu", "cpu"])
    results = replicas.generate(iter(REQUESTS), Files())
    found = [next(results)]
    replicas._replicas[0].process.kill()
    found += results
    replicas._stop()
    assert {result.request.key: result.text for result in found} == texts(single)


def test_when_none_is_left_the_run_stops_and_says_that_it_goes_on() -> None:
    replicas = Replicas(SETTINGS, ["cpu"])
    results = replicas.generate(iter(REQUESTS), Files())
    replicas._start()
    replicas._replicas[0].process.kill()
    with pytest.raises(UserError, match="goes on where it stopped"):
        list(results)


def test_a_cpu_is_one_device() -> None:
    assert visible_devices("cpu") == ["cpu"]
