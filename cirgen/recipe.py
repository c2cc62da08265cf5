"""The recipe: one strict, typed description of a run. Every field has a default or a reason to be required."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from cirgen.executors.settings import RaySettings
from cirgen.filters.base import FilterSettings
from cirgen.filters.registry import FILTERS
from cirgen.model_settings import Encoder, Model, Regenerate, Sampling
from cirgen.settings import Settings
from cirgen.sources.base import SourceSettings
from cirgen.sources.registry import SOURCES

Share = Annotated[float, Field(gt=0, le=1_000_000)]


class Caption(Settings):
    """What is asked of every image by itself."""

    prompts: tuple[str, ...] = ("caption-brief",)
    """The first one's answer is the caption that later stages read."""
    words: int = Field(10, ge=1, le=1_000)
    """Fills the slot `words`: a request, never enforced."""
    samples: int = Field(1, ge=1, le=1_000)
    sampling: Sampling = Sampling()


_COSINES = (-1, 1, "cosine")
_BOUNDS = {
    "rank": (1, 1_000_000_000, "rank"),
    "rank_percent": (0, 100, "percentage"),
    "percentile": (0, 100, "percentile"),
}
"""What the window of a signal is in, cosines where nothing else is said."""


class Signal(Settings):
    """One way to choose targets for a reference."""

    kind: Literal["random", "rank", "rank_percent", "percentile", "neighbours", "given"]
    """How targets are chosen: at random, in a window of ranks or percentiles, nearest within bounds, by the source.

    `rank_percent` is a window of ranks that keeps its shape in a collection, or a split, of another size; where it is
    narrower than one rank, it is the one that it begins at.
    """
    by: Literal["image", "caption"] = "image"
    """Which embedding measures similarity."""
    per_image: int = Field(1, ge=1, le=1_000_000)
    """Targets drawn for each reference."""
    lower: float | None = None
    """rank: first rank (1 is nearest); rank_percent: so many percent of the reference's candidates are nearer.

    percentile: 0 to 100, of the similarities of all pairs; neighbours: smallest cosine.
    """
    upper: float | None = None
    """rank: last rank; rank_percent, percentile: 0 to 100; neighbours: largest cosine."""
    same_category: bool = False

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.kind in _BOUNDS and (self.lower is None or self.upper is None):
            raise ValueError(f"a {self.kind} window needs both lower and upper")
        least, most, unit = _BOUNDS.get(self.kind, _COSINES)
        for name, value in (("lower", self.lower), ("upper", self.upper)):
            if value is not None and not least <= value <= most:
                raise ValueError(
                    f"{name} of a {self.kind} signal is a {unit} from {least:,} to {most:,}, not {value:g}"
                )
            if value is not None and self.kind == "rank" and not float(value).is_integer():
                raise ValueError(f"{name} of a rank signal is a whole number, not {value:g}")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower {self.lower:g} is above upper {self.upper:g}; swap them")
        return self


class Pair(Settings):
    """How references meet targets; always within a split, never within a near-duplicate group."""

    signals: tuple[Signal, ...] = (Signal(kind="neighbours"),)
    references: Literal["all", "given"] = "all"
    """Who is a reference: every image, or those alone that the source names as one, as SPN4CIR's `--refer` does."""
    max_pairs: int | None = Field(None, ge=1, le=1_000_000_000_000)
    """Keep so many pairs, drawn by key."""
    hard_negatives: int = Field(5, ge=0, le=10_000)
    """Mined neighbours per pair, beside the reference itself."""


