"""The review page in a real browser, as somebody with a keyboard meets it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from browser import MISSING, Browser, browser
from cirgen.review.journal import Journal
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET
from cirgen.shards import write_rows
from reviews import Served, finished_run, served

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")

COUNT = "document.getElementById('count').textContent"
READY = "!document.getElementById('review').hidden && !document.querySelector('.waiting')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path)


def shown(page: Browser) -> tuple[int, int]:
    """Return which triplet is shown, and how many are judged."""
    found = re.match(r"triplet (\d+), (\d+) of", page.run(f"return {COUNT}"))
    assert found
    return int(found[1]), int(found[2])


def at(page: Browser, triplet: int, judged: int) -> None:
    """Wait until a triplet is there to be judged."""
    page.until(f"{COUNT}.startsWith('triplet {triplet}, {judged} of') && {READY}")


def enter(page: Browser, server: Served) -> None:
    """Open the page in a window that remembers no reviewer."""
    page.open(server.link)
    page.run("sessionStorage.clear()")
    page.open(server.link)


def verdicts(run: Run, reviewer: str) -> dict[str, str]:
    return Journal(run.folder / "review").read().of(reviewer)


def test_a_reviewer_judges_goes_back_changes_a_mind_reloads_and_ends_by_keyboard_alone(
    page: Browser, run: Run
) -> None:
    with served(run, "-n", "5") as server:
        page.open(server.link)
        page.until("!document.getElementById('name').hidden")
        assert "token" not in page.run("return location.href")
        page.press(*"Anna", "Enter")
        at(page, 1, 0)
        rows = server.rows("Anna")["rows"]
        assert page.run("return document.querySelector('blockquote').textContent") == rows[0]["text"]
        for number, key in enumerate("12", 1):
            page.press(key)
            at(page, number + 1, number)
        assert verdicts(run, "Anna") == {rows[0]["id"]: "good", rows[1]["id"]: "wrong text"}

        page.press("Backspace")
        at(page, 2, 2)
        pressed = "return document.querySelector('[aria-pressed=true]').dataset.verdict"
        assert page.run(pressed) == "wrong text"
        page.press("4")
        at(page, 3, 2)
        assert verdicts(run, "Anna")[rows[1]["id"]] == "target not unique"
        page.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
        at(page, 1, 2)
        page.press("ArrowRight")
        at(page, 2, 2)
        page.press("End", "ArrowRight")  # nobody passes over what is not judged
        at(page, 3, 2)

        page.reload()
        at(page, 3, 2)
        for number, key in enumerate("351", 3):
            at(page, number, number - 1)
            page.press(key)
        page.until("!document.getElementById('done').hidden")
        page.press("1")  # there is nothing left to judge
        given = [verdicts(run, "Anna")[row["id"]] for row in rows]
        assert given == ["good", "target not unique", "reference not needed", "unclear", "good"]
        assert page.errors() == []


def test_a_review_goes_on_after_the_server_was_started_again(page: Browser, run: Run) -> None:
    with served(run, "-n", "4", "--reviewer", "Bo") as server:
        enter(page, server)
        at(page, 1, 0)
        page.press("1")
        at(page, 2, 1)
    page.press("2")  # nobody hears it
    page.until("document.getElementById('problem').textContent.includes('Not kept. The server does not answer')")
    assert shown(page) == (2, 1)
    assert len(verdicts(run, "Bo")) == 1
    with served(run) as server:
        page.open(server.link)
        page.run("sessionStorage.setItem('reviewer', 'Bo')")
        page.open(server.link)
        at(page, 2, 1)


def test_two_reviewers_at_one_page_never_see_each_others_verdicts(page: Browser, run: Run) -> None:
    with served(run, "-n", "3", "--reviewer", "Cy") as server:
        enter(page, server)
        at(page, 1, 0)
        page.press("1")
        at(page, 2, 1)
        page.click("#change")
        page.until("!document.getElementById('name').hidden")
        page.run("document.getElementById('name-field').value = ''")
        page.press("1")  # a name may hold figures; it is no verdict
        page.press(*"Dee", "Enter")
        at(page, 1, 0)
        assert page.run("return document.querySelectorAll('[aria-pressed=true]').length") == 0
        page.press("5")
        at(page, 2, 1)
        assert list(verdicts(run, "1Dee").values()) == ["unclear"]
        assert list(verdicts(run, "Cy").values()) == ["good"]


def test_a_click_judges_as_a_key_does_and_held_keys_judge_once(page: Browser, run: Run) -> None:
    with served(run, "-n", "6", "--reviewer", "Eve") as server:
        enter(page, server)
        at(page, 1, 0)
        page.click("[data-verdict='reference not needed']")
        at(page, 2, 1)
        page.press("Enter")  # the button that was clicked does not keep the focus
        page.run(
            "for (let n = 0; n < 9; n++)"
            " document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', repeat: n > 0, bubbles: true}))"
        )
        at(page, 3, 2)
        assert list(verdicts(run, "Eve").values()) == ["reference not needed", "good"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 640), (390, 844)])
def test_everything_fits_the_window_and_pictures_are_whole(
    page: Browser, run: Run, width: int, height: int, scheme: str
) -> None:
    with served(run, "-n", "2", "--reviewer", "Fay") as server:
        page.resize(width, height)
        page.prefer(scheme)
        enter(page, server)
        at(page, 1, 0)
        box: dict[str, Any] = page.run(
            "const frame = document.querySelector('.frame').getBoundingClientRect(),"
            " image = document.getElementById('reference').getBoundingClientRect();"
            "return {wide: document.documentElement.scrollWidth, tall: document.documentElement.scrollHeight,"
            " whole: image.bottom <= frame.bottom + 1 && image.right <= frame.right + 1,"
            " side: frame.width, high: frame.height, loaded: document.getElementById('target').naturalWidth}"
        )
        assert box["wide"] <= width
        assert box["tall"] <= height
        assert box["whole"]
        assert min(box["side"], box["high"]) >= 140
        assert box["loaded"] == 96


def test_a_text_of_a_model_is_shown_and_never_run(page: Browser, run: Run) -> None:
    attack = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    write_rows(run.triplets, [{**row, "text": attack} for row in pq.read_table(run.triplets).to_pylist()], TRIPLET)
    with served(run, "-n", "2", "--reviewer", "Gil") as server:
        enter(page, server)
        at(page, 1, 0)
        assert page.run("return document.querySelector('blockquote').textContent") == attack
        assert page.run("return document.title") == "toys: review"


def test_a_picture_that_is_gone_leaves_a_note_and_can_be_judged(page: Browser, run: Run, tmp_path: Path) -> None:
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    with served(run, "-n", "2", "--reviewer", "Hal") as server:
        enter(page, server)
        at(page, 1, 0)
        assert page.run("return document.querySelectorAll('.frame.gone').length") == 2
        page.press("5")
        at(page, 2, 1)
