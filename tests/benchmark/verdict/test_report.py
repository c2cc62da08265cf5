"""The report opens by itself in a browser and shows every arm, every question and queries to look at."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bench_runs import Judged
from made_outcomes import made_results
from rich.console import Console

from cirgen_benchmark.verdict import plots
from cirgen_benchmark.verdict.results import CurvePoint
from cirgen_benchmark.verdict.statistics import Estimate
from cirgen_benchmark.verdict.table import tables
from cirgen_benchmark.verdict.words import per_cent, points, sentence

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(judged: Judged) -> str:
    return (judged.folder / "report.html").read_text(encoding="utf8")


def test_every_arm_contrast_and_figure_is_on_the_page(judged: Judged, page: str) -> None:
    results = judged.results
    for arm in results.arms():
        assert f"<b>{arm.arm}</b>" in page
        assert per_cent(arm.primary) in page
    for one in results.contrasts():
        assert one.question in page
        assert points(one.difference) in page
    assert sentence(results) in page
    assert "48 + 75" in page


def test_the_page_needs_no_other_file(page: str) -> None:
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len([source for source in sources if source.startswith("data:image/")]) > 10
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert "url(" not in page.replace("url(#", "")


def test_queries_are_shown_with_what_two_arms_find(judged: Judged, page: str) -> None:
    queries = page[page.index('id="queries"') : page.index('id="preset"')]
    shown = re.findall(r"<article.*?</article>", queries, re.DOTALL)
    assert shown
    for article in shown:
        assert article.count('class="found"') == 2
        assert article.count("<img") == 2 + 2 * 5
        assert re.search(r"corpus: rank \d+", article)
        assert re.search(r"human: rank \d+", article)


def test_numbers_are_numbers(page: str) -> None:
    text = re.sub(r"<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert "Does the corpus help?" in text
    assert not re.search(r"\b(nan|NaN|inf|None|undefined)\b", text)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed to open the report with")
def test_the_page_opens_in_a_browser(judged: Judged, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=2000",
    ]
    command = [CHROMIUM, *flags, "--dump-dom", (judged.folder / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "Does training on it help?" in done.stdout
    assert done.stdout.count("<svg") >= 3
    for arm in judged.results.arms():
        assert arm.arm in done.stdout


def test_a_curve_shows_every_arm_however_many_there_are() -> None:
    figure = Estimate(50.0, 40.0, 60.0, 1.0)
    names = [f"arm number {number}" for number in range(9)]
    drawn = plots.curve_plot(
        [CurvePoint("c", name, value, "last", figure) for name in names for value in (1, 10)], "human", "recall@10"
    )
    assert all(name in drawn for name in names)


def printed(judged: Judged) -> str:
    console = Console(width=80, record=True, file=(judged.folder / "console.txt").open("w"))
    for table in tables(judged.results):
        console.print(table)
    return console.export_text()


def test_tables_fit_into_eighty_columns_and_hide_nothing(judged: Judged) -> None:
    text = printed(judged)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for arm in judged.results.arms():
        assert arm.arm in text
        assert per_cent(arm.primary) in text
    for one in judged.results.contrasts():
        assert points(one.difference) in text
    assert "(exploratory)" in text


def test_names_with_brackets_are_names(tmp_path: Path) -> None:
    hits = np.zeros((1, 3))
    contrast = {"question": "Does [bold] help?", "plus": ("[red]",), "minus": ("human",)}
    results = made_results({"human": hits, "[red]": hits}, contrasts={"corpus": contrast})
    console = Console(width=80, record=True, file=(tmp_path / "console.txt").open("w"))
    for table in tables(results):
        console.print(table)
    text = console.export_text()
    assert "[red]" in text
    assert "Does [bold] help?" in text


def test_figures_at_a_step_chosen_on_what_is_reported_are_called_so(tmp_path: Path) -> None:
    hits = np.zeros((2, 4))
    asked = {"kind": "corpus", "split": "test"}
    results = made_results({"human": hits, "corpus": hits}, best={"corpus": hits}, development=asked, evaluation=asked)
    console = Console(width=80, record=True, file=(tmp_path / "console.txt").open("w"))
    console.print(next(iter(tables(results))))
    assert "these very queries" in " ".join(console.export_text().split())
