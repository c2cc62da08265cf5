"""Which modification texts a run should have; every draw depends on the pair and the recipe alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cirgen.backends.base import Backend
from cirgen.backends.template import TemplateBackend
from cirgen.captions import captions as captions_of
from cirgen.errors import UserError
from cirgen.keys import digest, draw, generation_key
from cirgen.model_settings import Sampling
from cirgen.parquet_sql import rows_of
from cirgen.prompts import Prompt
from cirgen.run_folder import Run
from cirgen.store import stream

CountTokens = Callable[[str], int]

TURN = 1_000
"""Samples between the texts of one turn and those of the next: more than a recipe may ask for at once."""


def shown(prompt: Prompt, ends: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the images that a prompt shows to the model: none, the reference, or both."""
    return (ends["reference_id"], ends["target_id"])[: prompt.images]


class Planner:
    """Decides which texts a run should have; every draw depends on the pair and the recipe alone."""

    def __init__(self, run: Run, backends: Mapping[str, Backend], count_tokens: CountTokens, tokenizer: str) -> None:
        self._run = run
        self._settings = run.recipe.modify
        self._backends = backends
        self._count_tokens = count_tokens
        self._template = TemplateBackend(tokenizer, self._settings.fallback_tokens)
        self.prompts: list[Prompt] = [run.prompt(reference) for reference in self._settings.prompts]
        """Of the first texts."""

    @property
    def all_prompts(self) -> list[Prompt]:
        """Return the prompts of all texts, those that are written anew included."""
        again = self._settings.regenerate
        named = [self._run.prompt(again.prompt)] if again.tries and again.prompt else []
        return list({prompt.reference: prompt for prompt in (*self.prompts, *named)}.values())

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

    def again(self, rejected: Path, turn: int) -> Iterator[dict[str, Any]]:
        """Yield one more planned text for each of some rejected ones.

        Args:
            rejected: Parquet with `pair_id`, `direction`, `prompt` and `sample_index` of each.
            turn: 1 for the first text that is written anew.
        """
        named = self._run.recipe.modify.regenerate.prompt
        prompts = {prompt.reference: prompt for prompt in self.prompts}
        for pair in self._pairs(rejected):
            ends = pair if pair["direction"] == "forward" else _turned(pair)
            prompt = self._run.prompt(named) if named else prompts[pair["prompt"]]
            row = self._row(ends, pair["direction"], prompt, pair["sample_index"], turn)
            if row is not None:
                yield row

    def sampling(self, turn: int) -> Sampling:
        """Return how the texts of a turn are drawn."""
        asked = self._settings.sampling
        return asked.model_copy(update={"temperature": self._settings.regenerate.temperature}) if turn else asked

    def _pairs(self, rejected: Path | None = None) -> Iterator[dict[str, Any]]:
        """Yield the pairs with captions, or one for each rejected text, with what it was."""
        more = ", x.direction, x.prompt, x.sample_index" if rejected else ""
        join = f"JOIN {rows_of(rejected)} AS x USING (pair_id)" if rejected else ""
        with self._run.store.connect() as connection:
            captions = captions_of(self._run, connection)
            query = f"""
                SELECT p.pair_id, p.reference_id, p.target_id, coalesce(r.text, '') AS reference_caption,
                       coalesce(t.text, '') AS target_caption, c.category{more}
                FROM {rows_of(self._run.pairs)} AS p
                LEFT JOIN {captions} AS r ON r.image_id = p.reference_id
                LEFT JOIN {captions} AS t ON t.image_id = p.target_id
                JOIN {rows_of(self._run.catalog)} AS c ON c.image_id = p.target_id
                {join}
                ORDER BY ALL
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
        self, pair: Mapping[str, Any], direction: str, prompt: Prompt, sample_index: int, turn: int = 0
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
        images = shown(prompt, pair)
        sampling = self.sampling(turn).model_dump(mode="json")
        sample = sample_index + turn * TURN
        key = generation_key(rendered, images, identity.key_part(), sampling, self._run.recipe.seed, sample)
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
            "regenerated": turn,
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
