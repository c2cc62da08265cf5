"""Teaches the embedded models furniture: its pictures, questions and words; how to train is as with the figures.

The multimodal LLM learns what a run with the shipped prompts asks of it: captions, changes between two pictures, and
for the filters to take a text apart and to compare it with an observed change.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cirgen.errors import UserError
from cirgen.prompts import IMAGE_MARK, list_prompts, load_prompt
from cirgen.world.claims import Claims, Given, Value
from cirgen.world.figure import HIDDEN
from cirgen.world.furniture.families import everything, like_kinds, training_items
from cirgen.world.furniture.grammars import caption, change, change_parts
from cirgen.world.furniture.item import Item
from cirgen.world.furniture.parser import parse
from cirgen.world.furniture.render import POSES, pool_file
from cirgen.world.furniture.vocabulary import ATTRIBUTES, PALETTE, kinds, values
from cirgen.world.furniture.writer import INTENTS
from cirgen.world.training import clip
from cirgen.world.training.architecture import build_clip, clip_processor, save_model
from cirgen.world.training.attention import use_fast_attention
from cirgen.world.training.loop import Budget, Loop, pixel_batch
from cirgen.world.training.mllm import Lessons, School, Settings
from cirgen.world.training.pool import Pool
from cirgen.world.training.precision import autocast
from cirgen.world.training.probes import claims_probe
from cirgen.world.training.tasks import EXAMPLES_SHARE, INTENT_SHARE, MAX_EXAMPLES, Lesson, ask
from cirgen.world.training.tokenizer import clip_tokenizer

CLASSES: tuple[tuple[str, ...], ...] = tuple((HIDDEN, *values(name)) for name in ATTRIBUTES)
"""Values of every attribute, `HIDDEN` first, in the order of `Item`'s fields."""
BRIEF_WORDS = (4, 14)
CHANGES, COMPARISONS = 3, 2
"""Texts asked for one pair, and texts compared with its change, every other one faulty."""
COMPARED_SHARE = 0.4
"""Share of batches of the last phase that compare texts: it doubles their tokens."""
CAPTION_SHARE = SPLIT_SHARE = 0.5
"""Of the rows that could ask so."""
MISTAKEN_SHARE = 0.25
"""Share of comparisons whose observed change is itself mistaken, as a model's is: the images decide then."""
FARTHEST = 3
"""Most attributes in which the two pictures of a question differ."""
NEAR_SHARES = {"near": (0.8, 0.2, 0.0), "all": (0.4, 0.4, 0.2)}
"""How often a target differs in one, two or three attributes, by part of the course."""
_TRIES = 12

MLLM = Settings(
    width=128, layers=(4, 4), vision_steps=600, vision_batch=64, compare_steps=100, compare_batch=48, near_steps=120,
    steps=1350, batch=12,
)  # fmt: skip
"""Half the width of the figures' model: there is less to see and to say."""
ENCODERS = {"filter-encoder": 11, "judge-encoder": 12}
"""Purpose to the seed of its weights and draws."""


def item_codes(items: Sequence[Item]) -> npt.NDArray[np.uint8]:
    """Return [N, attributes] indices into `CLASSES`."""
    codes = [{value: code for code, value in enumerate(one)} for one in CLASSES]
    return np.array([[codes[i][value] for i, value in enumerate(astuple(item))] for item in items], np.uint8)


@dataclass(frozen=True)
class FurniturePool(Pool):
    """Items and their pictures; every `poses` pictures from the start show one item."""

    items: tuple[Item, ...] = ()
    poses: int = 1

    @cached_property
    def codes(self) -> npt.NDArray[np.uint8]:
        """[N, attributes] indices into `CLASSES`, a row a picture."""
        return np.repeat(item_codes(self.items), self.poses, axis=0)

    @cached_property
    def by_kind(self) -> list[list[int]]:
        """Places of the items of every kind: kinds with few views have fewer items, and are drawn as often."""
        found: dict[str, list[int]] = {}
        for place, item in enumerate(self.items):
            found.setdefault(item.kind, []).append(place)
        return list(found.values())

    @cached_property
    def _distances(self) -> npt.NDArray[np.uint8]:
        codes = item_codes(self.items)
        found: npt.NDArray[np.uint8] = (codes[:, None] != codes[None]).sum(2, dtype=np.uint8)
        return found

    def draw(self, rng: random.Random) -> int:
        """Draw an item, every kind as often."""
        return rng.choice(rng.choice(self.by_kind))

    def sibling(self, item: int, distance: int, rng: random.Random) -> int:
        """Draw an item that differs from `item` in `distance` attributes, or in one fewer or more."""
        for wanted in (distance, 1, 2, 3):
            found = np.flatnonzero(self._distances[item] == wanted)
            if len(found):
                return int(found[rng.randrange(len(found))])
        raise UserError(f"{self.items[item]} has no sibling in the pool.")

    def picture(self, item: int, rng: random.Random) -> int:
        """Draw a picture of an item."""
        return item * self.poses + rng.randrange(self.poses)


