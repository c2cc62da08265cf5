"""A preset: which models, data, arms and contrasts a verdict on a corpus takes, in one strict YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from cirgen.settings import Name, Settings
from cirgen_benchmark.training.settings import StageSettings

Positive = Annotated[float, Field(gt=0)]
SEEDS_OF_A_CLAIM = 5
"""With fewer, how much training varies is hardly known."""


LARGEST_SEED = 2**31 - 1
MOST_DRAWN = 10_000
"""Human-like triplets, or queries of each number of edits: a family of figures has hardly more that differ."""


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed is given twice, which is no other draw; leave it out")
    return seeds


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("one is given twice; leave it out")
    return values


Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Selection = Literal["accepted", "all", "random", "matched", "good", "truth_text"]
"""Which rows of a corpus train:

- accepted: what its filters let through;
- all: the accepted and the rejected;
- random: as many as accepted, drawn from all, anew for every seed;
- matched: the same, with the change types and the pair similarities of the accepted;
- good: those of all that are good by exact truth (the embedded world alone);
- truth_text: the pairs of the accepted with exact texts in the generator's own grammar (the embedded world alone).
"""
Family = Literal["clip", "combiner", "tgcir", "blip", "blip2"]
Inputs = Literal["both", "text", "image"]


class BaseSettings(Settings):
    """The retrieval model that every arm begins with."""

    family: Family
    model: Name
    """Hub id or folder of a transformers model; `cirgen:judge-encoder` for the embedded world."""
    revision: str | None = None
    options: dict[Name, bool | int | float | str | None] = Field(default_factory=dict)
    """Of the family, such as `target_pad`; docs/retrieval-model.md lists them."""
    weights: Name | None = None
    """Folder that `models.weights.save_retriever` wrote: its weights instead of the model's own."""
    device: str = "auto"
    encode_batch: PositiveInt = 64


class WorldHuman(Settings):
    """Human-like triplets of the pictures that ship with cirgen, written by rules of the second grammar."""

    kind: Literal["world"] = "world"
    world: Literal["figures", "furniture"] = "figures"
    triplets: Annotated[int, Field(ge=1, le=MOST_DRAWN)] = 500


class FilesHuman(Settings):
    """Human training triplets of a benchmark."""

    kind: Literal["fashioniq", "cirr"]
    root: Name | None = None
    """Folder of the copy; the preset's `root` by default."""
    triplets: PositiveInt | None = None
    """So many of them, drawn anew for every seed; all by default."""


class WorldQueries(Settings):
    """Queries over a collection of pictures that nothing was trained on."""

    kind: Literal["world"] = "world"
    world: Literal["figures", "furniture"] = "figures"
    """Of furniture there is one collection for each purpose; `level`, `collection` and `images` are of figures."""
    purpose: Literal["development", "evaluation"]
    level: Literal["easy", "medium", "hard"] = "medium"
    collection: Annotated[int, Field(ge=0, le=2)] = 0
    images: Annotated[int, Field(ge=100, le=3000)] = 1500
    each: Annotated[int, Field(ge=1, le=MOST_DRAWN)] = 300
    """Queries of one edit, of two and of three."""


class HoldoutQueries(Settings):
    """A part of the human triplets, kept out of training with all triplets of the same reference (development)."""

    kind: Literal["holdout"] = "holdout"
    share: Annotated[float, Field(gt=0, lt=0.5)] = 0.05


class CorpusQueries(Settings):
    """A split of the corpus itself: what its own readers would test on."""

    kind: Literal["corpus"] = "corpus"
    split: Literal["validation", "test"] = "validation"


class FashionIQQueries(Settings):
    """FashionIQ val."""

    kind: Literal["fashioniq"] = "fashioniq"
    root: Name | None = None
    gallery: Literal["original", "val_union"] = "original"
    reference: Literal["keep", "remove"] = "keep"
    text: Literal["first_and_second", "second_and_first", "first", "second"] = "first_and_second"
    capitalised: bool = False
    """With one capital at the start of the text, as TG-CIR, BLIP4CIR and SPRC have it."""


class CIRRQueries(Settings):
    """CIRR val."""

    kind: Literal["cirr"] = "cirr"
    root: Name | None = None


class SubmissionSettings(Settings):
    """What the server of a split with withheld targets is to score: files for each arm, seed and step."""

    kind: Literal["cirr"] = "cirr"
    """CIRR test1, two files each."""
    root: Name | None = None
    arms: Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(_distinct)]


Human = Annotated[WorldHuman | FilesHuman, Field(discriminator="kind")]
Development = Annotated[
    WorldQueries | HoldoutQueries | CorpusQueries | FashionIQQueries | CIRRQueries, Field(discriminator="kind")
]
Evaluation = Annotated[WorldQueries | CorpusQueries | FashionIQQueries | CIRRQueries, Field(discriminator="kind")]
Queries = WorldQueries | HoldoutQueries | CorpusQueries | FashionIQQueries | CIRRQueries


