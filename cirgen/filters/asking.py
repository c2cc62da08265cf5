"""What filters that ask a generative model have in common: a model, prompts, and answers that may fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import ClassVar, NamedTuple, Protocol

from pydantic import Field

from cirgen.filters.base import AskedPrompt, Score
from cirgen.filters.threshold import BoundedFilter, BoundedSettings
from cirgen.filters.tools import Question
from cirgen.model_settings import Model
from cirgen.prompts import Prompt, load_prompt
from cirgen.schemas import Status


class AskingSettings(BoundedSettings):
    """Who is asked."""

    model: Model | None = None
    """The run's `mllm` by default; another model than the one that wrote the texts shares fewer of its mistakes."""


class ObservingSettings(AskingSettings):
    """How long the answer to a first question may be."""

    observed_tokens: int = Field(96, ge=1, le=100_000)
    """Longest answer of the first step, in tokens; one that is cut off has no score."""


class Wanted(NamedTuple):
    """A prompt that a setting must name."""

    task: str
    slots: frozenset[str]


class AskingFilter(BoundedFilter):
    """A filter that asks a generative model."""

    asks = True
    expensive = True
    settings: AskingSettings
    wanted: ClassVar[Mapping[str, Wanted]]
    """Settings that name prompts, and what these must be like."""

    def model(self) -> Model | None:
        """Return the model to ask; None is the run's `mllm`."""
        return self.settings.model

    def prompts(self) -> Mapping[str, AskedPrompt]:
        """Return the prompts by the setting that names each."""
        return {
            setting: AskedPrompt(getattr(self.settings, setting), *wanted)
            for setting, wanted in self.wanted.items()
            if getattr(self.settings, setting)
        }

    @cached_property
    def _loaded(self) -> dict[str, Prompt]:
        return {setting: load_prompt(prompt.reference) for setting, prompt in self.prompts().items()}

    def scoring(self) -> dict[str, object]:
        """Return the words of the prompts, by hash."""
        return {"prompts": {setting: prompt.hash for setting, prompt in self._loaded.items()}}

    def ask(self, setting: str, image_ids: Iterable[str], **slots: object) -> Question:
        """Render the prompt that a setting names."""
        prompt = self._loaded[setting]
        return Question(prompt, prompt.render(**slots), tuple(image_ids))


class Outcome(Protocol):
    """An answer of a model, or why there is none."""

    @property
    def status(self) -> Status:
        """How it went."""
        ...

    @property
    def error(self) -> str:
        """Empty where it went well."""
        ...


def failure(answers: Iterable[Outcome]) -> Score | None:
    """Return the score of a triplet of whose answers one failed, None where all are there."""
    return next((Score({}, "", one.status, one.error) for one in answers if one.status != "ok"), None)
