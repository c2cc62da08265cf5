"""Audits a corpus: reads, hashes, embeds and ranks what it needs, and puts every section together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cirgen import __version__
from cirgen.audit.catalog import Catalog, catalog
from cirgen.audit.changes import changes_section
from cirgen.audit.corpus import Corpus, Row
from cirgen.audit.degrees import degrees_section
from cirgen.audit.embeddings import Embedded, embed
from cirgen.audit.figures import Audit, Section, count, missing
from cirgen.audit.judged import SAMPLE, Judge, Judged, judged_section, not_judged, sampled
from cirgen.audit.leaks import leaks_section
from cirgen.audit.licences import licences_section
from cirgen.audit.overlap import overlap_section
from cirgen.audit.pairs import pairs_section
from cirgen.audit.pictures import groups_of, pictures_section
from cirgen.audit.ranking import Ranks, answerable, first_rivals, rank
from cirgen.audit.rivals import no_rivals, rivals_section
from cirgen.audit.shortcuts import no_shortcuts, shortcuts_section
from cirgen.audit.similarity import no_similarity, similarity_section
from cirgen.audit.texts import texts_section
from cirgen.errors import UserError
from cirgen.fingerprints import Fingerprints, read_fingerprints
from cirgen.progress import Progress, Silent
from cirgen.resources import SHIPPED_PREFIX

JUDGING = f"{SHIPPED_PREFIX}judge-encoder"
"""What audits a corpus whose own encoder ships with cirgen: it shares no weights, seed or figures with that one."""
NO_ENCODER = "no encoder is named: give --encoder MODEL, such as a CLIP other than the one that filtered"
NO_JUDGE = "no judge is named: give --judge MODEL, a multimodal LLM other than the one that wrote the texts"
NO_BENCHMARK = (
    "no benchmark is named: give --benchmark PATH, a folder of its pictures, or a list that `cirgen fingerprint` wrote"
)
NO_PAIR = "no row has both of its pictures"
OWN_REFERENCE = "every row asks for its own reference"
NO_TARGETS = "every target is withheld, so there is no triplet"


@dataclass(frozen=True)
class Settings:
    """What to measure with."""

    encoders: tuple[str, ...] = ()
    """None takes `JUDGING` where the corpus's own encoder ships with cirgen."""
    benchmarks: tuple[str, ...] = ()
    """Folders of their pictures, or lists of their fingerprints."""
    judge: str | None = None
    judge_sample: int = SAMPLE
    split: str | None = None
    """For the record."""


@dataclass(frozen=True)
class Findings:
    """An audit with what it was made of, for tables and pictures."""

    corpus: Corpus
    audit: Audit
    catalog: Catalog | None = None
    ranks: Ranks | None = None
    judged: tuple[Judged, ...] = ()


def audit(corpus: Corpus, settings: Settings, progress: Progress | None = None) -> Findings:
    """Measure everything that can be measured of a corpus; the rest says why not.

    Raises:
        UserError: it has no rows, or a model or benchmark that is named is not there.
    """
    progress = progress or Silent()
    if not corpus.rows:
        raise UserError(f"The corpus '{corpus.name}' has no rows; name another split.")
    pictures = catalog(corpus, progress) if corpus.pictures is not None else None
    benchmarks = [read_fingerprints(place, progress) for place in settings.benchmarks]
    chosen, note = _encoders(corpus, settings)
    encoders, ranks, why = _ranked(corpus, pictures, chosen, progress)
    judge, unjudged = _judge(corpus, pictures, settings)
    judged = _judged(corpus, judge, ranks, pictures, settings, progress)
    sections = (
        _size(corpus),
        *_ranked_sections(corpus, encoders, ranks, why, judged, unjudged),
        texts_section(corpus.rows),
        *_of_triplets(corpus, pictures),
        pictures_section(corpus, pictures),
        changes_section(corpus),
        licences_section(corpus),
        overlap_section(corpus, pictures, benchmarks, NO_BENCHMARK),
        judged_section(judged) if judged else not_judged(unjudged),
    )
    found = Audit(
        corpus.name,
        corpus.kind,
        __version__,
        (*corpus.notes, *note, *_made_by(corpus, encoders, judge)),
        _record(settings, encoders, benchmarks, judge),
        sections,
        corpus.files,
    )
    return Findings(corpus, found, pictures, ranks, tuple(judged))


def _record(
    settings: Settings, encoders: Sequence[Embedded], benchmarks: Sequence[Fingerprints], judge: Judge | None
) -> dict[str, Any]:
    return {
        "split": settings.split,
        "encoders": [{"model": one.encoder, "content": one.content} for one in encoders],
        "benchmarks": [{"name": one.name, "pictures": len(one), "content": one.content} for one in benchmarks],
        "judge": None if judge is None else {"model": settings.judge, "content": judge.content},
    }