class Modify(Settings):
    """How modification texts are written."""

    prompts: tuple[str, ...] = ("change-images",)
    """A template writes from captions, a rewrite asks `llm`, a change asks `mllm` with both images."""
    prompts_per_pair: Literal["all", "rotate"] = "all"
    samples: int = Field(1, ge=1, le=1_000)
    directions: Literal["forward", "both"] = "forward"
    intents: dict[str, Share] = Field(default_factory=lambda: {"any": 1.0})
    """Shares of intents; each text draws one by its key."""
    examples: int = Field(0, ge=0, le=1_000)
    """In-context examples per prompt, drawn by key from the prompt's pool."""
    regenerate: Regenerate = Regenerate()
    fallback_tokens: int | None = Field(77, ge=1, le=1_000_000)
    """A template text of more tokens (of the encoder) falls back to the target caption, as in SPN4CIR; null: never."""
    strip_tails: bool = False
    """Take "instead of the brown dog" off texts that say enough without it, when triplets are put together.

    The store keeps what was written; templates that are made of such tails (SPN4CIR) lose what they are.
    """
    sampling: Sampling = Sampling()


class Layout(Settings):
    """A file format of somebody else's that a run also writes, for code that reads no other."""

    kind: Literal["spn4cir"] = "spn4cir"
    """SPN4CIR's JSON lists (arXiv 2404.11317): the FashionIQ, CIRR or CC3M one, by the source of the images."""
    tag: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
    """What follows `extend_` in the file's name, such as `clip`, which its CLIP4CIR reads; null: the recipe's name."""


class Export(Settings):
    """What the dataset folder holds, and what else is written beside it."""

    images: Literal["embed", "link", "none"] | None = None
    """Null embeds where every licence is known, and writes none otherwise."""
    max_side: int | None = Field(None, ge=16, le=100_000)
    """Embedded images are scaled down to this side, in pixels."""
    strip_metadata: bool = True
    """Embedded images go without EXIF (place, camera, names), comments and thumbnails; they look the same."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of image groups."""
    test: float = Field(0.1, ge=0, lt=1)
    rejected: bool = True
    preview: int = Field(200, ge=0, le=100_000)
    license: str = "other"
    """Licence of the texts, for the card."""
    layouts: tuple[Layout, ...] = ()
    """Written to RUN/layouts/, which is no part of the dataset: its paths are those of this machine."""

    @field_validator("layouts")
    @classmethod
    def _each_layout_once(cls, layouts: tuple[Layout, ...]) -> tuple[Layout, ...]:
        if len(set(layouts)) < len(layouts):
            raise ValueError("a layout is listed twice, which would write the same file; give one of them another tag")
        return layouts

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation:g} and test {self.test:g} leave nothing to train on; "
                "keep their sum below 1"
            )
        return self


class Publish(Settings):
    """Where `cirgen push RUN` puts a finished dataset; `cirgen run` pushes nothing by itself."""

    repo: str | None = Field(None, pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$")
    """ORG/NAME on the Hub."""
    private: bool = True
    """Whether the repository stays private once it is verified."""
    tag: str | None = Field(None, pattern=r"^[A-Za-z0-9][\w.-]{0,95}$")
    """Version, such as v1.0.0."""


if TYPE_CHECKING:
    AnySource = SourceSettings
    AnyFilter = FilterSettings
else:
    AnySource = Annotated[SOURCES.union(), Field(discriminator="kind")]
    AnyFilter = Annotated[FILTERS.union(), Field(discriminator="name")]


class Recipe(Settings):
    """A whole run, from images to a published corpus."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
    seed: int = Field(0, ge=-(2**63), lt=2**63)
    images: AnySource
    mllm: Model | None = None
    llm: Model | None = None
    encoder: Encoder
    caption: Caption = Caption()
    pair: Pair = Pair()
    modify: Modify = Modify()
    filter: tuple[AnyFilter, ...] = ()
    export: Export = Export()
    publish: Publish = Publish()
    ray: RaySettings = RaySettings()

    @field_validator("filter")
    @classmethod
    def _each_filter_once(cls, filters: tuple[FilterSettings, ...]) -> tuple[FilterSettings, ...]:
        names = [getattr(settings, FILTERS.tag) for settings in filters]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is listed twice; merge the settings into one entry")
        return filters

    def resolved(self) -> dict[str, Any]:
        """Return every field with its default filled in, as plain data."""
        return self.model_dump(mode="json")