def load_pool(purpose: str, path: Path | None = None) -> FurniturePool:
    """Read the training pictures that `cirgen.world.furniture.render pool` drew."""
    file = path or pool_file(purpose)
    if not file.is_file():
        raise UserError(
            f"{file} is missing: draw it with python -m cirgen.world.furniture.render pool --purpose {purpose}."
        )
    items = training_items(purpose)
    poses = POSES[purpose]
    pixels = np.load(file)["pixels"]
    if len(pixels) != len(items) * poses:
        raise UserError(f"{file} is of other items ({len(pixels)} pictures); draw it again.")
    shown = tuple(item for item in items for _ in range(poses))
    return FurniturePool(shown, pixels, items, poses)  # type: ignore[arg-type]


def texts(draws: int = 3000) -> list[str]:
    """Return texts that hold every word of the first grammar and of the shipped prompts."""
    rng = random.Random("furniture tokenizer")
    found = [text for prompt in list_prompts() for text in (prompt.body, *prompt.examples, *prompt.intents.values())]
    found = [text.replace(IMAGE_MARK, " ") for text in found]
    found += [" ".join(["A B C D yes no", *map(str, range(20))])]
    for _ in range(draws):
        one, other = rng.choice(everything()), rng.choice(everything())
        found += [caption(one, rng), caption(one, rng, rng.randint(*BRIEF_WORDS)), change(one, other, rng) or ""]
    return found * 2


# questions


def change_images(reference: Item, target: Item, rng: random.Random) -> Lesson:
    """Ask for the change between two images, now and then for a kind of change or with examples."""
    prompt = load_prompt("change-images")
    intent = rng.choice(INTENTS) if rng.random() < INTENT_SHARE else "any"
    text = change(reference, target, rng, intent)
    shown = rng.randint(1, MAX_EXAMPLES) if rng.random() < EXAMPLES_SHARE else 0
    slots: dict[str, object] = {
        "intent": prompt.intents[intent if text else "any"],
        "examples": rng.sample(prompt.examples, shown),
    }
    return ask("change-images", text or change(reference, target, rng) or "", **slots)


def is_absolute(claims: Claims) -> bool:
    """Return whether the target alone can show the claims."""
    return all(isinstance(claim, Value | Given) for claim in claims)


def split_claims(reference: Item, target: Item, rng: random.Random) -> Lesson:
    """Ask for the single changes of a text."""
    text, parts = change_parts(reference, target, rng) or ("", [])
    marked = (f"{'target' if is_absolute(parse(part) or ()) else 'both'}: {part}" for part in parts)
    return ask("split-claims", "; ".join(marked), text=text)


def altered(item: Item, name: str, rng: random.Random) -> Item:
    """Return `item` with another value of one attribute."""
    choices: Sequence[str] = list(PALETTE)
    if name == "kind":
        choices = [kind.kind for kind in like_kinds(item.kind) if item.view in kind.views]
    elif name == "view":
        choices = kinds()[item.kind].views
    choices = [value for value in choices if value != getattr(item, name)]
    return item.with_values(**{name: rng.choice(choices)}) if choices else item


def faulty(reference: Item, target: Item, rng: random.Random) -> tuple[Item, Item]:
    """Return the two items whose change a wrong text tells: a wrong value, the way back, too little, or else."""
    changed = reference.differences(target)
    for _ in range(_TRIES):
        fault = rng.choice(("value", "value", "back", "partial", "stray"))
        if fault == "back":
            return target, reference
        if fault == "value":
            other = altered(target, rng.choice(changed), rng)
        elif fault == "partial":
            name = rng.choice(changed)
            other = target.with_values(**{name: getattr(reference, name)})
        else:
            other = altered(reference, rng.choice(("view", *reference.parts)), rng)
        if other not in (reference, target):
            return reference, other
    return target, reference


def compare_changes(reference: Item, target: Item, rng: random.Random, right: bool) -> Lesson:
    """Ask whether a text, `right` or faulty, says what was observed; now and then what was observed is mistaken."""
    seen = faulty(reference, target, rng) if rng.random() < MISTAKEN_SHARE else (reference, target)
    told = (reference, target) if right else faulty(reference, target, rng)
    observed, text = (change(*pair, rng) or "" for pair in (seen, told))
    lesson = ask("compare-changes", "yes" if right else "no", observed=observed, text=text)
    return lesson._replace(probes=(claims_probe(reference, target, *told),))


