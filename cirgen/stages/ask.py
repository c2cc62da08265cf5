"""What filters ask a generative model about triplets: texts, each written once and stored, and beliefs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cirgen.backends.base import Backend, ImageReader, Request
from cirgen.backends.passes import MOST_ROWS, TOKENS
from cirgen.filters.tools import Belief, Question, Reading
from cirgen.keys import digest, generation_key
from cirgen.model_settings import Sampling
from cirgen.prompts import Prompt
from cirgen.run_folder import Run
from cirgen.shards import write_rows
from cirgen.stages.generate import Generation

STAGE = "observe"

PLAN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("triplet_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("rendered", pa.string(), nullable=False),
        pa.field("image_ids", pa.list_(pa.string()), nullable=False),
    ]
)
"""Questions of one filter; triplets of one pair may share one."""


class RunAsker:
    """A backend that answers questions about pictures of a run.

    Args:
        run: where answers are stored.
        backend: runs the model.
        images: opens the pictures.
        tokens: of the longest answer that is stored; 0 where none is.
    """

    def __init__(self, run: Run, backend: Backend, images: ImageReader, tokens: int) -> None:
        self._run = run
        self._backend = backend
        self._metered = run.spending.metered(backend, "filter")
        self._images = images
        self._sampling = Sampling(max_new_tokens=tokens) if tokens else Sampling()  # greedy: no matter of taste
        self._writes = backend.identity.key_part()
        self.identity: Mapping[str, Any] = {**self._writes, "rows_of_a_pass": MOST_ROWS, "tokens_of_a_pass": TOKENS}

    def key(self, question: Question) -> str:
        """Return the key of the answer to a question."""
        sampling = self._sampling.model_dump(mode="json")
        return generation_key(question.rendered, question.image_ids, self._writes, sampling, self._run.recipe.seed, 0)

    def observe(self, questions: Iterable[tuple[str, Question]], plan: Path, label: str) -> None:
        """Have every question answered and stored, and write which triplet's question has which key.

        Args:
            questions: triplet_id, and what is asked about it.
            plan: where to write `PLAN`.
            label: what the progress bar says.
        """
        prompts: dict[str, Prompt] = {}

        def rows() -> Iterator[dict[str, Any]]:
            for triplet_id, question in questions:
                prompts[question.prompt.reference] = question.prompt
                yield {
                    "key": self.key(question),
                    "triplet_id": triplet_id,
                    "prompt": question.prompt.reference,
                    "rendered": question.rendered,
                    "image_ids": list(question.image_ids),
                }

        write_rows(plan, rows(), PLAN)
        generation = Generation(
            self._run, STAGE, plan, self._sampling, lambda row: tuple(row["image_ids"]), ["image_ids"]
        )
        generation.run([(prompt, self._backend) for prompt in prompts.values()], self._images, label)

    def choose(self, questions: Sequence[Question], options: Sequence[str]) -> list[Belief]:
        """Return the model's belief among `options` for each question, in order."""
        requests = [_request(place, question) for place, question in enumerate(questions)]
        found = {
            choice.request.key: Belief(choice.status, choice.error, choice.shares, choice.mass)
            for choice in self._metered.choose(requests, options, self._images)
        }
        return [found[request.key] for request in requests]

    def read(self, answers: Sequence[tuple[Question, str]]) -> list[Reading]:
        """Return how probable the model holds each answer to its question, in order."""
        requests = [(_request(place, question), text) for place, (question, text) in enumerate(answers)]
        found = {
            read.request.key: Reading(read.status, read.error, read.log_likelihood, read.tokens)
            for read in self._metered.likelihood(requests, self._images)
        }
        return [found[request.key] for request, _ in requests]


def _request(place: int, question: Question) -> Request:
    return Request(digest(place), 0, question.rendered, question.image_ids, 0.0, 1.0, 0, 1)
