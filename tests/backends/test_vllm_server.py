"""A real vLLM server says what the model says in this process: texts, and beliefs by what it tells of tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.server import ServerBackend
from cirgen.backends.transformers import TransformersBackend
from cirgen.model_settings import Model, Server
from cirgen.prompts import load_prompt
from cirgen.resources import local_path
from serving import VLLM_NAME, vllm_serve

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        find_spec("vllm") is None,
        reason="no vLLM: pip install 'cirgen[vllm]'; without a GPU: make vllm",
    ),
]

PATHS = [str(path) for path in sorted(local_path("cirgen:images").glob("*.png"))[:9]]
CAPTION = load_prompt("caption-brief").render(words=10, category=None)
JUDGE = load_prompt("judge-change").render(text="make the hat red")
TEXTS = [Request(path, 0, CAPTION, (path,), 0.0, 1.0, 0, 48) for path in PATHS]
QUESTIONS = [Request(" ".join(pair), 0, JUDGE, pair, 0.0, 1.0, 0, 1) for pair in itertools.pairwise(PATHS)]


class Files:
    """Opens files by path."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


@pytest.fixture(scope="module")
def here() -> TransformersBackend:
    return TransformersBackend(Model(model="cirgen:mllm", dtype="float32"))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerBackend]:
    with vllm_serve(tmp_path_factory.mktemp("vllm")) as port:
        server = Server(base_url=f"http://localhost:{port}/v1", concurrency=4)
        yield ServerBackend(Model(model=VLLM_NAME, backend="openai", server=server))


def test_greedy_texts_are_those_of_the_model_here(there: ServerBackend, here: TransformersBackend) -> None:
    expected = {result.request.key: result.text for result in here.generate(TEXTS, Files())}
    assert {result.request.key: result.text for result in there.generate(TEXTS, Files())} == expected


def test_beliefs_are_those_of_the_model_here(there: ServerBackend, here: TransformersBackend) -> None:
    there.check_choose()
    expected = {choice.request.key: choice for choice in here.choose(QUESTIONS, ("yes", "no"), Files())}
    found = {choice.request.key: choice for choice in there.choose(QUESTIONS, ("yes", "no"), Files())}
    assert found.keys() == expected.keys()
    for key, choice in found.items():
        assert choice.shares == pytest.approx(expected[key].shares, abs=1e-3)
        assert choice.mass == pytest.approx(expected[key].mass, abs=1e-3)
        assert choice.prompt_tokens > choice.output_tokens == 1
