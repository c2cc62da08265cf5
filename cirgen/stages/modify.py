"""Modification texts: templates over two captions, a language model over two captions, or an MLLM over two images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.backends.base import Backend, ImageReader
from cirgen.captions import captions as captions_of
from cirgen.errors import UserError
from cirgen.filters.registry import FILTERS
from cirgen.parquet_sql import rows_of
from cirgen.prompts import Prompt
from cirgen.report.failures import worst_failure
from cirgen.run_folder import Run
from cirgen.schemas import MODIFY_PLAN, NOT_SCORED, TRIPLET
from cirgen.shards import distinct, write_batches, write_rows
from cirgen.stages.generate import Generation
from cirgen.stages.modify_plan import CountTokens, Planner, shown
from cirgen.store import stream
from cirgen.tails import strip_tails

_REJECTED = pa.schema([MODIFY_PLAN.field(name) for name in ("pair_id", "direction", "prompt", "sample_index")])


def modify(
    run: Run, backends: Mapping[str, Backend], images: ImageReader, count_tokens: CountTokens, tokenizer: str
) -> Planner:
    """Plan the texts of every pair, write those that are missing, join them into triplets, and return the planner.

    Args:
        backends: task (`change`, `rewrite`) to the model that runs it; templates need none.
        count_tokens: of the encoder that will read the texts, for the fallback of over-long templates.
        tokenizer: content hash of that encoder, as it decides on the fallback.
    """
    planner = Planner(run, backends, count_tokens, tokenizer)
    if write_rows(run.modify_plan, planner.rows(), MODIFY_PLAN) == 0:
        raise UserError(_no_captions(run))
    _write_texts(run, planner, run.modify_plan, images, 0)
    _write_triplets(run, planner.prompts)
    return planner


def _no_captions(run: Run) -> str:
    worst = worst_failure(run, "caption")
    why = "" if worst is None else f" ({worst.status}: {worst.error})"
    return (
        f"No pair has the captions that its prompt needs{why}; mend that and give the same command again, or run "
        "`cirgen retry` on the captions first."
    )


def regenerate(run: Run, planner: Planner, images: ImageReader, turn: int) -> int:
    """Write one more text for every text that filters rejected and another could mend; return how many.

    A text that failed is the retry ladder's, and a pair that was rejected for its images stays rejected. Only what was
    written in the turn before is written anew: what has been accepted since is not touched.

    Args:
        run: has verdicts on all texts so far.
        planner: of the run.
        images: opens the pictures.
        turn: 1 for the first text that is written anew.
    """
    with run.scratch() as folder:
        rejected, plan = folder / "rejected.parquet", folder / "plan.parquet"
        _write_rejected(run, rejected, turn)
        if not write_rows(plan, planner.again(rejected, turn), MODIFY_PLAN):
            return 0
        added = int(pq.read_metadata(plan).num_rows)
        _write_texts(run, planner, plan, images, turn)
        with run.store.connect() as connection:
            both = rows_of(run.modify_plan, plan)
            query = (
                f"SELECT * FROM {both} QUALIFY row_number() OVER (PARTITION BY triplet_id ORDER BY regenerated) = 1"
            )
            rows = (batch.cast(MODIFY_PLAN) for batch in stream(connection, f"{query} ORDER BY pair_id, triplet_id"))
            write_batches(run.modify_plan, rows, MODIFY_PLAN)
    _write_triplets(run, planner.all_prompts)
    return added


def _write_rejected(run: Run, path: Path, turn: int) -> None:
    """Write which texts of the turn before are to be written anew; a template would say the same again."""
    mendable = {str(getattr(s, FILTERS.tag)) for s in run.recipe.filter if FILTERS.build(s).judges_text}
    asked = [run.prompt(reference) for reference in run.recipe.modify.prompts]
    templates = [] if run.recipe.modify.regenerate.prompt else [p.reference for p in asked if p.task == "template"]
    with run.store.connect() as connection:
        plan, verdicts = (rows_of(table) for table in (run.modify_plan, run.verdicts))
        query = f"""
            SELECT p.pair_id, p.direction, p.prompt, p.sample_index FROM {plan} AS p
            JOIN {verdicts} AS v USING (triplet_id)
            WHERE p.regenerated = {turn - 1} AND list_contains(?, split_part(v.reason, ':', 1))
                AND NOT list_contains(?, p.prompt) AND NOT ends_with(v.reason, ': {NOT_SCORED}')
            ORDER BY ALL
            """
        batches = stream(connection, query, [sorted(mendable), templates])
        write_batches(path, (batch.cast(_REJECTED) for batch in batches), _REJECTED)


def _write_texts(run: Run, planner: Planner, plan: Path, images: ImageReader, turn: int) -> None:
    """Generate what is missing of the planned texts of a turn."""
    prompts = {prompt.reference: prompt for prompt in planner.all_prompts}
    about = ["reference_id", "target_id"]
    generation = Generation(
        run, "modify", plan, planner.sampling(turn), lambda row: shown(prompts[row["prompt"]], row), about
    )
    asked = [(prompt, planner.backend(prompt)) for prompt in (planner.all_prompts if turn else planner.prompts)]
    generation.run(asked, images, f"Write texts anew, {turn}" if turn else "Write modification texts")


def _write_triplets(run: Run, prompts: Iterable[Prompt]) -> None:
    """Join plan and texts; what a text is said to be asked with is the recipe's, whoever asked for it first."""
    hashes = pa.table({"prompt": [p.reference for p in prompts], "prompt_hash": [p.hash for p in prompts]})
    with run.store.connect() as connection:
        connection.register("prompts", hashes)
        captions = captions_of(run, connection)
        texts = run.store.current(connection, "modify")
        catalog, plan, pairs = (rows_of(p) for p in (run.catalog, run.modify_plan, run.pairs))
        query = f"""
            SELECT p.triplet_id, p.reference_id, m.text, p.target_id,
                   q.split, p.pair_id, q.signal, q.similarity, q.rank, p.intent AS change_type, p.direction,
                   p.regenerated, m.status,
                   '' AS rewrite,
                   coalesce(r.text, '') AS reference_caption, coalesce(t.text, '') AS target_caption,
                   cr."group" AS reference_group, ct."group" AS target_group,
                   p.prompt, h.prompt_hash, m.model, m.revision, m.backend,
                   list_concat(
                       [{{'image_id': p.reference_id, 'kind': 'reference'}}],
                       list_filter(q.hard_negatives, lambda h: h.kind <> 'reference' AND h.image_id <> p.target_id
                                   AND h.image_id <> p.reference_id)) AS hard_negatives
            FROM {plan} AS p
            JOIN {pairs} AS q USING (pair_id)
            JOIN prompts AS h USING (prompt)
            JOIN {texts} AS m ON m.key = p.key
            JOIN {catalog} AS cr ON cr.image_id = p.reference_id
            JOIN {catalog} AS ct ON ct.image_id = p.target_id
            LEFT JOIN {captions} AS r ON r.image_id = p.reference_id
            LEFT JOIN {captions} AS t ON t.image_id = p.target_id
            ORDER BY p.triplet_id
            """
        batches: Iterator[pa.RecordBatch] = (batch.cast(TRIPLET) for batch in stream(connection, query))
        if run.recipe.modify.strip_tails:
            batches = map(_without_tails, batches)
        rows = distinct(batches, "triplet_id")
        written = write_batches(run.triplets, rows, TRIPLET)
    missing = pq.read_metadata(run.modify_plan).num_rows - written
    if missing:
        raise UserError(f"{missing:,} planned texts are not in the store yet; give the same command again.")


def _without_tails(triplets: pa.RecordBatch) -> pa.RecordBatch:
    """Take tails off the texts, and note where."""
    texts = triplets.column("text").to_pylist()
    stripped = [strip_tails(text) for text in texts]
    notes = ["tail" if left != text else "" for left, text in zip(stripped, texts, strict=True)]
    for name, values in (("text", stripped), ("rewrite", notes)):
        place = triplets.schema.get_field_index(name)
        triplets = triplets.set_column(place, TRIPLET.field(name), pa.array(values, pa.string()))
    return triplets
