"""Runs the planned texts of a stage that have no row yet, and commits a row for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cirgen.backends.base import Backend, ImageReader, Request, Result
from cirgen.model_settings import Sampling
from cirgen.prompts import Prompt
from cirgen.run_folder import Run

LADDER_STATUSES = ("truncated", "parse_error")
"""Statuses that another temperature can mend."""

Asked = tuple[Prompt, Backend]
ImageIds = Callable[[Mapping[str, Any]], tuple[str, ...]]


class Generation:
    """One stage's texts: what is planned, who writes it, and how.

    Args:
        run: the run.
        stage: `caption` or `modify`.
        plan: Parquet with `key`, `prompt`, `rendered` and what `image_ids` reads.
        sampling: the requested policy.
        image_ids: which images a planned row shows to the model.
        about: columns of the plan that say so: rows about the same images are asked one after another, since a model
            may then read these but once.
    """

    def __init__(
        self, run: Run, stage: str, plan: Path, sampling: Sampling, image_ids: ImageIds, about: Sequence[str]
    ) -> None:
        self._run = run
        self._stage = stage
        self._plan = plan
        self._sampling = sampling
        self._image_ids = image_ids
        self._about = about

    def run(self, asked: Sequence[Asked], images: ImageReader, label: str) -> None:
        """Generate what is missing; then climb the ladder with what was truncated or unparsable.

        Args:
            asked: every prompt of the plan, and the model that answers it.
            images: opens the pictures.
            label: what the progress bar says.
        """
        self._pass(asked, images, label, self._run.retry, last_attempt=None)
        for rung in range(1, len(self._sampling.ladder) + 1):
            self._pass(asked, images, f"{label}, retry {rung}", LADDER_STATUSES, last_attempt=rung)

    def _pass(
        self,
        asked: Sequence[Asked],
        images: ImageReader,
        label: str,
        retry: tuple[str, ...],
        last_attempt: int | None,
    ) -> None:
        for backend, prompts in _by_backend(asked):
            total = sum(1 for _ in self._missing(prompts, retry, last_attempt))
            if not total:
                continue
            under_way: dict[str, Prompt] = {}
            requests = self._requests(prompts, retry, last_attempt, under_way)
            answers = self._run.spending.metered(backend, self._stage).generate(requests, images)
            with self._run.store.writer(self._stage) as writer, self._run.progress.step(label, total) as step:
                ok = 0
                try:
                    for done, result in enumerate(answers, 1):
                        writer.write(self._row(result, under_way.pop(result.request.key), backend))
                        ok += result.status == "ok"
                        step.advance(1, ok=f"{ok / done:.0%}")
                finally:
                    self._note_speed(backend)

    def _requests(
        self,
        prompts: Mapping[str, Prompt],
        retry: tuple[str, ...],
        last_attempt: int | None,
        under_way: dict[str, Prompt],
    ) -> Iterator[Request]:
        """Yield what is to be asked; note the prompt of each."""
        for row in self._missing(prompts, retry, last_attempt):
            under_way[row["key"]] = prompts[row["prompt"]]
            yield self._request(row)

    def _note_speed(self, backend: Backend) -> None:
        speed = backend.take_speed()
        if speed is not None and speed.rows:
            self._run.add_speed(self._stage, speed.record())

    def _missing(
        self, prompts: Mapping[str, Prompt], retry: tuple[str, ...], last_attempt: int | None
    ) -> Iterator[dict[str, Any]]:
        for batch in self._run.store.missing(self._plan, self._stage, retry, self._about):
            for row in batch.to_pylist():
                if row["prompt"] in prompts and (last_attempt is None or row["attempt"] <= last_attempt):
                    yield row

    def _request(self, row: Mapping[str, Any]) -> Request:
        return Request(
            key=row["key"],
            attempt=row["attempt"],
            prompt=row["rendered"],
            image_ids=self._image_ids(row),
            temperature=self._temperature(row["attempt"], row["last_status"]),
            top_p=self._sampling.top_p,
            top_k=self._sampling.top_k,
            max_new_tokens=self._sampling.max_new_tokens,
        )

    def _temperature(self, attempt: int, last_status: str) -> float:
        ladder = self._sampling.ladder
        if not ladder or last_status not in LADDER_STATUSES:
            return self._sampling.temperature
        return ladder[min(attempt, len(ladder)) - 1]

    @staticmethod
    def _row(result: Result, prompt: Prompt, backend: Backend) -> dict[str, Any]:
        request = result.request
        return {
            "key": request.key,
            "attempt": request.attempt,
            "status": result.status,
            "error": result.error,
            "text": " ".join(result.text.split()),
            "raw": result.text,
            "finish_reason": result.finish_reason,
            "sampling": json.dumps(
                {
                    "temperature": request.temperature,
                    "top_p": request.top_p,
                    "top_k": request.top_k,
                    "max_new_tokens": request.max_new_tokens,
                }
            ),
            "prompt_tokens": result.prompt_tokens,
            "output_tokens": result.output_tokens,
            "prompt": prompt.reference,
            "prompt_hash": prompt.hash,
            "model": backend.identity.model,
            "revision": backend.identity.revision or backend.identity.content,
            "backend": backend.identity.backend,
        }


def _by_backend(asked: Sequence[Asked]) -> list[tuple[Backend, dict[str, Prompt]]]:
    """Return every model with the prompts that it answers, by their references."""
    found: list[tuple[Backend, dict[str, Prompt]]] = []
    for prompt, backend in asked:
        prompts = next((prompts for known, prompts in found if known is backend), None)
        if prompts is None:
            found.append((backend, prompts := {}))
        prompts[prompt.reference] = prompt
    return found
