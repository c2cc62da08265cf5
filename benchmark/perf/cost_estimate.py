"""What a recipe takes on a GPU that is not at hand: memory, rates, and GPU hours of 100,000 accepted triplets.

An estimate by arithmetic, for the recipes that name a model of `random_models.OF_THE_HUB`:

- prompts: their tokens, those of pictures included, are counted by cirgen's own code, with a processor of the model's
  numbers and pictures of 640 x 480. A token costs 2 operations for each parameter of the language model, a patch of a
  picture 2 for each of the vision tower (Kaplan 2020, arXiv 2001.08361, section 2.1); attention over a thousand tokens
  is a few percent and left out.
- answers: each step reads the weights once for all rows of its batch, and each row's keys and values. Words count
  1.4 tokens each, and one ends an answer.
- the GPU: its peak of dense products and its bandwidth (`GPUS`), of which `OF_PEAK` and `OF_BANDWIDTH` are reached;
  `make bench-caption-gpu` measures what is reached on yours.
- memory: weights, the encoder's in float32, keys and values of a full batch with answers of the usual length, and what
  one layer holds while a batch is read.

Questions of filters are asked about every text, as if the cheap filters before them rejected none: an upper estimate.
Reading pictures, embedding and loading weights are left out.

Run: python benchmark/perf/cost_estimate.py [RECIPE ...] [--accepted 0.5] [--write]
`--write` puts the figures into the heads of the recipes and the table of docs/engines.md; a test holds them to it.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from perf.random_models import OF_THE_HUB, build_processor, parameters
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.encoding import Encoder
from cirgen.filters.asking import AskingFilter
from cirgen.filters.registry import FILTERS
from cirgen.filters.round_trip import LETTERS
from cirgen.prompts import load_prompt
from cirgen.recipe import Recipe
from cirgen.recipe_file import find_recipe, load_recipe, recipe_names

OF_PEAK = 0.35
"""Share of the peak at which prompts are read."""
OF_BANDWIDTH = 0.5
"""Share of the bandwidth at which answers are written."""
TOKENS_PER_WORD = 1.4
TEXT_WORDS = 12
"""Of a modification text, and of what a judge observes."""
PICTURE = (640, 480)
ACCEPTED = 0.5
"""Share of texts that filters accept, where nothing else is said; SPN4CIR's way accepts all."""
TRIPLETS = 100_000
DOCS = Path(__file__).parents[2] / "docs" / "engines.md"
SERVED_AT_ONCE = 8_192
"""Tokens of prompts that vLLM reads in one step, with the options of recipes/server.yaml (`--max-model-len`)."""
WRITTEN_TEXT = "make the dog larger, put it on a red sofa, and take the lamp away"
"""Stands for a text in the questions of filters."""


class Gpu(NamedTuple):
    """What its maker publishes."""

    operations: float
    """A second, dense, in 16 bits."""
    bandwidth: float
    """Bytes a second."""
    memory: float
    """Bytes."""


GPUS = {
    "RTX 4090": Gpu(165e12, 1_008e9, 24e9),
    "A100 80GB": Gpu(312e12, 2_039e9, 80e9),
    "H100 SXM": Gpu(989e12, 3_350e9, 80e9),
}
"""Ada architecture white paper (products in bfloat16 summed in float32), and the data sheets of A100 and H100."""

ENCODERS = {"openai/clip-vit-large-patch14": 427_616_513, "openai/clip-vit-base-patch32": 151_277_313}
"""Parameters (a test counts them)."""


@dataclass(frozen=True)
class Sizes:
    """What of a model the arithmetic needs."""

    language: int
    """Parameters that every token meets."""
    head: int
    """Parameters that only the last token of a prompt, and each of an answer, meets."""
    vision: int
    """Parameters that every patch of a picture meets."""
    bridge: int
    """Parameters that every token of a picture meets between the two."""
    table: int
    """Parameters that are looked up."""
    held: int
    """Numbers of keys and values for each token."""
    layer: int
    """Numbers that a layer holds of a token while it works on it."""
    patches: int
    """For each token of a picture."""
    image_token: int

    def operations(self, prompt: int, pictures: int) -> float:
        """Return the operations of reading a prompt.

        Args:
            prompt: tokens, those of pictures included.
            pictures: tokens of pictures.
        """
        seen = pictures * (self.vision * self.patches + self.bridge)
        return 2.0 * (self.language * prompt + self.head + seen)

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.language + self.head + self.vision + self.bridge + self.table


