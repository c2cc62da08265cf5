"""How a server's answers are read, and what of a model on a server makes another row."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.backends.base import Request
from cirgen.backends.client import WrongAnswerError, reply_of, retry_after
from cirgen.backends.server import answering, belief, messages, read, sampling, served_content
from cirgen.keys import MODEL_LEFT_OUT, without
from cirgen.model_settings import Model, Server

REQUEST = Request("0f" * 32, 0, "Say.", (), 0.0, 1.0, 0, 8)


def completion(content: Any, finish_reason: str = "stop", **choice: Any) -> str:
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    return json.dumps({"choices": [{"message": message, "finish_reason": finish_reason, **choice}], "usage": usage})


@pytest.mark.parametrize(
    ("content", "finish_reason", "status"),
    [
        ("a red hat", "stop", "ok"),
        ("a red", "length", "truncated"),
        (None, "length", "truncated"),
        ("", "stop", "parse_error"),
        (None, "stop", "parse_error"),
        ("a", "content_filter", "parse_error"),
        (None, "tool_calls", "parse_error"),
    ],
)
def test_an_answer_has_the_status_of_its_end(content: str | None, finish_reason: str, status: str) -> None:
    result = read(REQUEST, reply_of(completion(content, finish_reason)))
    assert (result.status, bool(result.error)) == (status, status != "ok")
    assert (result.text, result.prompt_tokens, result.output_tokens) == (content or "", 7, 2)


def test_halves_of_characters_become_question_marks() -> None:
    reply = reply_of('{"choices": [{"message": {"content": "a \\ud83d hat"}, "finish_reason": "\\ud83d"}]}')
    assert (reply.text, reply.finish_reason) == ("a ? hat", "?")


@pytest.mark.parametrize("told", ["Infinity", "-Infinity", "NaN", "-5", "2147483648", "1e300", '"many"', "null", "[]"])
def test_a_number_of_tokens_that_is_none_is_not_told(told: str) -> None:
    answer = completion("a hat").replace("7", told)
    reply = reply_of(answer)
    assert (reply.text, reply.prompt_tokens, reply.output_tokens) == ("a hat", 0, 2)


@pytest.mark.parametrize("told", ["n/a", [1], 7, None])
def test_an_answer_whose_usage_is_of_no_use_is_an_answer(told: Any) -> None:
    answer = json.loads(completion("a red hat")) | {"usage": told}
    reply = reply_of(json.dumps(answer))
    assert (reply.text, reply.prompt_tokens, reply.output_tokens) == ("a red hat", 0, 0)


def test_a_probability_that_is_no_number_is_a_wrong_answer() -> None:
    top = [{"token": "yes", "logprob": float("nan")}]
    with pytest.raises(WrongAnswerError):
        reply_of(completion("yes", logprobs={"content": [{"top_logprobs": top}]}))


def test_an_answer_that_is_nested_too_deep_is_a_wrong_answer() -> None:
    with pytest.raises(WrongAnswerError):
        reply_of("[" * 100_000 + "]" * 100_000)


NAMES = st.sampled_from(["choices", "message", "content", "usage", "logprobs", "finish_reason"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner)
)


@given(st.text() | JSON.map(json.dumps))
def test_whatever_a_server_sends_is_a_completion_or_a_wrong_answer(text: str) -> None:
    try:
        reply = reply_of(text)
    except WrongAnswerError as error:
        assert "no chat completion" in str(error)
    else:
        assert reply.text is None or isinstance(reply.text, str)


@given(st.integers(0, 10_000))
def test_a_time_to_wait_is_seconds_or_a_date(seconds: int) -> None:
    assert retry_after({"retry-after": str(seconds)}) == seconds
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    assert abs(retry_after({"retry-after": date}) - seconds) < 5


@given(st.text(max_size=20))
def test_a_time_that_nobody_can_read_is_no_time(told: str) -> None:
    assert retry_after({"retry-after": told}) >= 0
    assert retry_after({}) == 0


def test_belief_counts_every_spelling_and_no_token_that_begins_several_answers() -> None:
    tokens = [(" Yes", math.log(0.5)), ("no", math.log(0.2)), ("N", math.log(0.1)), ("The", math.log(0.1)), ("", -1.0)]
    shares, mass = belief(tokens, ("yes", "no"))
    assert mass == pytest.approx(0.8)
    assert shares == pytest.approx((0.5 / 0.8, 0.3 / 0.8))
    assert belief([("n", 0.0)], ("no", "none")) == ((0.5, 0.5), 0.0)
    letters, _ = belief([("A", math.log(0.6)), (" B", math.log(0.3)), ("a", math.log(0.1))], ("A", "B"))
    assert letters == pytest.approx((0.6 / 0.9, 0.3 / 0.9))


@given(st.lists(st.tuples(st.text(max_size=4), st.floats(-50, 0)), max_size=20))
def test_shares_are_shares_whatever_the_tokens(tokens: list[tuple[str, float]]) -> None:
    shares, mass = belief(tokens, ("yes", "no"))
    assert sum(shares) == pytest.approx(1.0)
    assert 0 <= mass <= 1


def test_pictures_go_where_the_prompt_puts_them_and_a_text_alone_is_a_text() -> None:
    (turn,) = messages("First <image> then <image> compare.", ["data:1", "data:2"])
    assert [part.get("text") or part["image_url"]["url"] for part in turn["content"]] == [
        "First",
        "data:1",
        "then",
        "data:2",
        "compare.",
    ]
    assert messages("Only words.", [])[0]["content"] == "Only words."


def test_a_greedy_request_says_nothing_of_sampling_and_a_sampled_one_has_its_own_seed() -> None:
    assert sampling(REQUEST, Server()) == {"max_tokens": 8, "temperature": 0.0}
    hot = Request("0f" * 32, 1, "Say.", (), 0.7, 0.9, 40, 8)
    again = Request("0f" * 32, 2, "Say.", (), 0.7, 0.9, 40, 8)
    fields = sampling(hot, Server(limit_name="max_completion_tokens"))
    assert (fields["top_p"], fields["top_k"], fields["max_completion_tokens"]) == (0.9, 40, 8)
    assert fields["seed"] == sampling(hot, Server())["seed"] != sampling(again, Server())["seed"]
    assert "seed" not in sampling(hot, Server(send_seed=False))


def test_a_served_model_is_its_name_its_revision_and_its_root_on_the_hub() -> None:
    plain = served_content("chat", None, [])
    on_hub = served_content("chat", None, [{"id": "chat", "root": "org/model"}, {"id": "other", "root": "org/other"}])
    assert len({plain, on_hub, served_content("chat", "v2", []), served_content("talk", None, [])}) == 4
    assert served_content("chat", None, [{"id": "chat", "root": "/models/of/mine", "created": 17}]) == plain


@pytest.mark.parametrize(
    ("changed", "another"),
    [
        ({"base_url": "http://elsewhere:1/v1"}, False),
        ({"concurrency": 7, "requests_per_minute": 5, "tokens_per_minute": 9, "timeout": 3, "retries": 1}, False),
        ({"api_key_env": "KEY", "backoff": 2, "limit_name": "max_completion_tokens", "send_seed": False}, False),
        ({"image_format": "jpeg"}, True),
        ({"extra_body": {"repetition_penalty": 1.1}}, True),
    ],
)
def test_settings_of_a_server_make_another_row_where_they_can_change_an_answer(
    changed: dict[str, Any], another: bool
) -> None:
    assert (answering(Server(**changed)) != answering(Server())) == another


@pytest.mark.parametrize(
    ("engine", "another"),
    [
        ({"tensor_parallel_size": 2, "gpu_memory_utilization": 0.5, "max_num_seqs": 8}, False),
        ({"quantization": "fp8"}, True),
        ({"an_option_of_next_year": 1}, True),
    ],
)
def test_options_of_an_engine_make_another_row_unless_they_are_known_not_to(
    engine: dict[str, Any], another: bool
) -> None:
    model = Model(model="m", backend="vllm", engine=engine)
    assert bool(without({"engine": model.engine}, MODEL_LEFT_OUT)["engine"]) == another


def test_a_password_in_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="api_key_env"):
        Server(base_url="http://me:secret@host/v1")
