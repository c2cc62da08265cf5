"""report.html: what a run did, in one file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from cirgen import __version__
from cirgen.backends.speed import in_words, told
from cirgen.errors import UserError
from cirgen.images import RunImages
from cirgen.publish.counts import Counts, count
from cirgen.publish.names import source_names
from cirgen.publish.origins import (
    embedded_pictures,
    embedded_roles,
    is_diagnostic,
    models,
    prompts,
    recipe_yaml,
)
from cirgen.report import similarities
from cirgen.report.failures import failures, stage_rows
from cirgen.report.fits import fitted_bounds
from cirgen.report.page import render
from cirgen.report.plots import fit_plot, similarity_plot, word_plot
from cirgen.report.sample import Sample
from cirgen.report.thumbnails import Thumbnails
from cirgen.run_folder import SPEED, Run
from cirgen.shards import write_text

if TYPE_CHECKING:
    import duckdb

TEMPLATE = Path(__file__).with_name("template.html.j2")
OPENINGS = 15
PICTURED = ("reference_id", "target_id", "image_id")
"""Columns of the rows shown that name a picture."""
AFTER = ("report", "export")
"""Stages that come after this page is written; what an earlier call took for them would only confuse."""


def write_report(run: Run) -> None:
    """Write `RUN/report.html` from the derived tables and the store.

    Raises:
        UserError: the run has no verdicts yet.
    """
    if not run.verdicts.is_file():
        raise UserError(f"The run in {run.folder} has no verdicts to report yet; go on with `cirgen run`.")
    counts = count(run)
    with run.store.connect() as connection:
        page = render(
            TEMPLATE,
            version=__version__,
            recipe=run.recipe,
            recipe_yaml=recipe_yaml(run).strip(),
            recipe_hash=run.read_facts().get("recipe_hash", ""),
            is_diagnostic=is_diagnostic(run),
            toy_figures=embedded_pictures(run),
            embedded_roles=embedded_roles(run),
            counts=counts,
            models=models(run),
            prompts=prompts(run),
            picture=Thumbnails(RunImages(run.catalog, run.store.root / "ingest")).uri,
            rows=stage_rows(run, connection),
            failures=failures(run, connection),
            times=times(run.read_facts().get("seconds", {}), counts),
            speeds={stage: in_words(told(counts)) for stage, counts in run.read_facts().get(SPEED, {}).items()},
            similarity_plot=_similarity_plot(run, connection),
            approximate=run.read_facts().get("pairs", {}).get("approximate", []),
            fits=fitted_bounds(run, connection),
            fit_plot=fit_plot,
            **_samples(run, connection),
        )
    write_text(run.report, page)


def _samples(run: Run, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    sample = Sample(run, connection)
    shown = {"accepted": sample.accepted(), "rejected": sample.rejected(), "captions": sample.captions()}
    ids = {row[name] for rows in shown.values() for row in rows for name in PICTURED if name in row}
    return {
        **shown,
        "names": source_names(connection, run.catalog, ids),
        "openings": sample.openings(1, OPENINGS),
        "trigrams": sample.openings(3, OPENINGS),
        "word_plot": word_plot(sample.word_counts()),
    }


def _similarity_plot(run: Run, connection: duckdb.DuckDBPyConnection) -> Markup | None:
    random = similarities.any_two(run)
    mined = similarities.mined(run, connection)
    if not len(mined):
        return None
    passed = similarities.filter_window(run, connection)
    shaded = [*similarities.windows(run, random), *([passed] if passed else [])]
    return similarity_plot(random, mined, similarities.accepted(run, connection), shaded)


def times(seconds: dict[str, float], counts: Counts) -> list[dict[str, Any]]:
    """Return seconds and rows per second of every timed stage that comes before the report, in their order."""
    units = {
        "ingest": (counts.found, "images"),
        "caption": (counts.unique, "captions"),
        "embed": (counts.unique, "images"),
        "pair": (counts.pairs, "pairs"),
        "modify": (counts.planned, "texts"),
        "filter": (counts.written, "triplets"),
    }
    seconds = {name: spent for name, spent in seconds.items() if name not in AFTER}
    order = [*(name for name in units if name in seconds), *(name for name in seconds if name not in units)]
    return [
        {
            "stage": name,
            "seconds": seconds[name],
            "share": seconds[name] / (max(seconds.values()) or 1.0),
            "rate": units.get(name, (0, ""))[0] / seconds[name] if seconds[name] else 0.0,
            "unit": units.get(name, (0, ""))[1],
        }
        for name in order
    ]