class DataSettings(Settings):
    """What a stage is trained on."""

    human: bool | PositiveInt = False
    """Human triplets: all that the preset reads, or so many of them."""
    corpus: Selection | None = None
    of: Name | None = None
    """Another corpus, by its name under `corpora`, instead of the one that is judged."""
    count: PositiveInt | None = None
    """So many rows of the selection, drawn anew for every seed."""
    ratio: Positive | None = None
    """So many rows of the selection for every human triplet."""
    weighted: bool = False
    """A row is kept with the probability of its `score_shortcut_weight`, drawn anew for every seed."""
    pairs: bool = False
    """Rows of one pair are one triplet, of whose texts each access draws one (as the paper mixes CIRR's); `count`
    and `ratio` then count pairs."""

    @model_validator(mode="after")
    def _something(self) -> DataSettings:
        if not self.human and self.corpus is None:
            raise ValueError("trains on nothing; give human, corpus or both")
        if self.corpus is None and (self.of or self.count or self.ratio or self.pairs):
            raise ValueError("of, count, ratio and pairs belong to corpus; name a selection")
        if self.weighted and self.corpus in (None, "truth_text"):
            raise ValueError("weighted belongs to the rows of a corpus; select others than truth_text")
        if self.count and self.ratio:
            raise ValueError("count and ratio say the same thing in two ways; give one of them")
        if self.ratio and not self.human:
            raise ValueError("ratio is a share of the human triplets; give human, too")
        return self


class StepSettings(Settings):
    """One stage on one mix of data."""

    stage: Name
    on: Name
    epochs_of: Name | None = None
    """Epochs of the stage are counted on this data instead, so that arms on less data take as many steps."""


class ArmSettings(Settings):
    """One way to train; arms that begin with the same steps share them."""

    steps: tuple[StepSettings, ...] = ()
    """In order; none is the base model as it is."""
    inputs: Inputs = "both"
    """`text` or `image`: the other half of every query is blank, in training and in evaluation."""
    about: str = ""


class ContrastSettings(Settings):
    """A question that is fixed before the evaluation set is looked at."""

    question: str
    plus: tuple[Name, ...] = Field(min_length=1)
    """Arms whose mean ..."""
    minus: tuple[Name, ...] = Field(min_length=1)
    """... is compared with the mean of these."""
    interaction: bool = False
    """With two and two arms: (first plus - first minus) - (second plus - second minus), instead of a mean."""
    primary: bool = False
    """One of those that are corrected for one another (Holm); others are exploratory."""

    @model_validator(mode="after")
    def _different_arms(self) -> ContrastSettings:
        arms = (*self.plus, *self.minus)
        twice = next((arm for arm in arms if arms.count(arm) > 1), None)
        if twice is not None:
            raise ValueError(f"the arm '{twice}' comes twice, which would compare it with itself; name it once")
        return self

    @model_validator(mode="after")
    def _two_and_two(self) -> ContrastSettings:
        if self.interaction and (len(self.plus), len(self.minus)) != (2, 2):
            raise ValueError("an interaction takes two arms in plus and two in minus")
        return self


class CurveSettings(Settings):
    """Recall against one number, other things equal."""

    vary: Literal["human", "ratio", "negatives"]
    values: Annotated[tuple[Positive, ...], Field(min_length=2), AfterValidator(_distinct)]
    arms: Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(_distinct)]
    human: PositiveInt | None = None
    """Human triplets of every point where the ratio is varied."""

    @model_validator(mode="after")
    def _whole(self) -> CurveSettings:
        broken = [value for value in self.values if self.vary != "ratio" and value != int(value)]
        if broken:
            raise ValueError(f"{self.vary} are counted, and {broken[0]:g} is no whole number")
        return self

    @staticmethod
    def point(curve: str, arm: str, value: float) -> str:
        """Name the arm that is one point of a curve."""
        return f"{arm} ({curve}: {value:.12g})"

    def problem(self, data: Sequence[DataSettings], stages: Sequence[StageSettings]) -> str | None:
        """Say why an arm with these steps has nothing to vary; None where it has."""
        if self.vary == "negatives":
            return None if any(stage.loss == "bank" for stage in stages) else "has no stage with a bank"
        if self.vary == "human":
            return None if any(one.human for one in data) else "trains on no human triplets"
        mixes = [one for one in data if one.corpus is not None]
        return None if mixes and all(one.human for one in mixes) else "does not mix a corpus with human triplets"


