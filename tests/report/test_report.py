from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.errors import UserError
from cirgen.filters.registry import FILTERS
from cirgen.publish.counts import count
from cirgen.report.page import STYLE, duration, render
from cirgen.report.plots import Window, similarity_plot, word_plot
from cirgen.report.sample import REJECTED_EACH, Sample
from cirgen.report.similarities import filter_window, windows
from cirgen.report.write import times, write_report
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET, VERDICT
from cirgen.shards import write_rows
from runs import make_run, toy, with_recipe, write_vectors


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    write_vectors(run, 13)
    return run


class Page(HTMLParser):
    """Collects what a page shows, and whatever it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            is_address = name in ("src", "href", "xlink:href", "srcset", "data", "action")
            if is_address and value and not value.startswith(("data:", "#")):
                self.fetched.append(value)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def _report(run: Run) -> str:
    write_report(run)
    return run.report.read_text(encoding="utf8")


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_the_report_needs_nothing_but_itself_and_stays_small(run: Run) -> None:
    text = _report(run)
    page = Page(text)
    assert page.fetched == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not re.findall(r"url\((?!#|\"?data:)", text)
    assert "@import" not in text
    assert text.count("data:image/jpeg;base64,") >= 36
    assert len(text.encode()) < 3_000_000


def test_headline_numbers_and_funnel_are_those_of_the_tables(run: Run) -> None:
    words = Page(_report(run)).words
    assert "74 triplets accepted" in words
    assert "71.8% of 103 planned" in words
    assert "images found 14 readable 13 unique pictures 13 with a caption 12" in words
    assert "texts asked for 103 texts written 102 passed lint 74 accepted 74" in words


def test_every_reason_of_rejection_is_shown_with_its_text(run: Run) -> None:
    words = Page(_report(run)).words
    assert "please make the whole thing look" in words
    for reason in count(run).reasons:
        assert reason in words
    assert "(no text)" in words


def test_one_reason_never_crowds_out_the_others(run: Run) -> None:
    with run.store.connect() as connection:
        reasons = [row["reason"] for row in Sample(run, connection).rejected()]
    assert sorted(set(reasons)) == ["generation: truncated", "lint: too long", "lint: too short"]
    assert max(reasons.count(reason) for reason in reasons) == REJECTED_EACH


def test_the_same_run_gives_the_same_report_and_another_seed_other_rows(run: Run) -> None:
    first = _report(run)
    assert _report(run) == first
    assert Page(_report(with_recipe(run, seed=1))).words != Page(first).words


def test_failures_are_named_by_stage_status_and_error(run: Run) -> None:
    words = Page(_report(run)).words
    assert "ingest image_error cannot identify image file 1" in words
    assert "caption truncated no end of sequence within 64 tokens 1" in words
    assert "modify 103 102 1 0" in words


def test_prompts_and_recipe_are_there_in_full(run: Run) -> None:
    words = Page(_report(run)).words
    assert "Which change turns the first image into the second?" in words
    assert "{% if examples %}" in words
    assert "signals: - kind: neighbours" in words


def test_texts_of_models_are_shown_and_never_run(run: Run) -> None:
    attack = "<script>alert(1)</script><img src=http://example.org/x.png>"
    triplets = [{**row, "text": attack, "reference_caption": attack} for row in _rows(run.triplets)]
    write_rows(run.triplets, triplets, TRIPLET)
    page = Page(_report(run))
    assert attack in page.words
    assert "script" not in page.tags
    assert page.fetched == []


def test_a_run_that_accepts_nothing_gets_a_report_that_says_why(run: Run) -> None:
    verdicts = [
        {**row, "scores": dict(row["scores"]), "reason": row["reason"] or "lint: odd"} for row in _rows(run.verdicts)
    ]
    write_rows(run.verdicts, verdicts, VERDICT)
    assert (
        "Nothing was accepted , so there is no dataset. The most frequent reason is lint: odd (74 of 103)"
        in Page(_report(run)).words
    )


def test_an_image_that_is_gone_leaves_a_hole_not_an_error(run: Run) -> None:
    for path in (run.folder.parent / "images").glob("red-*"):
        path.unlink()
    assert "file moved or changed" in Page(_report(run)).words


def test_a_run_without_captions_filters_vectors_or_facts_gets_a_report(tmp_path: Path) -> None:
    run = make_run(tmp_path, filter=[])
    run.caption_plan.unlink()
    run.facts.unlink()
    words = Page(_report(run)).words
    assert "The recipe has no filter" in words
    assert "with a caption" not in words
    assert " spent" not in words


def test_a_run_without_verdicts_is_told_to_go_on(run: Run) -> None:
    run.verdicts.unlink()
    with pytest.raises(UserError, match="go on with `cirgen run`"):
        write_report(run)


def test_the_embedded_world_is_called_a_diagnostic(run: Run) -> None:
    assert "diagnostic" not in _report(run)
    assert "A diagnostic, not pretraining data." in _report(
        with_recipe(run, encoder={"model": "cirgen:filter-encoder"})
    )


def test_captions_stand_beside_their_pictures(run: Run) -> None:
    with run.store.connect() as connection:
        shown = Sample(run, connection).captions()
    catalog = {row["image_id"]: row for row in _rows(run.catalog)}
    assert len(shown) == 12
    assert all(row["text"] == f"a {toy(catalog[row['image_id']])}" for row in shown)


def test_the_window_of_the_recipe_is_drawn(run: Run) -> None:
    assert windows(run, None) == [Window("window: neighbours", 0.2, 0.9)]
    signals = {"signals": [{"kind": "percentile", "lower": 25, "upper": 75}]}
    random = np.linspace(0, 1, 101, dtype=np.float32)
    assert windows(with_recipe(run, pair=signals), random) == [Window("window: percentile 25 to 75", 0.25, 0.75)]
    values = np.asarray([0.3, 0.5], dtype=np.float32)
    svg = similarity_plot(None, values, values[:0], [Window("window: neighbours", 0.2, None)])
    assert "window: neighbours" in svg
    assert "any two images" not in svg
    assert "currentColor" in svg


COSINES = [0.2, 0.3, 0.5, 0.6, 0.9]


def _judged_by_similarity(run: Run, **settings: Any) -> tuple[Run, list[float]]:
    """Return the run under a similarity filter that saw `COSINES`, and those that the filter passes itself."""
    run = with_recipe(run, filter=[{"name": "similarity", **settings}])
    part = FILTERS.build(run.recipe.filter[0])
    reasons = part.decide(pa.table({"cosine": COSINES}))
    rows = [{**row, "reason": "lint: too short", "scores": {}} for row in _rows(run.verdicts)]
    for row, cosine, reason in zip(rows, COSINES, reasons, strict=False):
        row |= {"scores": {"similarity.cosine": cosine}, "reason": reason and f"similarity: {reason}"}
    write_rows(run.verdicts, rows, VERDICT)
    return run, [cosine for cosine, reason in zip(COSINES, reasons, strict=True) if not reason]


@pytest.mark.parametrize(
    ("settings", "window"),
    [
        ({"lower": 0.25, "upper": 0.55}, (0.25, 0.55)),
        ({"upper_percentile": 75}, (None, 0.6)),
        ({"lower_percentile": 25, "upper": 0.7}, (0.3, 0.7)),
    ],
)
def test_the_window_of_the_similarity_filter_is_drawn_where_it_cut(
    run: Run, settings: dict[str, float], window: tuple[float | None, float | None]
) -> None:
    run, passed = _judged_by_similarity(run, **settings)
    with run.store.connect() as connection:
        drawn = filter_window(run, connection)
    assert drawn is not None
    assert (drawn.lower, drawn.upper) == pytest.approx(window)
    low, high = drawn.lower or -1, drawn.upper or 1
    assert [cosine for cosine in COSINES if low <= cosine <= high] == passed


def test_no_window_is_drawn_for_a_filter_that_is_not_there(run: Run) -> None:
    with run.store.connect() as connection:
        assert filter_window(run, connection) is None


def test_bounds_of_a_window_are_said_in_figures() -> None:
    assert Window("passed", None, 0.93).bounds == "passed (to 0.930)"
    assert Window("passed", 0.1, 0.93).bounds == "passed (from 0.100 to 0.930)"
    values = np.asarray([0.3, 0.5, 0.95], dtype=np.float32)
    svg = similarity_plot(None, values, values[:0], [Window("passed", None, 0.93)])
    assert "passed (to 0.930)" in svg


def test_the_time_that_is_shown_says_what_it_covers_whenever_the_report_is_written(run: Run) -> None:
    first = Page(_report(run)).words
    assert "1 min 33 s spent up to the filters" in first
    assert "Writing this report and the dataset came afterwards and is not counted here" in first
    run.add_to_fact("seconds", {"report": 11.0, "export": 8.0})
    assert Page(_report(run)).words == first


TOYS = {"images": {"kind": "folder", "path": "cirgen:images"}}
SMALL = {"mllm": {"model": "cirgen:mllm"}, "encoder": {"model": "cirgen:filter-encoder"}}


@pytest.mark.parametrize("sections", [{}, TOYS, SMALL, TOYS | SMALL])
def test_the_report_never_claims_that_filters_work(run: Run, sections: dict[str, Any]) -> None:
    assert "filters work" not in Page(_report(with_recipe(run, **sections))).words


def test_the_banner_speaks_of_the_pictures_that_are_shown(run: Run) -> None:
    toys = Page(_report(with_recipe(run, **TOYS, **SMALL))).words
    assert "The pictures are rendered toy figures" in toys
    assert "cirgen world truth RUN/dataset" in toys
    assert "nothing about photographs" in toys
    others = Page(_report(with_recipe(run, **SMALL))).words
    assert "took part (mllm, encoder). They were shown rendered toy figures and nothing else" in others
    assert "photographs" not in others and "world truth" not in others


def test_both_pictures_of_a_pair_carry_their_file_names(run: Run) -> None:
    words = Page(_report(run)).words
    names = {row["image_id"]: row["aliases"][0]["source_id"] for row in _rows(run.catalog)}
    with run.store.connect() as connection:
        shown = Sample(run, connection).accepted()
    for row in shown:
        assert f"reference {names[row['reference_id']]} \u2192 target {names[row['target_id']]}" in words


def test_long_texts_share_the_last_bar() -> None:
    assert "last bar: and more" in word_plot({True: {5: 10, 900: 1}, False: {}})
    assert "last bar" not in word_plot({True: {5: 10}, False: {3: 1}})


def test_rates_are_rows_per_second(run: Run) -> None:
    [ingest, caption] = times({"caption": 26.0, "ingest": 2.0}, count(run))
    assert (ingest["stage"], ingest["rate"], ingest["unit"]) == ("ingest", 7.0, "images")
    assert (caption["rate"], caption["share"]) == (0.5, 1.0)


def test_seconds_are_said_as_people_say_them() -> None:
    assert [duration(s) for s in (0.25, 59.9, 61, 3_660)] == ["0.2 s", "59.9 s", "1 min 01 s", "1 h 01 min"]


def test_characters_that_nobody_sees_are_shown_as_out_of_place(tmp_path: Path) -> None:
    template = tmp_path / "page.j2"
    template.write_text("{{ style }}<p>{{ text }}</p>", encoding="utf8")
    page = render(template, text="make\x00 it \u202ered\u202c\n <b>now</b>")
    assert "<p>make\ufffd it \ufffdred\ufffd\n &lt;b&gt;now&lt;/b&gt;</p>" in page
    assert STYLE.read_text(encoding="utf8") in page
