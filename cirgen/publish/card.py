"""The dataset card: front matter that matches the files, and a text that hides nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cirgen import __version__
from cirgen.filters.base import ScoreNote
from cirgen.filters.registry import FILTERS
from cirgen.publish.counts import Counts
from cirgen.publish.features import card_features
from cirgen.publish.images import ImageMode
from cirgen.publish.license import by_license, card_license, hub_license
from cirgen.publish.origins import (
    embedded_pictures,
    embedded_roles,
    is_diagnostic,
    models,
    prompts,
    public_recipe_yaml,
    source_folder,
    to_yaml,
)
from cirgen.publish.parquet import Written
from cirgen.publish.tables import SPLITS, Tables
from cirgen.resources import data_folder
from cirgen.run_folder import Run

TEMPLATE = "template.md"
SAMPLES = 5
LONGEST_NAME = 28  # characters of a name that a table shows whole
SECTIONS = ("audit", "bench", "truth")
DEFAULT_CONFIG = "triplets"
PLACE = "path/to/dataset"
"""What a card calls the dataset until it has a repository, whose name `cirgen push` puts there."""
_NOT_DESCRIBED = ScoreNote("not described", "", "")
_SIZES = ((10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"))


def card(
    run: Run,
    tables: Tables,
    counts: Counts,
    written: Sequence[Written],
    licenses: Mapping[str, int],
    mode: ImageMode,
    sections: Mapping[str, str] | None = None,
    pictures: Mapping[str, str] | None = None,
    template: Path | None = None,
    more: Mapping[str, Any] | None = None,
) -> str:
    """Return README.md of a dataset.

    Args:
        run: the run.
        tables: what it publishes.
        counts: its funnel.
        written: the configs and splits on disk.
        licenses: licence to the number of images under it, '' where it is not known.
        mode: whether pictures are in the dataset.
        sections: what was measured of these very rows: `audit`, `bench` and `truth` to their text, as far as there is
            any.
        pictures: image id to a small picture of it in the dataset, for the samples.
        template: a card of its own, which extends the common one and says more.
        more: what that template knows by name beside what follows.
    """
    text = (template or data_folder("cards") / TEMPLATE).read_text(encoding="utf8")
    opening, opening_count = tables.openings(3, 1)[0]
    published = sum(tables.count(split, accepted=True) for split in SPLITS)
    samples = card_samples(tables)
    return (
        _environment(template)
        .from_string(text)
        .render(
            front_matter=to_yaml(front_matter(run, counts, written, licenses, mode)).strip(),
            name=run.recipe.name,
            version=__version__,
            repo=PLACE,
            recipe_hash=run.read_facts()["recipe_hash"],
            recipe=public_recipe_yaml(run).strip(),
            is_diagnostic=is_diagnostic(run),
            toy_figures=embedded_pictures(run),
            embedded_roles=embedded_roles(run),
            counts=counts,
            configs=written,
            default=[one for one in written if one.config == DEFAULT_CONFIG],
            mode=mode,
            sections={name: (sections or {}).get(name, "") for name in SECTIONS},
            pictures=pictures or {},
            citation_key=_slug(run.recipe.name),
            strips_metadata=run.recipe.export.strip_metadata,
            source_folder=source_folder(run),
            samples=samples,
            names=tables.names(row[end] for row in samples for end in ("reference_id", "target_id")),
            mined=run.recipe.pair.hard_negatives,
            sources=tables.sources(),
            models=models(run),
            prompts=prompts(run),
            scores=score_rows(run, tables.scores),
            opening=opening,
            opening_share=opening_count / published,
            distinct_share=tables.distinct_texts() / published,
            text_license=hub_license(run.recipe.export.license),
            image_licenses=by_license(licenses),
            **(more or {}),
        )
    )


def card_samples(tables: Tables) -> list[dict[str, str]]:
    """Return the accepted triplets that a card shows, drawn by the seed."""
    return tables.draw(SAMPLES, "reason = ''", "card")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "corpus"


class ScoreRow(NamedTuple):
    """One score column, explained."""

    column: str
    filter: str
    note: ScoreNote


def score_rows(run: Run, scores: Mapping[str, str]) -> list[ScoreRow]:
    """Return what the filters of a run say of their scores.

    Args:
        run: the run.
        scores: column to `filter.score`.
    """
    parts = {getattr(settings, FILTERS.tag): FILTERS.build(settings) for settings in run.recipe.filter}
    notes = {name: {**part.score_notes, **part.mark_notes} for name, part in parts.items()}
    names = {column: name.partition(".") for column, name in scores.items()}
    return [
        ScoreRow(column, name, notes.get(name, {}).get(score, _NOT_DESCRIBED))
        for column, (name, _, score) in names.items()
    ]


def front_matter(
    run: Run, counts: Counts, written: Sequence[Written], licenses: Mapping[str, int], mode: ImageMode
) -> dict[str, Any]:
    """Return what the Hub and `datasets` read of a card."""
    return {
        **card_license(run.recipe.export.license, licenses if mode == "embed" else ()),
        "language": ["en"],
        "pretty_name": run.recipe.name,
        "size_categories": [size_category(counts.accepted)],
        "task_categories": ["image-text-to-image"],
        "tags": ["composed-image-retrieval", "image-retrieval", "synthetic", "image", "cirgen"],
        "annotations_creators": ["machine-generated"],
        "configs": [_config(name, parts) for name, parts in _by_config(written).items()],
        "dataset_info": [_info(name, parts) for name, parts in _by_config(written).items()],
    }


def _by_config(written: Sequence[Written]) -> dict[str, list[Written]]:
    configs: dict[str, list[Written]] = {}
    for one in written:
        configs.setdefault(one.config, []).append(one)
    return configs


def _config(name: str, parts: Sequence[Written]) -> dict[str, Any]:
    files = [{"split": one.split, "path": f"{name}/{one.split}-*.parquet"} for one in parts]
    default = {"default": True} if name == DEFAULT_CONFIG else {}
    return {"config_name": name, **default, "data_files": files}


def _info(name: str, parts: Sequence[Written]) -> dict[str, Any]:
    return {
        "config_name": name,
        "features": card_features(parts[0].schema),
        "splits": [{"name": one.split, "num_bytes": one.bytes, "num_examples": one.rows} for one in parts],
        "download_size": sum(one.file_bytes for one in parts),
        "dataset_size": sum(one.bytes for one in parts),
    }


def size_category(rows: int) -> str:
    """Return the Hub's size category of so many rows."""
    lower = "n"
    for limit, label in _SIZES:
        if rows < limit:
            return f"n<{label}" if lower == "n" else f"{lower}<n<{label}"
        lower = label
    return "n>100M"


def _environment(template: Path | None = None) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([data_folder("cards"), *([template.parent] if template else [])]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "brief": brief,
        "cell": cell,
        "code": code,
        "prose": prose,
        "fenced": fenced,
        "number": "{:,}".format,
        "percent": "{:.1%}".format,
    }
    return environment


def brief(name: str) -> str:
    """Return a name that leaves a table its other columns: long ones, such as hashes, less their middle."""
    return name if len(name) <= LONGEST_NAME else f"{name[:12]}…{name[-9:]}"


def cell(text: str) -> str:
    """Return a text that a Markdown table shows as it is."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;")


def code(text: str) -> str:
    """Return a text as a code span that nothing in it can close (CommonMark 0.31, section 6.1), for a table too."""
    line = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def prose(text: str) -> str:
    """Return a text of ours, code spans and all, for a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def fenced(text: str, language: str = "text") -> str:
    """Return a text in a code block that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