class Preset(Settings):
    """Everything that decides a verdict but the corpus."""

    name: Name
    about: str
    """One sentence for the reader of the report."""
    indicative: bool = False
    """Too small for a claim, and the report says so; as it does for fewer than `SEEDS_OF_A_CLAIM` seeds."""
    root: Name | None = None
    """Folder of the benchmark's copy, where the preset reads one."""
    allow_missing: bool = False
    """Go on without images that the copy lacks; every figure's key then says `partial`."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_different)]
    base: BaseSettings
    human: Human | None = None
    splits: Annotated[
        tuple[Literal["train", "validation", "test"], ...], Field(min_length=1), AfterValidator(_distinct)
    ] = ("train",)
    """Of the corpus: whose triplets train."""
    corpora: dict[Name, Name] = Field(default_factory=dict)
    """Other corpora that arms train on: name to dataset folder or repository."""
    development: Development | None = None
    evaluation: Evaluation
    primary: Name = "recall@10"
    """End of the metric key that contrasts and curves are about."""
    select_by: Name | None = None
    """End of the metric key that chooses a step on the development set; `primary` by default."""
    stages: dict[Name, StageSettings]
    data: dict[Name, DataSettings]
    arms: dict[Name, ArmSettings] = Field(min_length=1)
    contrasts: dict[Name, ContrastSettings] = Field(default_factory=dict)
    verdict: Name | None = None
    """The contrast that the last sentence is about; without one the report ends in figures."""
    submissions: SubmissionSettings | None = None
    curves: dict[Name, CurveSettings] = Field(default_factory=dict)

    @property
    def chosen_by(self) -> str:
        """End of the metric key that chooses a step."""
        return self.select_by or self.primary

    @property
    def is_indicative(self) -> bool:
        """Whether its figures are no more than a hint."""
        return self.indicative or len(self.seeds) < SEEDS_OF_A_CLAIM

    @property
    def selects_on_reported_split(self) -> bool:
        """Whether steps are chosen on the very queries that are reported, as the paper's released code does."""
        return self.development is not None and _asked(self.development) == _asked(self.evaluation)

    @property
    def begins_with_chosen(self) -> bool:
        """Whether a stage hands a chosen step on, so that figures of the last step depend on the choice, too."""
        return any(stage.select == "best" for stage in self.stages.values())

    @model_validator(mode="after")
    def _names(self) -> Preset:
        problems = list(self._unknown())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unknown(self) -> Iterator[str]:
        for name, arm in self.arms.items():
            yield from _known(f"arms.{name}", "stage", (step.stage for step in arm.steps), self.stages)
            named = (data for step in arm.steps for data in (step.on, step.epochs_of) if data)
            yield from _known(f"arms.{name}", "data", named, self.data)
        for name, contrast in self.contrasts.items():
            yield from _known(f"contrasts.{name}", "arm", (*contrast.plus, *contrast.minus), self.arms)
        for name, curve in self.curves.items():
            yield from _known(f"curves.{name}", "arm", curve.arms, self.arms)
            yield from self._flat(name, curve)
            points = {curve.point(name, of, value) for of in curve.arms for value in curve.values}
            yield from (
                f"arms.{point}: curves.{name} calls a point so; rename one" for point in points if point in self.arms
            )
        yield from _known("verdict", "contrast", (self.verdict,) if self.verdict else (), self.contrasts)
        yield from _known("submissions", "arm", self.submissions.arms if self.submissions else (), self.arms)
        yield from self._missing_data()
        yield from self._missing_development()
        yield from self._leaks()

    def _flat(self, name: str, curve: CurveSettings) -> Iterator[str]:
        """Say which arms of a curve have nothing that it could vary."""
        for arm in curve.arms:
            steps = self.arms[arm].steps if arm in self.arms else ()
            data = [self.data[step.on] for step in steps if step.on in self.data]
            stages = [self.stages[step.stage] for step in steps if step.stage in self.stages]
            problem = curve.problem(data, stages) if arm in self.arms else None
            if problem:
                yield f"curves.{name}: the arm '{arm}' {problem}; leave it out"

    def _leaks(self) -> Iterator[str]:
        for name, queries in (("development", self.development), ("evaluation", self.evaluation)):
            if isinstance(queries, CorpusQueries) and queries.split in self.splits:
                yield f"{name}: the corpus's split {queries.split} trains, too; take it out of splits"

    def _missing_data(self) -> Iterator[str]:
        for name, data in self.data.items():
            yield from _known(f"data.{name}", "corpus", (data.of,) if data.of else (), self.corpora)
            if data.human and self.human is None:
                yield f"data.{name}: there are no human triplets; give the section human"

    def _missing_development(self) -> Iterator[str]:
        if isinstance(self.development, HoldoutQueries) and not isinstance(self.human, FilesHuman):
            yield "development: a holdout needs human triplets of a benchmark"
        if self.development is None:
            chosen = [name for name, stage in self.stages.items() if stage.select == "best"]
            yield from (f"stages.{name}: select best needs a development set" for name in chosen)


def _asked(queries: Queries) -> dict[str, object]:
    """Return what tells two sets of queries apart: neither the gallery nor what counts there does."""
    return queries.model_dump(include={"kind", "purpose", "collection", "split"})


def _known(place: str, noun: str, names: Iterable[str], known: Mapping[str, object]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{place}: there is no {noun} '{name}' (known: {', '.join(known)})"
