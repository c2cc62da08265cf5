"""vLLM in this process says what transformers says: texts, beliefs, likelihoods; and one bad question fails alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.transformers import TransformersBackend
from cirgen.backends.vllm import AHEAD, VllmBackend
from cirgen.errors import UserError
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path

pytestmark = pytest.mark.server

PATHS = [str(path) for path in sorted(local_path("cirgen:images").glob("*.png"))[:7]]
PAIRS = list(itertools.pairwise(PATHS))
CAPTION = load_prompt("caption-brief").render(words=10, category=None)
CHANGE = load_prompt("change-images").render(intent="", examples=())
JUDGE = load_prompt("judge-change").render(text="make the hat red")
ENGINE = {"enforce_eager": True, "max_model_len": 512}
GPU_INSTALL = "pip install 'cirgen[vllm]'"


class Files:
    """Opens files by path, and counts."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


def request(prompt: str, *paths: str, tokens: int = 48, temperature: float = 0.0, attempt: int = 0) -> Request:
    number = abs(hash((prompt, paths))) % 16**8
    return Request(f"{number:08x}" * 8, attempt, prompt, paths, temperature, 1.0, 0, tokens)


TEXTS = [*(request(CAPTION, path) for path in PATHS), *(request(CHANGE, *pair) for pair in PAIRS)]
QUESTIONS = [request(JUDGE, *pair, tokens=1) for pair in PAIRS]


@pytest.fixture(scope="module")
def here() -> TransformersBackend:
    """The same model; it runs first, since vLLM binds the threads of the process to cores."""
    return TransformersBackend(Model(model="cirgen:mllm", dtype="float32"))


@pytest.fixture(scope="module")
def texts(here: TransformersBackend) -> dict[str, str]:
    return {result.request.key: result.text for result in here.generate(TEXTS, Files())}


@pytest.fixture(scope="module")
def beliefs(here: TransformersBackend) -> dict[str, Any]:
    return {choice.request.key: choice for choice in here.choose(QUESTIONS, ("yes", "no"), Files())}


@pytest.fixture(scope="module")
def readings(here: TransformersBackend, texts: dict[str, str]) -> dict[str, Any]:
    asked = [(one, texts[one.key]) for one in TEXTS]
    return {reading.request.key: reading for reading in here.likelihood(asked, Files())}


@pytest.fixture(scope="module")
def there(texts: Any, beliefs: Any, readings: Any) -> Iterator[VllmBackend]:
    pytest.importorskip("vllm", reason=f"vLLM is not installed: `{GPU_INSTALL}`, without a GPU `make vllm`")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield VllmBackend(Model(model="cirgen:mllm", backend="vllm", dtype="float32", engine=ENGINE))


def test_greedy_texts_are_those_of_transformers_and_tokens_are_counted(
    there: VllmBackend, texts: dict[str, str]
) -> None:
    found = {result.request.key: result for result in there.generate(TEXTS, Files())}
    assert {key: result.text for key, result in found.items()} == texts
    assert all(result.status == "ok" and result.prompt_tokens > result.output_tokens > 1 for result in found.values())


def test_beliefs_are_those_of_transformers(there: VllmBackend, beliefs: dict[str, Any]) -> None:
    found = {choice.request.key: choice for choice in there.choose(QUESTIONS, ("yes", "no"), Files())}
    assert found.keys() == beliefs.keys()
    for key, choice in found.items():
        assert choice.shares == pytest.approx(beliefs[key].shares, abs=1e-3)
        assert choice.mass == pytest.approx(beliefs[key].mass, abs=1e-3)


def test_likelihoods_are_those_of_transformers(
    there: VllmBackend, readings: dict[str, Any], texts: dict[str, str]
) -> None:
    found = {one.request.key: one for one in there.likelihood([(one, texts[one.key]) for one in TEXTS], Files())}
    assert found.keys() == readings.keys()
    for key, reading in found.items():
        assert reading.tokens == readings[key].tokens
        assert reading.log_likelihood == pytest.approx(readings[key].log_likelihood, abs=1e-2)


def test_a_sampled_text_is_the_same_again_and_another_at_the_next_attempt(there: VllmBackend) -> None:
    hot = [request(CAPTION, path, temperature=2.0) for path in PATHS]
    again = [request(CAPTION, path, temperature=2.0, attempt=1) for path in PATHS]

    def written(requests: list[Request]) -> dict[str, str]:
        return {result.request.key: result.text for result in there.generate(requests, Files())}

    assert written(hot) == written(hot[::-1]) != written(again)


def test_sampling_that_vllm_does_not_know_stops_with_a_sentence(there: VllmBackend) -> None:
    with pytest.raises(UserError, match=r"cannot draw texts as the recipe says .*temperature"):
        list(there.generate([request(CAPTION, PATHS[0], temperature=9.0)], Files()))


def test_what_cannot_be_asked_fails_alone_and_a_long_answer_is_truncated(
    there: VllmBackend, texts: dict[str, str]
) -> None:
    lost, endless = request(CAPTION, "/gone.png"), request("word " * 2_000)
    short = request(CAPTION, PATHS[0], tokens=2)
    statuses = {
        result.request: result.status for result in there.generate([lost, endless, short, *TEXTS[1:3]], Files())
    }
    assert (statuses[lost], statuses[endless], statuses[short]) == ("image_error", "parse_error", "truncated")
    assert [statuses[one] for one in TEXTS[1:3]] == ["ok", "ok"]


def test_requests_are_read_no_further_ahead_than_the_engine_has_room_and_left_ones_are_called_off(
    there: VllmBackend,
) -> None:
    read = 0

    def endless() -> Iterator[Request]:
        nonlocal read
        for read in itertools.count(1):
            yield request(f"question {read}", tokens=1)

    results = there.generate(endless(), Files())
    next(results)
    results.close()
    assert read <= there.engine.vllm_config.scheduler_config.max_num_seqs + 2 * AHEAD
    there.engine.step()
    assert not there.engine.has_unfinished_requests()


def test_an_option_that_vllm_does_not_know_is_one_sentence(there: VllmBackend) -> None:
    wrong = VllmBackend(Model(model="cirgen:mllm", backend="vllm", engine={"gpu_memory_utilisation": 0.5}))
    with pytest.raises(UserError, match=r"does not know an option under 'engine' \(.*gpu_memory_utilisation"):
        list(wrong.generate(TEXTS[:1], Files()))
