"""A cap on cost is kept, with what is on its way counted in, and nothing that was paid for is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.backends.base import Backend, Choice, Identity, ImageReader, Likelihood, Request, Result
from cirgen.errors import LimitReachedError
from cirgen.model_settings import Price
from cirgen.spending import Spending, Tally, Usage, summed

TOKENS = 10
MILLION = 1_000_000


class Counted(Backend):
    """Answers in tens of tokens, so many requests on their way at once."""

    def __init__(self, ahead: int) -> None:
        self.identity = Identity("m", "", "", "counted", "", "none", 0)
        self.price = Price(prompt=MILLION / TOKENS, output=MILLION / TOKENS)  # a request costs 2
        self._ahead = ahead

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        waiting: list[Request] = []
        for request in requests:
            waiting.append(request)
            if len(waiting) == self._ahead:
                yield self._result(waiting.pop(0))
        yield from map(self._result, waiting)

    @staticmethod
    def _result(request: Request) -> Result:
        return Result(request, "ok", "", "text", "stop", TOKENS, TOKENS)

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        for request in requests:
            yield Choice(request, "ok", "", (0.5, 0.5), 1.0, TOKENS, TOKENS)

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        for request, _ in requests:
            yield Likelihood(request, "ok", "", -1.0, 3, TOKENS)


class NoImages:
    def open(self, image_id: str) -> None:
        raise FileNotFoundError(image_id)


def requests(count: int) -> list[Request]:
    return [Request(str(place), 0, "x" * TOKENS, (), 0.0, 1.0, 0, TOKENS) for place in range(count)]


@given(st.integers(0, 40), st.integers(1, 8), st.floats(0, 60))
def test_generation_stays_below_the_cap_and_every_request_that_went_out_is_answered(
    count: int, ahead: int, cap: float
) -> None:
    spending = Spending()
    spending.cap(cap, None)
    results = []
    stopped = False
    try:
        for result in spending.metered(Counted(ahead), "modify").generate(requests(count), NoImages()):
            results.append(result)
    except LimitReachedError:
        stopped = True
    assert spending.spent.cost == pytest.approx(2 * len(results))
    assert stopped == (len(results) < count)
    assert spending.spent.cost <= max(cap, 2.0) + 1e-6  # the first request goes out whatever it costs
    if not stopped and count > 1:
        assert 2 * count <= cap + 1e-6
    assert spending.in_flight == 0


class Silent(Counted):
    """Does not tell how many tokens anything took."""

    @staticmethod
    def _result(request: Request) -> Result:
        return Result(request, "ok", "", "text", "stop", 0, 0)


def test_a_cap_holds_where_nobody_tells_tokens_each_request_counts_as_much_as_it_may_cost() -> None:
    spending = Spending()
    spending.cap(20.0, None)
    answered = 0
    with pytest.raises(LimitReachedError):
        for _ in spending.metered(Silent(1), "modify").generate(requests(40), NoImages()):
            answered += 1
    assert answered == 10
    assert spending.spent == Usage(10, 0, 0, 20.0)
    most = Tally(10, 100, 100, 20.0, answered=10)
    assert spending.by_stage["modify"] == most, "as many tokens as there may have been"


class Frugal(Counted):
    """Takes a tenth of what a request may."""

    @staticmethod
    def _result(request: Request) -> Result:
        return Result(request, "ok", "", "text", "stop", 1, 1)


def test_a_cap_below_what_one_request_may_cost_lets_out_as_many_as_do_cost_no_more() -> None:
    spending = Spending()
    spending.cap(1.5, None)
    answered = 0
    with pytest.raises(LimitReachedError, match=r"1\.4 of 1\.5 is spent"):
        for _ in spending.metered(Frugal(4), "modify").generate(requests(40), NoImages()):
            answered += 1
    assert answered == 7  # 0.2 each


def test_a_cap_of_nothing_lets_out_nothing() -> None:
    spending = Spending()
    spending.cap(0.0, None)
    with pytest.raises(LimitReachedError, match="0 of 0 is spent"):
        list(spending.metered(Counted(1), "modify").generate(requests(3), NoImages()))
    assert spending.spent == Usage()


class Failing(Counted):
    """Answers every other request."""

    @staticmethod
    def _result(request: Request) -> Result:
        if int(request.key) % 2:
            return Result(request, "engine_error", "500")
        return Result(request, "ok", "", "text", "stop", TOKENS, TOKENS)


def test_a_stage_knows_what_it_asked_and_what_of_it_was_answered() -> None:
    spending = Spending()
    list(spending.metered(Failing(1), "caption").generate(requests(4), NoImages()))
    list(spending.metered(Counted(1), "modify").generate(requests(3), NoImages()))
    assert spending.by_stage["caption"] == Tally(4, 20, 20, 4.0, answered=2)
    assert spending.by_stage["modify"] == Tally(3, 30, 30, 6.0, answered=3)


def test_the_same_call_again_gets_further_each_time_until_all_is_there() -> None:
    left, calls = requests(10), 0
    while left:
        spending = Spending()
        spending.cap(5.0, None)
        try:
            for result in spending.metered(Counted(4), "modify").generate(list(left), NoImages()):
                left.remove(result.request)
        except LimitReachedError as error:
            assert "of 5 is spent (--max-cost)" in str(error)
        calls += 1
    assert calls == 5


def test_questions_that_are_of_use_together_alone_are_not_begun_where_they_would_not_fit() -> None:
    spending = Spending()
    spending.cap(9.0, None)
    metered = spending.metered(Counted(1), "modify")
    assert len(list(metered.choose(requests(3), ("a", "b"), NoImages()))) == 3
    with pytest.raises(LimitReachedError):
        list(metered.choose(requests(2), ("a", "b"), NoImages()))
    assert spending.spent == Usage(3, 30, 30, pytest.approx(6.0))


def test_texts_that_are_read_count_and_cost_as_prompts() -> None:
    spending = Spending()
    spending.cap(3.0, None)
    metered = spending.metered(Counted(1), "modify")
    assert len(list(metered.likelihood([(one, "red") for one in requests(3)], NoImages()))) == 3
    assert spending.spent == Usage(3, 30, 0, pytest.approx(3.0))
    with pytest.raises(LimitReachedError):
        list(metered.likelihood([(one, "red") for one in requests(1)], NoImages()))


def test_time_that_is_over_lets_no_request_out() -> None:
    clock = [0.0]
    spending = Spending(now=lambda: clock[0])
    spending.cap(None, 1.0)
    found = []
    with pytest.raises(LimitReachedError, match="1 hours are over"):
        for result in spending.metered(Counted(2), "modify").generate(requests(9), NoImages()):
            found.append(result)
            clock[0] += 1000.0
    assert len(found) == 5  # four within the hour, and the one that was on its way
    assert spending.seconds_left == 0


def test_what_is_spent_is_saved_as_it_goes_and_whatever_ends_it() -> None:
    saved: dict[str, Usage] = {}

    def save(spent: Mapping[str, Usage]) -> None:
        for model, usage in spent.items():
            saved[model] = saved.get(model, Usage()) + usage

    clock = [0.0]
    spending = Spending(save, now=lambda: clock[0])
    results = spending.metered(Counted(1), "modify").generate(requests(9), NoImages())
    next(results)
    assert saved == {}
    clock[0] += 31.0
    next(results)
    assert saved["m"].requests == 2
    next(results)
    results.close()
    assert saved["m"] == Usage(3, 30, 30, pytest.approx(6.0))


def test_sums_over_the_calls_of_a_run_keep_models_apart() -> None:
    known = summed({}, {"a": Usage(1, 2, 3, 0.5)})
    both = summed(known, {"a": Usage(1, 1, 1, 0.25), "b": Usage(4, 0, 0, 0.0)})
    assert both["a"] == {"requests": 2, "prompt_tokens": 3, "output_tokens": 4, "cost": 0.75}
    assert both["b"]["requests"] == 4
