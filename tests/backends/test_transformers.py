"""The transformers backend gives every request one result, the same in any batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.decoding import JoinedDecoder
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


def failing(monkeypatch: pytest.MonkeyPatch, step: str, fails: Callable[[list[Request]], Exception | None]) -> None:
    """Let one step of the decoder fail where `fails` says so of the requests that it works on."""
    working = getattr(JoinedDecoder, step)

    def run(self: JoinedDecoder, given: Any) -> Any:
        rows = given if step == "_read" else [seat.row for seat in given.seats]
        error = fails([row.request for row in rows])
        if error is not None:
            raise error
        return working(self, given)

    monkeypatch.setattr(JoinedDecoder, step, run)


@pytest.mark.parametrize("step", ["_read", "_add_token"])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no memory"),
        pytest.param(RuntimeError("CUDA out of memory"), marks=pytest.mark.long),
        pytest.param(MemoryError(), marks=pytest.mark.long),
    ],
)
def test_out_of_memory_halves_the_batch_remembers_what_fits_and_loses_no_row(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    requests = [request(path) for path in FILES]
    expected = texts(backend, requests)
    tried: list[int] = []

    def fails(asked: list[Request]) -> Exception | None:
        tried.append(len(asked))
        return error if len(asked) > 2 else None

    small = TransformersBackend(Model(model="cirgen:mllm", batch_size=8), backend._loaded)
    failing(monkeypatch, step, fails)
    assert texts(small, requests) == expected
    assert min(small._limits.learnt.values()) == 2
    tried.clear()
    assert texts(small, requests) == expected
    assert max(tried) == 2


def test_what_does_not_fit_alone_is_told_with_the_setting_that_helps(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = str(FILES[3])
    failing(monkeypatch, "_read", lambda asked: MemoryError() if any(large in r.image_ids for r in asked) else None)
    own = TransformersBackend(Model(model="cirgen:mllm", batch_size=8), backend._loaded)
    results = list(own.generate(map(request, FILES), Files()))
    assert [(r.status, r.request.image_ids) for r in results if r.status != "ok"] == [("oom", (large,))]
    assert "max_pixels" in next(r.error for r in results if r.status == "oom")
    assert len(results) == len(FILES)


@pytest.mark.parametrize("step", ["_read", "_add_token"])
def test_one_bad_row_is_an_engine_error_and_the_others_answer(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    bad = str(FILES[3])
    failing(
        monkeypatch, step, lambda asked: RuntimeError("bad row") if any(bad in r.image_ids for r in asked) else None
    )
    results = list(backend.generate(map(request, FILES), Files()))
    failed = [r for r in results if r.status != "ok"]
    assert [r.request.image_ids for r in failed] == [(bad,)]
    assert failed[0].status == "engine_error"
    assert "bad row" in failed[0].error
    assert len(results) == len(FILES)


def test_a_lost_gpu_stops_the_run_instead_of_failing_every_row(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = torch.AcceleratorError("CUDA error: device-side assert triggered")
    failing(monkeypatch, "_add_token", lambda asked: lost)
    with pytest.raises(UserError, match="goes on where it stopped"):
        list(backend.generate(map(request, FILES), Files()))


def test_words_that_stand_for_an_image_fail_alone(backend: TransformersBackend) -> None:
    odd = replace(request(FILES[0], FILES[1]), prompt="<image> <image> <image> what?", key=digest("odd"))
    results = {r.request.key: r for r in backend.generate([request(FILES[0]), odd, request(FILES[2])], Files())}
    assert results.pop(odd.key).status == "parse_error"
    assert [result.status for result in results.values()] == ["ok", "ok"]


@pytest.mark.parametrize("workers", [0, 1])
def test_threads_and_processes_read_the_same(backend: TransformersBackend, workers: int) -> None:
    requests = [request(*pair) for pair in itertools.pairwise(FILES)]
    other = TransformersBackend(Model(model="cirgen:mllm", batch_size=3, workers=workers), backend._loaded)
    assert texts(other, requests) == texts(backend, requests)


@pytest.mark.long
def test_a_worker_that_is_killed_costs_no_row(backend: TransformersBackend) -> None:
    requests = [request(path) for path in FILES]
    other = TransformersBackend(Model(model="cirgen:mllm", batch_size=1, workers=1), backend._loaded)
    results = other.generate(iter(requests), Files())
    found = [next(results)]
    (worker,) = other._readers._pool._processes.values()  # type: ignore[union-attr]
    worker.kill()
    found += results
    assert {r.request.key: r.text for r in found} == texts(backend, requests)


def test_it_counts_what_it_did(backend: TransformersBackend) -> None:
    own = TransformersBackend(Model(model="cirgen:mllm", batch_size=4, peak_tflops=1.0), backend._loaded)
    results = list(own.generate([request(*pair) for pair in itertools.pairwise(FILES)], Files()))
    counted = own.take_speed()
    assert counted.rows == len(results) == len(FILES) - 1
    assert counted.images == 2 * len(results)
    assert counted.prompt_tokens == sum(result.prompt_tokens for result in results) <= counted.prompt_slots
    assert counted.output_tokens == sum(result.output_tokens + 1 for result in results)  # and the end of each
    assert 0 < counted.model_seconds <= counted.seconds
    assert 0 <= counted.waited_seconds <= counted.seconds
    assert counted.peak_bytes > 1e8
    # twice the weights for every token, those of the vision tower for 37 of them an image
    parameters = sum(weights.numel() for weights in own._loaded.model.parameters())
    assert 0.5 < counted.operations / (2 * parameters * (counted.prompt_tokens + counted.output_tokens)) < 2
    assert own.take_speed().rows == 0


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
