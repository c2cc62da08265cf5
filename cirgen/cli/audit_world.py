"""What an audit can say of the embedded world alone: true queries, and exact truth.

Nothing in `cirgen.audit` may know the world, so that what is measured there could be measured of any corpus; here
alone the two meet.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cirgen.errors import UserError

if TYPE_CHECKING:
    from cirgen.audit.audit import Findings, Settings
    from cirgen.audit.corpora.options import Options
    from cirgen.audit.corpus import Corpus
    from cirgen.audit.figures import Section
    from cirgen.progress import Progress

QUERIES = "cirgen:queries"
"""The true queries of the embedded world's evaluation collection, none left out."""
IMAGES = 1_500
"""Figures of that collection."""
EACH = 500
"""Queries of one, of two and of three edits."""
SEED = 0
TRUTH_ABOUT = (
    "As the exact attributes of the figures say; the words are those of `cirgen world truth`. Nothing that generates, "
    "filters or measures the other figures reads attributes."
)
TRUE_ABOUT = (
    "The same figures of exact queries of the embedded world's evaluation collection, written by rules in a second "
    "grammar, none of them filtered: what the shortcut rate of this kind of picture is before anything is left out."
)


def true_queries(options: Options, progress: Progress) -> Corpus:
    """Draw the evaluation collection, or read it from the cache, and ask its queries.

    Raises:
        UserError: the packages that draw are missing, or a split is asked for.
    """
    from cirgen.audit.corpus import BytePictures, Corpus, Row
    from cirgen_benchmark.verdict.world import PngImages, drawn_collection, world_queries

    if options.split is not None:
        raise UserError(f"{QUERIES} has no splits; leave --split out.")
    world = drawn_collection("evaluation", images=IMAGES, progress=progress)
    assert isinstance(world.images, PngImages)
    rows = [
        Row(
            f"{place}",
            "evaluation",
            "evaluation collection",
            query.reference,
            query.text,
            query.target,
            tuple(i for i in query.positives if i != query.reference),
            f"{query.edits} edit{'' if query.edits == 1 else 's'}",
        )
        for place, query in enumerate(world_queries(world, EACH, SEED))
    ]
    return Corpus(
        name=QUERIES,
        kind="true queries of the embedded world",
        rows=tuple(rows),
        galleries={"evaluation collection": tuple(sorted(world.ids))},
        pictures=BytePictures(world.images.files),
        notes=("Rules wrote these texts in a second grammar, and every text is exact; none was left out.",),
    )


def shows_toy_figures(corpus: Corpus) -> bool:
    """Return whether every image of a corpus is one that ships with cirgen."""
    from cirgen.world.build import TABLE, read_truth, shipped

    known = set(read_truth(shipped() / TABLE).image_ids)
    return bool(corpus.image_ids) and known.issuperset(corpus.image_ids)


def with_truth(findings: Findings, dataset: Path, settings: Settings, progress: Progress) -> Findings:
    """Add exact truth, and the shortcuts of true queries, to the audit of a dataset of shipped figures."""
    from cirgen.audit.audit import with_section

    findings = with_section(findings, _true_section(findings, settings, progress))
    return with_section(findings, _truth_section(dataset))


def _true_section(findings: Findings, settings: Settings, progress: Progress) -> Section:
    from dataclasses import replace

    from cirgen.audit.audit import audit
    from cirgen.audit.corpora.options import Options
    from cirgen.audit.figures import Section, missing

    name, title = "true_queries", "Shortcuts of true queries, unfiltered"
    absent = (("rate", "shortcut rate of true queries"),)
    encoders = tuple(one["model"] for one in findings.audit.settings["encoders"])
    if not encoders:
        return Section(name, title, missing("the corpus itself was not ranked", absent), TRUE_ABOUT)
    try:
        corpus = true_queries(Options(), progress)
    except UserError as error:
        return Section(name, title, missing(str(error).rstrip("."), absent), TRUE_ABOUT)
    asked = replace(settings, encoders=encoders, benchmarks=(), judge=None, split=None)
    found = audit(corpus, asked, progress).audit.section("shortcuts")
    assert found is not None
    drawn = tuple(replace(one, title=f"{one.title}, true queries") for one in found.histograms)
    return replace(found, name=name, title=title, about=TRUE_ABOUT, histograms=drawn)


def _truth_section(dataset: Path) -> Section:
    from cirgen.audit.figures import Section, count, percent
    from cirgen.intervals import Interval
    from cirgen.world.build import TABLE, shipped
    from cirgen.world.truth_report import judge_dataset, slices
    from cirgen.world.truth_words import MEANINGS

    parts = {part.name: part for part in slices(*judge_dataset(dataset, shipped() / TABLE))}
    figures = []
    for name in ("accepted", "all"):
        if name in parts:
            suffix = "" if name == "accepted" else "_all"
            figures.append(count(f"rows{suffix}", f"triplets, {name}", parts[name].rows))
            figures += [
                percent(f"{word}{suffix}", f"{word}, {name}", Interval(value.share, value.low, value.high))
                for word, value in parts[name].measures.items()
            ]
    about = " ".join([TRUTH_ABOUT, *(f"{word.capitalize()}: {meaning}." for word, meaning in MEANINGS.items())])
    return Section("truth", "Exact truth", tuple(figures), about)
