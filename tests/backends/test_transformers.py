"""The transformers backend gives every request one result, the same in any batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from cirgen.backends.base import Request, Result
from cirgen.backends.loaded_model import fit
from cirgen.backends.transformers import TransformersBackend
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.model_files import content_hash, find_model
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path

pytestmark = pytest.mark.integration

FILES = sorted(local_path("cirgen:images").glob("*.png"))[:8]


class Files:
    """Opens files by path."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


def request(*paths: Path, temperature: float = 0.0, tokens: int = 64) -> Request:
    prompt = load_prompt("caption-attributes" if len(paths) == 1 else "change-images").render(intent="", examples=())
    names = tuple(map(str, paths))
    return Request(digest(names), 0, prompt, names, temperature, 1.0, 0, tokens)


def texts(backend: TransformersBackend, requests: list[Request]) -> dict[str, str]:
    return {result.request.key: result.text for result in backend.generate(iter(requests), Files())}


@pytest.fixture(scope="module")
def backend() -> TransformersBackend:
    return TransformersBackend(Model(model="cirgen:mllm", batch_size=8))


@pytest.fixture(scope="module")
def one_by_one() -> TransformersBackend:
    return TransformersBackend(Model(model="cirgen:mllm", batch_size=1))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_texts_do_not_depend_on_the_batch(
    backend: TransformersBackend, one_by_one: TransformersBackend, temperature: float
) -> None:
    requests = [request(path, temperature=temperature) for path in FILES]
    requests += [request(*pair, temperature=temperature) for pair in itertools.pairwise(FILES)]
    assert texts(backend, requests) == texts(one_by_one, requests[::-1])


def test_sampling_draws_other_texts_than_greedy_and_repeats_itself(backend: TransformersBackend) -> None:
    greedy = texts(backend, [request(path) for path in FILES])
    sampled = texts(backend, [request(path, temperature=2.0) for path in FILES])
    assert greedy != sampled
    assert sampled == texts(backend, [request(path, temperature=2.0) for path in FILES])


def test_an_unreadable_image_fails_alone(backend: TransformersBackend, tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"
    results = list(backend.generate([request(FILES[0]), request(gone), request(FILES[1])], Files()))
    by_status = {result.status: result for result in results if result.status != "ok"}
    assert [r.status for r in results].count("ok") == 2
    assert "gone.png" in by_status["image_error"].error


def test_an_answer_without_end_is_truncated_and_keeps_its_text(backend: TransformersBackend) -> None:
    (result,) = backend.generate([request(FILES[0], tokens=3)], Files())
    assert (result.status, result.finish_reason, result.output_tokens) == ("truncated", "length", 3)
    assert result.text


class TooBig(TransformersBackend):
    """Runs out of memory above two rows, as a small GPU would."""

    def _generate(self, requests: list[Request], inputs: dict[str, torch.Tensor]) -> list[Result]:  # type: ignore[override]
        if len(requests) > 2:
            raise torch.OutOfMemoryError("no memory")
        return super()._generate(requests, inputs)


class Poisoned(TransformersBackend):
    """Fails for one picture, and for every batch with it."""

    def _generate(self, requests: list[Request], inputs: dict[str, torch.Tensor]) -> list[Result]:  # type: ignore[override]
        if any(str(FILES[3]) in r.image_ids for r in requests):
            raise RuntimeError("bad row")
        return super()._generate(requests, inputs)


def test_out_of_memory_halves_the_batch_and_loses_no_row(backend: TransformersBackend) -> None:
    small = TooBig(Model(model="cirgen:mllm", batch_size=8))
    requests = [request(path) for path in FILES]
    assert texts(small, requests) == texts(backend, requests)
    assert min(small._limits.values()) <= 2


def test_one_bad_row_is_an_engine_error_and_the_others_answer() -> None:
    results = list(Poisoned(Model(model="cirgen:mllm", batch_size=8)).generate(map(request, FILES), Files()))
    failed = [r for r in results if r.status != "ok"]
    assert [r.request.image_ids for r in failed] == [(str(FILES[3]),)]
    assert failed[0].status == "engine_error"
    assert "bad row" in failed[0].error
    assert len(results) == len(FILES)


def test_requests_are_read_a_window_at_a_time(backend: TransformersBackend) -> None:
    read = 0

    def stream() -> Iterator[Request]:
        nonlocal read
        for path in FILES * 100:
            read += 1
            yield request(path, tokens=1)

    results = backend.generate(stream(), Files())
    next(results)
    assert read <= 8 * 16


def test_large_pictures_are_scaled_down_to_the_pixel_limit_and_keep_their_shape() -> None:
    fitted = fit(Image.new("RGB", (4000, 1000)), 10_000)
    assert fitted.width * fitted.height <= 10_000
    assert 3.9 < fitted.width / fitted.height < 4.1
    assert fit(Image.new("RGB", (10, 10)), 10_000).size == (10, 10)


def test_the_content_of_a_model_does_not_depend_on_its_path_or_readme(tmp_path: Path) -> None:
    source = local_path("cirgen:mllm")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in source.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "README.md").write_text("other words")
    assert content_hash(copy) == content_hash(source)
    (copy / "chat_template.jinja").write_text("other template")
    assert content_hash(copy) != content_hash(source)


def test_a_folder_without_a_processor_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no processor"):
        find_model(str(tmp_path))


def test_an_unreachable_hub_is_said_at_once_with_the_local_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cirgen:mllm"):
        find_model("nobody/nothing-of-this-name")
