"""A server writes what the model writes in this process; no fault between the two loses an answer, or makes one up."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cirgen.backends.base import Request, Result
from cirgen.backends.server import STRIKES, ServerBackend
from cirgen.backends.transformers import TransformersBackend
from cirgen.errors import UserError
from cirgen.model_settings import Model, Server
from cirgen.prompts import load_prompt
from cirgen.resources import local_path
from serving import MODEL, Fault, Proxy, free_port

pytestmark = pytest.mark.integration

FEW = 4
PATHS = [str(path) for path in sorted(local_path("cirgen:images").glob("*.png"))[: FEW + 1]]
CAPTION = load_prompt("caption-brief").render(words=10, category=None)
CHANGE = load_prompt("change-images").render(intent="", examples=())


class Files:
    """Opens files by path."""

    def open(self, image_id: str) -> Image.Image:
        return Image.open(image_id).convert("RGB")


def request(prompt: str, *paths: str, tokens: int = 48, temperature: float = 0.0) -> Request:
    return Request(f"{hash((prompt, paths)) & 0xFFFFFFFFFF:010x}" * 4, 0, prompt, paths, temperature, 1.0, 0, tokens)


REQUESTS = [
    *(request(CAPTION, path) for path in PATHS[:FEW]),
    *(request(CHANGE, *pair) for pair in itertools.pairwise(PATHS)),
]


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    backend = TransformersBackend(Model(model="cirgen:mllm", dtype="float32"))
    return {result.request.key: result.text for result in backend.generate(REQUESTS, Files())}


def backend(proxy: Proxy, **server: Any) -> ServerBackend:
    return ServerBackend(
        Model(model=MODEL, backend="openai", server=Server(base_url=proxy.url, **{"backoff": 0.05, **server}))
    )


def answers(backend: ServerBackend, requests: list[Request]) -> dict[str, Result]:
    results = list(backend.generate(requests, Files()))
    assert len(results) == len({result.request.key for result in results})
    return {result.request.key: result for result in results}


def test_a_server_writes_what_the_model_writes_here_and_counts_its_tokens(port: int, expected: dict[str, str]) -> None:
    with Proxy(port) as proxy:
        found = answers(backend(proxy, concurrency=3), REQUESTS)
        assert {key: result.text for key, result in found.items()} == expected
        assert {result.status for result in found.values()} == {"ok"}
        assert all(result.prompt_tokens > result.output_tokens > 1 for result in found.values())
        assert 1 < proxy.most <= 3


@pytest.mark.parametrize(
    "fault",
    [
        "429",
        "cut",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("reset", "500", "hang", "no json", "other json")),
    ],
)
def test_every_request_survives_a_fault_at_its_first_try(port: int, expected: dict[str, str], fault: str) -> None:
    requests = REQUESTS[:2] if fault == "hang" else REQUESTS[:FEW]
    with Proxy(port, lambda times, body: fault if times == 0 else None) as proxy:
        found = answers(backend(proxy, timeout=20.0 if fault == "hang" else 600.0), requests)
        assert {key: result.text for key, result in found.items()} == {one.key: expected[one.key] for one in requests}
        assert set(proxy.asked.values()) >= {2}


def test_a_request_that_always_fails_is_a_row_with_its_reason_and_costs_no_other(
    port: int, expected: dict[str, str]
) -> None:
    poison = request("poison", PATHS[0])

    def fault(times: int, body: dict[str, Any]) -> Fault:
        return "500" if "poison" in str(body["messages"])[-100:] else None

    with Proxy(port, fault) as proxy:
        found = answers(backend(proxy, retries=2), [poison, *REQUESTS[:FEW]])
        failed = found.pop(poison.key)
        assert (failed.status, failed.text) == ("engine_error", "")
        assert "told 500" in failed.error
        assert {key: result.text for key, result in found.items()} == {
            one.key: expected[one.key] for one in REQUESTS[:FEW]
        }
        assert max(proxy.asked.values()) == 3


def test_an_answer_that_is_cut_off_is_truncated_and_an_unreadable_picture_fails_alone(
    port: int, tmp_path: Path
) -> None:
    short, lost = request(CAPTION, PATHS[0], tokens=3), request(CAPTION, str(tmp_path / "gone.png"))
    with Proxy(port) as proxy:
        found = answers(backend(proxy), [short, lost])
        assert (found[short.key].status, found[short.key].finish_reason) == ("truncated", "length")
        assert (found[lost.key].status, proxy.answered) == ("image_error", 1)


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    server = Server(base_url=f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(UserError, match=r"No server answers at http://127\S+ \(.*\); start it, or correct"):
        ServerBackend(Model(model="any", backend="openai", server=server))


def test_a_server_that_dies_midway_stops_the_run_and_what_it_had_answered_is_there(port: int) -> None:
    with Proxy(port) as proxy:
        served = backend(proxy, concurrency=1, retries=1)
        results = served.generate(iter(REQUESTS), Files())
        got = [next(results), next(results)]
        proxy.stop()
        with pytest.raises(UserError, match=r"No server answers at .* what was answered is kept"):
            got += list(results)
        assert 2 <= len(got) < len(REQUESTS)
        assert {result.status for result in got} == {"ok"}


def test_a_server_that_refuses_all_that_is_asked_stops_the_run_with_its_own_words(port: int) -> None:
    many = [request(f"question {number}") for number in range(3 * STRIKES)]
    with Proxy(port, lambda times, body: "400") as proxy:
        results: list[Result] = []
        with pytest.raises(UserError, match=f"{STRIKES} requests in a row failed at .* told 400"):
            results.extend(backend(proxy, concurrency=4).generate(many, Files()))
        assert set(proxy.asked.values()) == {1}  # another try would be refused as well


def test_the_key_comes_from_the_environment_alone_and_is_never_told(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with Proxy(port) as proxy:
        backend(proxy)
        assert proxy.keys == {"Bearer none"}
        with pytest.raises(UserError, match="MY_KEY is not set; export it"):
            backend(proxy, api_key_env="MY_KEY")
        monkeypatch.setenv("MY_KEY", "sk-secret")
        mine = backend(proxy, api_key_env="MY_KEY")
        assert "Bearer sk-secret" in proxy.keys
        proxy.fault = lambda times, body: "401"
        with pytest.raises(UserError, match="wants a key, or another one; look at the key in MY_KEY") as told:
            answers(mine, REQUESTS[:1])
        assert "sk-secret" not in f"{told.value} {mine.identity}"


@pytest.mark.parametrize("before", [0, 80, 270])
def test_a_key_that_a_server_sends_back_is_told_nowhere_not_even_a_part_of_it(
    port: int, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-" + "0123456789abcdefghijklmnopqrstuvwxyz"
    monkeypatch.setenv("MY_KEY", key)
    with Proxy(port, lambda times, body: "other json") as proxy:
        proxy.words = json.dumps({"seen": " " + "x" * before + f" Bearer {key}"}).encode()
        (wrong,) = answers(backend(proxy, api_key_env="MY_KEY", retries=0), REQUESTS[:1]).values()
        assert (wrong.status, key[:8] in wrong.error) == ("engine_error", False)
        proxy.words = json.dumps(
            {"choices": [{"message": {"content": f"a {key} figure"}, "finish_reason": "stop"}]}
        ).encode()
        (echoed,) = answers(backend(proxy, api_key_env="MY_KEY", retries=0), REQUESTS[:1]).values()
        assert echoed.text == "a *** figure"


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_server_that_cannot_list_its_models_now_is_not_taken_for_another_model(port: int, status: str) -> None:
    with Proxy(port) as proxy:
        identity = backend(proxy).identity
        proxy.listing = status
        with pytest.raises(UserError, match=r"cannot say now which models it serves .* give the same command again"):
            backend(proxy)
        proxy.listing = "404"  # it keeps no list, and never will
        assert backend(proxy).identity == identity


def test_a_server_without_probabilities_says_so_before_anything_is_generated(port: int) -> None:
    with Proxy(port) as proxy, pytest.raises(UserError, match=r"tells no probabilities .* vLLM or SGLang"):
        backend(proxy).check_choose()


def test_reading_a_given_text_is_refused_with_who_can(port: int) -> None:
    with Proxy(port) as proxy, pytest.raises(UserError, match="backend transformers or vllm"):
        backend(proxy).likelihood([(REQUESTS[0], "a text")], Files())
