"""Modification texts: templates over two captions, a language model over two captions, or an MLLM over two images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cirgen.backends.base import Backend, ImageReader
from cirgen.backends.template import TemplateBackend
from cirgen.captions import captions as captions_of
from cirgen.errors import UserError
from cirgen.keys import digest, draw, generation_key
from cirgen.prompts import Prompt, load_prompt
from cirgen.run_folder import Run
from cirgen.schemas import MODIFY_PLAN, TRIPLET
from cirgen.shards import write_batches, write_rows
from cirgen.stages.generate import Generation
from cirgen.store import quoted, stream

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
    by_prompt = {prompt.reference: planner.backend(prompt) for prompt in planner.prompts}
    shown = {prompt.reference: prompt.images for prompt in planner.prompts}
    generation = Generation(
        run,
        "modify",
        run.modify_plan,
        run.recipe.modify.sampling,
        lambda row: (row["reference_id"], row["target_id"])[: shown[row["prompt"]]],
    )
    generation.run(by_prompt, images, "Write modification texts")
    _write_triplets(run)


class _Planner:
    """Decides which texts a run should have; every draw depends on the pair and the recipe alone."""

    def __init__(self, run: Run, backends: Mapping[str, Backend], count_tokens: CountTokens, tokenizer: str) -> None:
        self._run = run
        self._settings = run.recipe.modify
        self._backends = backends
        self._count_tokens = count_tokens
        self._template = TemplateBackend(tokenizer, self._settings.fallback_tokens)
        self._sampling = self._settings.sampling.model_dump(mode="json")
        self.prompts: list[Prompt] = [load_prompt(reference) for reference in self._settings.prompts]

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
                turned = pair if direction == "forward" else _turned(pair)
                for prompt in self._chosen(pair["pair_id"], direction):
                    for sample_index in range(self._settings.samples):
                        row = self._row(turned, direction, prompt, sample_index)
                        if row is not None:
                            yield row

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

    def _chosen(self, pair_id: str, direction: str) -> list[Prompt]:
        if self._settings.prompts_per_pair == "all":
            return self.prompts
        place = draw("prompt", self._run.recipe.seed, pair_id, direction)
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
        shown = ends if prompt.images else ()
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


def _write_triplets(run: Run) -> None:
    with run.store.connect() as connection:
        captions = captions_of(run, connection)
        texts = run.store.current(connection, "modify")
        catalog, plan, pairs = (f"read_parquet({quoted(str(p))})" for p in (run.catalog, run.modify_plan, run.pairs))
        query = f"""
            SELECT p.triplet_id, p.reference_id, m.text, p.target_id,
                   q.split, p.pair_id, q.signal, q.similarity, q.rank, p.intent AS change_type, p.direction, m.status,
                   coalesce(r.text, '') AS reference_caption, coalesce(t.text, '') AS target_caption,
                   cr."group" AS reference_group, ct."group" AS target_group,
                   m.prompt, m.prompt_hash, m.model, m.revision, m.backend,
                   list_concat(
                       [{{'image_id': p.reference_id, 'kind': 'reference'}}],
                       list_filter(q.hard_negatives, lambda h: h.kind <> 'reference' AND h.image_id <> p.target_id
                                   AND h.image_id <> p.reference_id)) AS hard_negatives
            FROM {plan} AS p
            JOIN {pairs} AS q USING (pair_id)
            JOIN {texts} AS m ON m.key = p.key
            JOIN {catalog} AS cr ON cr.image_id = p.reference_id
            JOIN {catalog} AS ct ON ct.image_id = p.target_id
            LEFT JOIN {captions} AS r ON r.image_id = p.reference_id
            LEFT JOIN {captions} AS t ON t.image_id = p.target_id
            ORDER BY p.triplet_id
            """
        write_batches(run.triplets, (batch.cast(TRIPLET) for batch in stream(connection, query)), TRIPLET)
