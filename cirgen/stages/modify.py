"""Modification texts: templates over two captions, a language model over two captions, or an MLLM over two images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.backends.base import Backend, ImageReader
from cirgen.backends.template import TemplateBackend
from cirgen.captions import captions as captions_of
from cirgen.errors import UserError
from cirgen.keys import digest, draw, generation_key
from cirgen.prompts import Prompt
from cirgen.run_folder import Run
from cirgen.schemas import MODIFY_PLAN, TRIPLET
from cirgen.shards import distinct, write_batches, write_rows
from cirgen.stages.generate import Generation
from cirgen.store import quoted, stream
from cirgen.tails import strip_tails

CountTokens = Callable[[str], int]


def modify(
    run: Run, backends: Mapping[str, Backend], images: ImageReader, count_tokens: CountTokens, tokenizer: str
) -> None:
    """Plan the texts of every pair, write those that are missing, and join them into triplets.

    Args:
        backends: task (`change`, `rewrite`) to the model that runs it; templates need none.
        count_tokens: of the encoder that will read the texts, for the fallback of over-long templates.
        tokenizer: content hash of that encoder, as it decides on the fallback.
    """
    planner = _Planner(run, backends, count_tokens, tokenizer)
    if write_rows(run.modify_plan, planner.rows(), MODIFY_PLAN) == 0:
        raise UserError("No pair has the captions that its prompt needs; run `cirgen retry` on the captions first.")
    prompts = {prompt.reference: prompt for prompt in planner.prompts}
    generation = Generation(
        run,
        "modify",
        run.modify_plan,
        run.recipe.modify.sampling,
        lambda row: _shown(prompts[row["prompt"]], row),
    )
    asked = [(prompt, planner.backend(prompt)) for prompt in planner.prompts]
    generation.run(asked, images, "Write modification texts")
    _write_triplets(run, planner.prompts)


def _shown(prompt: Prompt, ends: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the images that a prompt shows to the model: none, the reference, or both."""
    return (ends["reference_id"], ends["target_id"])[: prompt.images]