def _size(corpus: Corpus) -> Section:
    rows = corpus.rows
    figures = (
        count("rows", "rows", len(rows)),
        count("withheld", "rows whose target is withheld", len(rows) - len(corpus.triplets)),
        count("references", "different references", len({row.reference for row in rows})),
        count("targets", "different targets", len({row.target for row in corpus.triplets})),
        count("splits", "splits", len({row.split for row in rows})),
    )
    return Section("size", "Size", figures)


def _encoders(corpus: Corpus, settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the encoders to audit with, and what is to be said of the choice."""
    if settings.encoders:
        return tuple(dict.fromkeys(settings.encoders)), ()
    own = next((one.model for one in corpus.models if one.role == "encoder"), "")
    if not own.startswith(SHIPPED_PREFIX):
        return (), ()
    said = f"Its own encoder is {own}, so {JUDGING} audits: what filters must not be what audits."
    return (JUDGING,), (said,) if own != JUDGING else ()


def _made_by(corpus: Corpus, encoders: Sequence[Embedded], judge: Judge | None) -> Iterator[str]:
    """Say which of the auditing models made the corpus, too."""
    made = {one.content: one.role for one in corpus.models if one.content}
    for one in encoders:
        if one.content in made:
            yield (
                f"{one.encoder} is the corpus's own {made[one.content]}: what it filtered looks better to it than it "
                "is, so audit with another one too."
            )
    if judge is not None and judge.content in made:
        yield f"The judge is the corpus's own {made[judge.content]}: it likes what it wrote; name another one."


def _ranked(
    corpus: Corpus, pictures: Catalog | None, chosen: Sequence[str], progress: Progress
) -> tuple[list[Embedded], Ranks | None, str]:
    """Return the embedded corpus and the ranks, or why there are none."""
    if not corpus.triplets:
        return [], None, NO_TARGETS
    if pictures is None:
        return [], None, corpus.no_pictures
    if not chosen:
        return [], None, NO_ENCODER
    texts = list(dict.fromkeys(row.text for row in corpus.triplets))
    queries = answerable(corpus, pictures, texts)
    if not queries:
        same = all(row.reference == row.target for row in corpus.triplets)
        return [], None, OWN_REFERENCE if same else NO_PAIR
    encoders = [embed(model, corpus, pictures, texts, progress) for model in chosen]
    return encoders, rank(corpus, pictures, queries, encoders, progress), ""


def _ranked_sections(
    corpus: Corpus,
    encoders: Sequence[Embedded],
    ranks: Ranks | None,
    why: str,
    judged: Sequence[Judged],
    unjudged: str,
) -> tuple[Section, ...]:
    if ranks is None:
        return no_shortcuts(why), no_rivals(why), no_similarity(why)
    left_out = len(corpus.triplets) - len(ranks.queries)
    return (
        shortcuts_section(ranks, left_out),
        rivals_section(ranks, judged, unjudged),
        similarity_section(ranks, encoders),
    )


def _of_triplets(corpus: Corpus, pictures: Catalog | None) -> tuple[Section, ...]:
    if not corpus.triplets:
        return tuple(
            Section(name, title, missing(NO_TARGETS, (("rows", title.lower()),), "count"))
            for name, title in (("leaks", "Leaks"), ("pairs", "Pairs"), ("degrees", "Use of images"))
        )
    groups = groups_of(corpus, pictures)
    return (
        leaks_section(corpus),
        pairs_section(corpus.triplets, groups, corpus.no_pictures),
        degrees_section(corpus),
    )


def _judge(corpus: Corpus, pictures: Catalog | None, settings: Settings) -> tuple[Judge | None, str]:
    """Return who judges a sample, or why nobody does."""
    if settings.judge is None:
        return None, NO_JUDGE
    if pictures is None or not corpus.triplets:
        return None, corpus.no_pictures or NO_TARGETS
    if not _whole(corpus, pictures):
        return None, NO_PAIR
    from cirgen.backends.transformers import TransformersBackend
    from cirgen.model_settings import Model

    contents = dict(zip(pictures.ids, pictures.keys, strict=True))
    return Judge(corpus, contents, TransformersBackend(Model(model=settings.judge))), ""


def _whole(corpus: Corpus, pictures: Catalog) -> list[Row]:
    """Return the rows that have both of their pictures."""
    there = set(pictures.ids)
    return [row for row in corpus.triplets if row.reference in there and row.target in there]


def _judged(
    corpus: Corpus,
    judge: Judge | None,
    ranks: Ranks | None,
    pictures: Catalog | None,
    settings: Settings,
    progress: Progress,
) -> list[Judged]:
    """Return the judged sample, empty where nobody judges."""
    if judge is None or pictures is None:
        return []
    rivals = first_rivals(ranks, pictures) if ranks is not None else {}
    return judge.judge(sampled(_whole(corpus, pictures), settings.judge_sample), rivals, progress)


def with_section(findings: Findings, section: Section) -> Findings:
    """Return the findings with one more section, such as one that only the caller can measure."""
    return replace(findings, audit=replace(findings.audit, sections=(*findings.audit.sections, section)))