class FurnitureLessons(Lessons):
    """Draws batches of packed questions about furniture."""

    pool: FurniturePool

    def images(self, pick: bool, rng: random.Random) -> list[int]:
        """Draw a reference and a sibling."""
        del pick
        reference = self.pool.draw(rng)
        (distance,) = rng.choices(range(1, FARTHEST + 1), NEAR_SHARES["near" if self.part == "near" else "all"])
        target = self.pool.sibling(reference, distance, rng)
        return [self.pool.picture(item, rng) for item in (reference, target)]

    def row(self, indices: Sequence[int], rng: random.Random) -> list[Lesson]:
        """Return the questions about a pair, comparisons among them."""
        return [*self._told(indices, rng), *self._compared(indices, rng)]

    def batch(self, rng: random.Random) -> Any:
        """Return the images of all rows, row by row, and the packed questions."""
        rows = [self.images(False, rng) for _ in range(self.settings.batch)]
        ask_all = self.part == "all" and rng.random() < COMPARED_SHARE
        lessons = [self.row(row, rng) if ask_all else self._told(row, rng) for row in rows]
        return [index for row in rows for index in row], self.packer.pack(len(rows[0]), lessons)

    def _pair(self, indices: Sequence[int]) -> list[Item]:
        return [self.pool.items[index // self.pool.poses] for index in indices]

    def _told(self, indices: Sequence[int], rng: random.Random) -> list[Lesson]:
        """Return what is asked of the pictures alone: changes, now and then captions."""
        reference, target = self._pair(indices)
        lessons = [change_images(reference, target, rng) for _ in range(CHANGES)]
        if rng.random() < CAPTION_SHARE:
            lessons.append(ask("caption-attributes", caption(reference, rng)))
        if rng.random() < CAPTION_SHARE:
            words = rng.randint(*BRIEF_WORDS)
            lessons.append(ask("caption-brief", caption(reference, rng, words), words=words))
        return lessons

    def _compared(self, indices: Sequence[int], rng: random.Random) -> list[Lesson]:
        """Return what is asked of texts: whether they tell the change, and their single changes."""
        reference, target = self._pair(indices)
        lessons = [compare_changes(reference, target, rng, right=turn % 2 == 0) for turn in range(COMPARISONS)]
        return [*lessons, split_claims(reference, target, rng)] if rng.random() < SPLIT_SHARE else lessons


def school(pool: Path | None = None) -> School:
    """Return what `train_mllm` needs to teach furniture."""

    def load(settings: Settings, cache: Path | None) -> Pool:
        del cache
        return load_pool(settings.purpose, pool)

    return School(tuple(map(len, CLASSES)), {"claims": (4,) * len(ATTRIBUTES)}, load, texts, FurnitureLessons)


# encoders


@dataclass(frozen=True)
class EncoderSettings:
    """What `train_encoder` trains: smaller than the figures' encoders."""

    purpose: str
    width: int = 96
    layers: tuple[int, int] = (4, 2)
    steps: int = 900
    batch: int = 96
    rate: float = 2e-3


def _batches(pool: FurniturePool, size: int) -> Callable[[random.Random], tuple[list[int], list[str]]]:
    """Return a function that draws items, siblings among them, and captions; now and then brief ones of strangers."""

    def chosen(rng: random.Random, brief: bool) -> Iterator[int]:
        while True:
            item = pool.draw(rng)
            yield item
            if not brief:
                yield from (pool.sibling(item, distance, rng) for distance in (1, 1, 2))

    def draw(rng: random.Random) -> tuple[list[int], list[str]]:
        brief = rng.random() < clip.BRIEF_SHARE
        drawn: dict[int, str] = {}
        told: set[tuple[str, ...]] = set()
        for item in chosen(rng, brief):
            words = rng.randint(*BRIEF_WORDS) if brief else None
            text = caption(pool.items[item], rng, words)
            key = (pool.items[item].kind, *(pool.items[item].parts)) if brief else (str(item),)
            if item not in drawn and key not in told:
                drawn[item] = text
                told.add(key)
            if len(drawn) == (min(size, len(pool.by_kind)) if brief else size):
                return [pool.picture(item, rng) for item in drawn], list(drawn.values())
        raise AssertionError("draws have no end")

    return draw


def train_encoder(
    folder: Path,
    settings: EncoderSettings,
    *,
    pool: Path | None = None,
    minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train a CLIP and write it to `folder`; a run that finds its checkpoints goes on from them."""
    seed = ENCODERS[settings.purpose]
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer(texts())
    shown = load_pool(settings.purpose, pool)
    model: Any = build_clip(tokenizer, settings.width, settings.layers)
    use_fast_attention(model)
    trainee = clip.Trainee(model, tuple(map(len, CLASSES)))
    draw = _batches(shown, settings.batch)

    def loss(rng: random.Random) -> torch.Tensor:
        indices, captions = draw(rng)
        tokens = tokenizer(captions, padding=True, truncation=True, return_tensors="pt")
        codes = torch.from_numpy(shown.codes[indices]).long()
        with autocast():
            value: torch.Tensor = trainee(
                pixel_batch(shown.pixels, indices, rng), codes, tokens["input_ids"], tokens["attention_mask"]
            )
        return value

    Loop(
        settings.purpose, trainee, loss, Budget(settings.steps, minutes), seed, settings.rate,
        folder.with_name(folder.name + ".work") / "clip.pt", report=report,
        on_checkpoint=lambda: save_model(model, clip_processor(tokenizer), folder),
    ).run()  # fmt: skip