class _Planner:
    """Decides which texts a run should have; every draw depends on the pair and the recipe alone."""

    def __init__(self, run: Run, backends: Mapping[str, Backend], count_tokens: CountTokens, tokenizer: str) -> None:
        self._run = run
        self._settings = run.recipe.modify
        self._backends = backends
        self._count_tokens = count_tokens
        self._template = TemplateBackend(tokenizer, self._settings.fallback_tokens)
        self._sampling = self._settings.sampling.model_dump(mode="json")
        self.prompts: list[Prompt] = [run.prompt(reference) for reference in self._settings.prompts]

    def backend(self, prompt: Prompt) -> Backend:
        """Return who runs a prompt."""
        if prompt.task == "template":
            return self._template
        if prompt.task not in self._backends:
            section = "mllm" if prompt.task == "change" else "llm"
            raise UserError(f"Prompt '{prompt.reference}' needs a model; add a section '{section}' to the recipe.")
        return self._backends[prompt.task]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the planned texts, by pair."""
        for pair in self._pairs():
            for direction in ("forward", "backward")[: 2 if self._settings.directions == "both" else 1]:
                yield from self._texts_of(pair if direction == "forward" else _turned(pair), direction)

    def _texts_of(self, pair: Mapping[str, Any], direction: str) -> Iterable[dict[str, Any]]:
        """Return the planned texts of two images in one direction, each once: of prompts that say the same, the first.

        Two templates that fall back to the target caption, for example, say the same.
        """
        planned: dict[str, dict[str, Any]] = {}
        for prompt in self._chosen(pair):
            for sample_index in range(self._settings.samples):
                row = self._row(pair, direction, prompt, sample_index)
                if row is not None:
                    planned.setdefault(row["triplet_id"], row)
        return planned.values()

    def _pairs(self) -> Iterator[dict[str, Any]]:
        with self._run.store.connect() as connection:
            captions = captions_of(self._run, connection)
            query = f"""
                SELECT p.pair_id, p.reference_id, p.target_id, coalesce(r.text, '') AS reference_caption,
                       coalesce(t.text, '') AS target_caption, c.category
                FROM read_parquet({quoted(str(self._run.pairs))}) AS p
                LEFT JOIN {captions} AS r ON r.image_id = p.reference_id
                LEFT JOIN {captions} AS t ON t.image_id = p.target_id
                JOIN read_parquet({quoted(str(self._run.catalog))}) AS c ON c.image_id = p.target_id
                ORDER BY p.pair_id
                """
            for batch in stream(connection, query):
                yield from batch.to_pylist()

    def _chosen(self, pair: Mapping[str, Any]) -> list[Prompt]:
        if self._settings.prompts_per_pair == "all":
            return self.prompts
        # a turned pair draws as the pair that was mined that way round: a recipe that asks for both keeps those texts
        mined = digest("pair", pair["reference_id"], pair["target_id"])
        place = draw("prompt", self._run.recipe.seed, mined, "forward")
        return [self.prompts[int(place * len(self.prompts))]]

    def _row(
        self, pair: Mapping[str, Any], direction: str, prompt: Prompt, sample_index: int
    ) -> dict[str, Any] | None:
        needs = [slot for slot in ("reference_caption", "target_caption") if slot in prompt.slots]
        if any(not pair[slot] for slot in needs):
            return None
        ends = (pair["reference_id"], pair["target_id"])
        intent = self._intent(prompt, (*ends, prompt.reference, sample_index))
        rendered = prompt.render(
            reference_caption=pair["reference_caption"],
            target_caption=pair["target_caption"],
            category=pair["category"] or None,
            intent=prompt.intents.get(intent, ""),
            examples=self._examples(prompt, (*ends, sample_index)),
        )
        if prompt.task == "template":
            rendered = self._short_enough(rendered, pair["target_caption"])
        identity = self.backend(prompt).identity
        shown = _shown(prompt, pair)
        key = generation_key(rendered, shown, identity.key_part(), self._sampling, self._run.recipe.seed, sample_index)
        return {
            "key": key,
            "triplet_id": digest("triplet", *ends, key),
            "pair_id": pair["pair_id"],
            "reference_id": ends[0],
            "target_id": ends[1],
            "prompt": prompt.reference,
            "rendered": rendered,
            "intent": intent,
            "direction": direction,
            "sample_index": sample_index,
        }

    def _intent(self, prompt: Prompt, parts: tuple[Any, ...]) -> str:
        shares = self._settings.intents
        unknown = [name for name in shares if prompt.intents and name not in prompt.intents]
        if unknown:
            raise UserError(f"Prompt '{prompt.reference}' knows no intent '{unknown[0]}'; see `cirgen prompts show`.")
        place = draw("intent", self._run.recipe.seed, *parts) * sum(shares.values())
        for name, share in shares.items():
            place -= share
            if place < 0:
                return name
        return next(reversed(shares))

    def _examples(self, prompt: Prompt, parts: tuple[Any, ...]) -> list[str]:
        order = sorted(prompt.examples, key=lambda example: digest("example", self._run.recipe.seed, *parts, example))
        return order[: self._settings.examples]

    def _short_enough(self, text: str, target_caption: str) -> str:
        limit = self._settings.fallback_tokens
        return target_caption if limit is not None and self._count_tokens(text) > limit else text


def _turned(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **pair,
        "reference_id": pair["target_id"],
        "target_id": pair["reference_id"],
        "reference_caption": pair["target_caption"],
        "target_caption": pair["reference_caption"],
    }


def _without_tails(triplets: pa.RecordBatch) -> pa.RecordBatch:
    """Take tails off the texts, and note where."""
    texts = triplets.column("text").to_pylist()
    stripped = [strip_tails(text) for text in texts]
    notes = ["tail" if left != text else "" for left, text in zip(stripped, texts, strict=True)]
    for name, values in (("text", stripped), ("rewrite", notes)):
        place = triplets.schema.get_field_index(name)
        triplets = triplets.set_column(place, TRIPLET.field(name), pa.array(values, pa.string()))
    return triplets


def _write_triplets(run: Run, prompts: Iterable[Prompt]) -> None:
    """Join plan and texts; what a text is said to be asked with is the recipe's, whoever asked for it first."""
    hashes = pa.table({"prompt": [p.reference for p in prompts], "prompt_hash": [p.hash for p in prompts]})
    with run.store.connect() as connection:
        connection.register("prompts", hashes)
        captions = captions_of(run, connection)
        texts = run.store.current(connection, "modify")
        catalog, plan, pairs = (f"read_parquet({quoted(str(p))})" for p in (run.catalog, run.modify_plan, run.pairs))
        query = f"""
            SELECT p.triplet_id, p.reference_id, m.text, p.target_id,
                   q.split, p.pair_id, q.signal, q.similarity, q.rank, p.intent AS change_type, p.direction, m.status,
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