@dataclass(frozen=True)
class Asked:
    """A question of a recipe."""

    what: str
    prompt: int
    """Tokens, those of pictures included."""
    pictures: int
    """Of them, of pictures."""
    answer: int
    """Tokens."""
    longest: int
    """Tokens of an answer for which room is kept."""
    times: float = 1.0
    """For each caption, or each text."""


@dataclass(frozen=True)
class Load:
    """What a recipe asks its model."""

    name: str
    sizes: Sizes
    encoder: int
    """Parameters."""
    served: bool
    """By a server, which the encoder is not on."""
    rows: int
    """Answered together."""
    batch_tokens: int
    width: int
    """Bytes of a number."""
    captions: list[Asked]
    texts: list[Asked] = field(default_factory=list)
    """What is asked for each text that is written, filters included."""
    texts_per_image: float = 1.0
    accepted: float = ACCEPTED

    def seconds(self, gpu: Gpu, asked: list[Asked]) -> float:
        """Return how long questions take for one image, or one text."""
        return sum(one.times * (self.reading(gpu, one) + self.writing(gpu, one)) for one in asked)

    def reading(self, gpu: Gpu, asked: Asked) -> float:
        """Return the seconds of a prompt."""
        return self.sizes.operations(asked.prompt, asked.pictures) / (OF_PEAK * gpu.operations)

    def writing(self, gpu: Gpu, asked: Asked) -> float:
        """Return the seconds of an answer; the last place of the prompt writes its first token."""
        weights = (self.sizes.language + self.sizes.head) * self.width / self.rows_of(asked)
        held = self.sizes.held * self.width * (asked.prompt + asked.answer / 2)
        return (asked.answer - 1) * (weights + held) / (OF_BANDWIDTH * gpu.bandwidth)

    def rows_of(self, asked: Asked) -> int:
        """Return how many rows are answered together."""
        return max(1, min(self.rows, self.batch_tokens // (asked.prompt + asked.longest)))

    @property
    def memory(self) -> tuple[float, float, float]:
        """Bytes of the weights, of the encoder, and of the work on a batch."""
        tokens = max(self.rows_of(one) * (one.prompt + one.answer) for one in [*self.captions, *self.texts])
        read = min(tokens, SERVED_AT_ONCE) if self.served else tokens
        work = (tokens * self.sizes.held + read * self.sizes.layer) * self.width
        return self.sizes.parameters * self.width, self.encoder * 4, work

    def hours(self, gpu: Gpu) -> float:
        """Return the GPU hours of 100,000 accepted triplets."""
        texts = TRIPLETS / self.accepted
        captions = texts / self.texts_per_image
        return (captions * self.seconds(gpu, self.captions) + texts * self.seconds(gpu, self.texts)) / 3600


def load_of(name: str, accepted: float = ACCEPTED) -> Load | None:
    """Return what a recipe asks, None where it names no model whose numbers are known here."""
    recipe = load_recipe(name).recipe
    model = recipe.mllm
    if model is None or model.model not in OF_THE_HUB or model.dtype == "float32":
        return None
    family, shape = OF_THE_HUB[model.model]
    with tempfile.TemporaryDirectory() as folder:
        sizes = sizes_of(family, shape, Path(folder))
        encoder = Encoder(Path(folder), model.model, model.max_pixels)
        captions = [_caption(recipe, encoder, sizes)]
        texts = list(_texts(recipe, encoder, sizes))
    per_image = sum(signal.per_image for signal in recipe.pair.signals) * len(recipe.modify.prompts)
    served = model.backend == "openai"
    return Load(
        name, sizes, ENCODERS[recipe.encoder.model], served, model.server.concurrency if served else model.batch_size,
        model.batch_tokens or 10**9, 2, captions, texts, per_image, accepted if recipe.filter else 1.0,
    )  # fmt: skip


@cache
def _parameters(family: str, shape: str) -> tuple[Any, dict[str, int]]:

    with tempfile.TemporaryDirectory() as folder:
        config = build_processor(family, Path(folder), shape)
    return config, parameters(config)


def sizes_of(family: str, shape: str, folder: Path) -> Sizes:
    """Return the numbers of a model; its processor is written to `folder`."""
    build_processor(family, folder, shape)
    config, found = _parameters(family, shape)
    text = config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    bridges = {name for name in found if re.search("projector|connector|merger", name)}
    bridge = sum(found[name] for name in bridges)
    vision = sum(count for name, count in found.items() if "vis" in name and name not in bridges)
    table = sum(count for name, count in found.items() if "embed_tokens" in name)
    last = sum(count for name, count in found.items() if name.startswith("lm_head"))
    merged = getattr(config.vision_config, "spatial_merge_size", None) or getattr(config, "scale_factor", 1)
    image_token = getattr(config, "image_token_id", None)
    return Sizes(
        language=sum(found.values()) - vision - bridge - table - last, head=last, vision=vision, bridge=bridge,
        table=table, held=2 * text.num_hidden_layers * text.num_key_value_heads * head,
        layer=8 * text.hidden_size + 3 * text.intermediate_size, patches=merged**2,
        image_token=config.image_token_index if image_token is None else image_token,
    )  # fmt: skip


def _caption(recipe: Recipe, encoder: Encoder, sizes: Sizes) -> Asked:
    prompt = load_prompt(recipe.caption.prompts[0]).render(words=recipe.caption.words, category="picture")
    return _asked(
        "caption", encoder, sizes, prompt, 1, _tokens(recipe.caption.words), recipe.caption.sampling.max_new_tokens
    )


def _texts(recipe: Recipe, encoder: Encoder, sizes: Sizes) -> Iterator[Asked]:
    """Yield what is asked for each text: the text itself, where no template writes it, then what filters ask."""
    for reference in recipe.modify.prompts:
        prompt = load_prompt(reference)
        if prompt.task == "change":
            rendered = prompt.render(intent="", examples=prompt.examples[: recipe.modify.examples])
            share = 1 / len(recipe.modify.prompts)
            yield _asked(
                "text", encoder, sizes, rendered, 2, _tokens(TEXT_WORDS), recipe.modify.sampling.max_new_tokens, share
            )
    for settings in recipe.filter:
        part = FILTERS.build(settings)
        if isinstance(part, AskingFilter):
            yield from _filter(part, encoder, sizes)


def _filter(part: AskingFilter, encoder: Encoder, sizes: Sizes) -> Iterator[Asked]:
    settings: Any = part.settings
    text = {"text": WRITTEN_TEXT}
    if settings.name == "judge":
        if settings.observe:
            observed = load_prompt(settings.observe).render(intent="", examples=())
            yield _asked("judge observes", encoder, sizes, observed, 2, _tokens(TEXT_WORDS), settings.observed_tokens)
            text["observed"] = WRITTEN_TEXT
        yield _asked("judge decides", encoder, sizes, load_prompt(settings.prompt).render(**text), 2, 1, 1)
    elif settings.name == "round_trip":
        prompt = load_prompt(settings.prompt).render(**text)
        yield _asked("round trip", encoder, sizes, prompt, 1 + len(LETTERS), 1, 1, settings.shuffles)
    else:
        raise SystemExit(f"What the filter {settings.name} asks is not estimated here yet.")


def _asked(
    what: str,
    encoder: Encoder,
    sizes: Sizes,
    prompt: str,
    pictures: int,
    answer: int,
    longest: int,
    times: float = 1.0,
) -> Asked:
    request = Request("", 0, prompt, ("",) * pictures, 0.0, 1.0, 0, answer)
    read = encoder.encode([request], [[Image.new("RGB", PICTURE)] * pictures])["input_ids"][0]
    return Asked(what, len(read), int((read == sizes.image_token).sum()), answer, longest, times)


def _tokens(words: int) -> int:
    return round(TOKENS_PER_WORD * words) + 1


def head(load: Load) -> str:
    """Return what a recipe says of its figures, as the lines of a comment."""
    weights, encoder, work = load.memory
    here = 0 if load.served else encoder
    needs = next((gpu for gpu in (24, 40, 48, 80) if weights + here + work <= 0.95e9 * gpu), 80)
    apart = "beside it here" if load.served else "with it"
    told = [
        f"Memory: {load.sizes.parameters / 1e9:.1f} B parameters of 2 bytes are {weights / 1e9:.1f} GB, a full batch "
        f"takes {work / 1e9:.1f}: a GPU of {needs} GB; the encoder {apart} takes {encoder / 1e9:.1f} GB.",
        "Speed, estimated and not measured (arithmetic: make bench-cost): images captioned and texts written and "
        "checked a second, and GPU hours of 100,000 accepted triplets, for pictures of "
        f"{PICTURE[0]} x {PICTURE[1]}, {OF_PEAK:.0%} of the GPU's peak and {OF_BANDWIDTH:.0%} of its bandwidth"
        + (f", where {load.accepted:.0%} of the texts are accepted." if load.accepted < 1 else "."),
    ]
    lines = [line for part in told for line in textwrap.wrap(part, 117, break_on_hyphens=False)]
    rates = [
        f"  {name:<10} {_short(1 / load.seconds(gpu, load.captions)):>5} images/s"
        + (f" {_short(1 / load.seconds(gpu, load.texts)):>5} texts/s" if load.texts else "")
        + f" {_short(load.hours(gpu)):>5} GPU hours"
        for name, gpu in GPUS.items()
        if gpu.memory >= needs * 1e9
    ]
    return "".join(f"# {line}\n" for line in (*lines, *rates))


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.1f}"


def table(loads: Iterable[Load]) -> str:
    """Return the estimated rows of the table in `DOCS`."""
    return "".join(
        f"| `{load.name}` | {name} | {_short(1 / load.seconds(gpu, load.captions))} | "
        + (_short(1 / load.seconds(gpu, load.texts)) if load.texts else "")
        + f" | {_short(load.hours(gpu))} | estimated |\n"
        for load in loads
        for name, gpu in GPUS.items()
    )


def write_table(rows: str) -> None:
    """Put the estimated rows into `DOCS`, in place of those that were there."""
    text = DOCS.read_text(encoding="utf8")
    DOCS.write_text(re.sub(r"(^\| `.*\| estimated \|\n)+", lambda _: rows, text, flags=re.M), "utf8")


def write(name: str, lines: str) -> None:
    """Put figures into the head of a recipe, in place of those that were there."""
    path = find_recipe(name)
    text = path.read_text(encoding="utf8")
    path.write_text(re.sub(r"^# (FIGURES|Memory: ).*?\n(?=#\n)", lambda _: lines, text, flags=re.S | re.M), "utf8")


def show(load: Load) -> None:
    """Print the arithmetic of a recipe."""
    weights, encoder, work = load.memory
    print(
        f"\n{load.name}: {load.sizes.parameters:,} parameters, of them {load.sizes.language:,} that every token meets "
        f"and {load.sizes.vision:,} that every patch meets; memory {weights / 1e9:.1f} + {encoder / 1e9:.1f} + "
        f"{work / 1e9:.1f} GB (weights, encoder, a batch)"
    )
    for one in (*load.captions, *load.texts):
        reads = load.sizes.operations(one.prompt, one.pictures)
        step = (load.sizes.language + load.sizes.head) * load.width / load.rows_of(one)
        print(
            f"  {one.what}: {one.prompt:,} prompt tokens ({one.pictures:,} of pictures), {one.answer} new, "
            f"{one.times:g} times; {reads / 1e12:.1f} * 10^12 operations, {one.answer - 1} steps of "
            f"{step / 1e9:.2f} GB of weights ({load.rows_of(one)} rows together) and "
            f"{load.sizes.held * load.width * (one.prompt + one.answer / 2) / 1e9:.2f} GB of keys and values"
        )
    print(f"  {'':10}  images/s   texts/s   GPU hours for 100,000 accepted triplets ({load.accepted:.0%} accepted)")
    for name, gpu in GPUS.items():
        texts = 1 / load.seconds(gpu, load.texts) if load.texts else float("inf")
        print(f"  {name:10}  {1 / load.seconds(gpu, load.captions):8.1f}  {texts:8.1f}   {load.hours(gpu):6.1f}")


def main(
    recipes: Annotated[list[str] | None, typer.Argument(help="All outside of spn4cir/ without any.")] = None,
    accepted: Annotated[float, typer.Option(help="Share of texts that filters accept.")] = ACCEPTED,
    written: Annotated[bool, typer.Option("--write", help="Put the figures into the recipes.")] = False,
) -> None:
    """Print what recipes take."""
    print(f"{OF_PEAK:.0%} of the peak, {OF_BANDWIDTH:.0%} of the bandwidth, pictures of {PICTURE[0]} x {PICTURE[1]}")
    every = [name for name in recipe_names() if "/" not in name]
    loads = [load for name in recipes or every if (load := load_of(name, accepted)) is not None]
    for load in loads:
        show(load)
        if written:
            write(load.name, head(load))
    if written and not recipes:
        write_table(table(loads))


if __name__ == "__main__":
    typer.run(main)
