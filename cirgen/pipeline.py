"""The order of the stages: the only module that knows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from cirgen import __version__
from cirgen.captions import captions
from cirgen.changes import save_recipe
from cirgen.compaction import compact
from cirgen.errors import NothingAcceptedError, UserError
from cirgen.executors.base import Executor
from cirgen.executors.local import Local
from cirgen.filters.files import file_contents, with_file_contents
from cirgen.filters.fitted import label_contents, with_label_contents
from cirgen.images import RunImages
from cirgen.keys import recipe_hash
from cirgen.models import Models
from cirgen.parquet_sql import rows_of
from cirgen.publish.counts import accepted_count
from cirgen.publish.origins import prompts
from cirgen.report.fits import LABELS
from cirgen.report.write import write_report
from cirgen.run_folder import PROMPT_LOCK, Run
from cirgen.shards import write_rows
from cirgen.stages.export import export
from cirgen.stages.filter import filter_triplets
from cirgen.stages.filter_tools import Toolbox
from cirgen.stages.ingest import ingest
from cirgen.stages.modify_plan import Planner
from cirgen.stages.pair import pair
from cirgen.store import stream

_CAPTION_TEXTS = pa.schema([pa.field("image_id", pa.string()), pa.field("text", pa.string())])


@dataclass
class Outcome:
    """What a run came to."""

    accepted: int
    dataset: Path | None
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per stage of this call."""


def run_pipeline(run: Run, executor: Executor | None = None) -> Outcome:
    """Run or resume every stage, then report and export.

    Args:
        run: the run.
        executor: says where the work is done; in this process by default.

    Raises:
        UserError: anything the user can mend; nothing committed is lost.
    """
    executor = executor or Local()
    models = Models(run, executor)
    note_recipe(run, models)
    save_recipe(run.folder, run.recipe)  # a start that finds no models changes nothing of what the folder remembers
    run.remove_leftovers()
    models.check_filters()
    _compact(run)
    clock = _Clock(run)
    with clock.stage("ingest"):
        ingest(run, executor)
    images = RunImages(run.catalog, run.store.root / "ingest")
    planner = _generate(run, models, images, clock)
    _filter(run, planner, Toolbox(run, models, images), clock)
    with clock.stage("report"):
        write_report(run)
    try:
        with clock.stage("export"):
            export(run)
    except NothingAcceptedError as error:
        error.seconds = clock.seconds
        raise
    return Outcome(accepted_count(run), run.dataset, clock.seconds)


def _filter(run: Run, planner: Planner, toolbox: Toolbox, clock: _Clock) -> None:
    """Filter; then, as often as the recipe says, have written anew what was rejected, and filter all of it."""
    from cirgen.stages.modify import regenerate

    with clock.stage("filter"):
        filter_triplets(run, toolbox.tools)
    for turn in range(1, run.recipe.modify.regenerate.tries + 1):
        with clock.stage("modify"):
            added = regenerate(run, planner, toolbox.images, turn)
        if not added:
            break
        with clock.stage("filter"):
            filter_triplets(run, toolbox.tools, turn)


def _generate(run: Run, models: Models, images: RunImages, clock: _Clock) -> Planner:
    from cirgen.stages.caption import caption
    from cirgen.stages.embed import embed
    from cirgen.stages.modify import modify

    if needs_captions(run):
        if models.mllm is None:
            raise UserError("Captions need a model; add a section 'mllm' to the recipe.")
        with clock.stage("caption"):
            caption(run, models.mllm, images)
    else:
        run.caption_plan.unlink(missing_ok=True)  # of a recipe that asked for captions
    with clock.stage("embed"):
        by_caption = any(signal.by == "caption" for signal in run.recipe.pair.signals)
        embed(run, models.encoder, images, _caption_texts(run) if by_caption else None)
    with clock.stage("pair"):
        pair(run)
    with clock.stage("modify"):
        return modify(run, models.tasks(), images, models.encoder.count_tokens, models.encoder.files.content)


def needs_captions(run: Run) -> bool:
    """Return whether the recipe asks for captions: it does unless `caption.prompts` is empty."""
    return bool(run.recipe.caption.prompts)


def _caption_texts(run: Run) -> Path:
    """Write the first caption of every picture, in catalog order; empty where there is none."""
    path = run.derived / "captions.parquet"
    with run.store.connect() as connection:
        query = f"""
            SELECT i.image_id, coalesce(c.text, '') AS text FROM {rows_of(run.catalog)} AS i
            LEFT JOIN {captions(run, connection)} AS c USING (image_id) ORDER BY i.image_id
        """
        rows: Iterator[dict[str, str]] = (row for batch in stream(connection, query) for row in batch.to_pylist())
        write_rows(path, rows, _CAPTION_TEXTS)
    return path


def note_recipe(run: Run, models: Models) -> None:
    """Write into `run.json` what the recipe uses now; only the lock of prompts remembers what it used before."""
    used = {prompt.reference: prompt.hash for prompt in prompts(run)}
    contents, labels = models.contents(), label_contents(run.recipe.filter)
    recipe = with_label_contents(run.recipe.resolved(), labels)
    recipe = with_file_contents(recipe, file_contents(run.recipe.filter, run.progress))
    run.note_facts(
        cirgen=__version__,
        recipe_hash=recipe_hash(recipe, contents, used),
        models=contents,
        revisions=models.revisions(),
        prompts=used,
        limit=run.limit,
        **{LABELS: labels},
    )
    run.add_to_fact(PROMPT_LOCK, used)


def _compact(run: Run) -> None:
    merged = compact(run.store)
    if merged:
        run.progress.say(f"Merged {merged:,} small shards of the store.")


class _Clock:
    """Seconds per stage, added up over the calls of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._run.spending.stop_if_reached()
        start = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self._run.add_seconds(name, spent)
        _compact(self._run)
