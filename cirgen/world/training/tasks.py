"""What the MLLM is taught: questions through the shipped prompts, with answers in the first grammar."""

from __future__ import annotations

import random
from typing import NamedTuple

from cirgen.prompts import Prompt, load_prompt
from cirgen.world.edits import edits
from cirgen.world.figure import Figure
from cirgen.world.grammar import INTENTS, caption, change
from cirgen.world.training.faults import faulty_text
from cirgen.world.training.probes import Probe, captions_probe, claims_probe, fits_probe, shown_probe
from cirgen.world.vocabulary import Level

LETTERS = "ABCD"

BRIEF_WORDS = (4, 12)
"""Fewest and most words asked of a brief caption."""

INTENT_SHARE = 0.4
"""Share of change questions that ask for an intent."""

EXAMPLES_SHARE = 0.35
"""Share of change questions that show in-context examples."""

MAX_EXAMPLES = 3

CHANGES = 2
"""Texts asked for one pair, each with an intent, examples and wording of its own."""

VERDICTS = 3
"""True texts, and faulty texts, judged for one pair."""

MAX_EDITS = 5
"""Most edits of a change that is asked about."""

WEIGHTS = {
    "caption": 1.0,
    "change": 3.0,
    "rewrite": 2.0,
    "judge": 4.0,
    "compare": 4.0,
    "check": 3.0,
    "split": 1.0,
    "pick": 4.0,
}
"""Weight of an answer's token in the loss, by the prompt's task."""


class Lesson(NamedTuple):
    """One question about the first `images` images of a row, and its answer."""

    images: int
    question: str
    answer: str
    weight: float
    probes: tuple[Probe, ...] = ()
    """What the states of the question must tell, in training."""


def ask(name: str, answer: str, **slots: object) -> Lesson:
    """Render the shipped prompt `name` and pair it with `answer`."""
    prompt = load_prompt(name)
    return Lesson(prompt.images, prompt.render(**slots), answer, WEIGHTS[prompt.task])


def full_caption(figure: Figure, rng: random.Random) -> Lesson:
    """Ask for everything visible."""
    return ask("caption-attributes", caption(figure, rng))


def brief_caption(figure: Figure, rng: random.Random) -> Lesson:
    """Ask for a caption of some words, in our own words or SPN4CIR's."""
    words = rng.randint(*BRIEF_WORDS)
    return ask(rng.choice(("caption-brief", "spn-caption-image")), caption(figure, rng, words), words=words)


def true_text(reference: Figure, target: Figure, rng: random.Random, intent: str = "any") -> str:
    """Return a modification text, of any kind where `intent` does not apply to the pair."""
    text = change(reference, target, rng, intent) or change(reference, target, rng)
    if text is None:
        raise ValueError(f"the figures do not differ: {reference}")
    return text


def _slots(prompt: Prompt, reference: Figure, target: Figure, rng: random.Random) -> tuple[str, dict[str, object]]:
    """Draw intent and examples of a question; return its answer and the slots."""
    intent = rng.choice(INTENTS) if rng.random() < INTENT_SHARE else "any"
    text = change(reference, target, rng, intent)
    shown = rng.randint(1, MAX_EXAMPLES) if rng.random() < EXAMPLES_SHARE else 0
    slots: dict[str, object] = {
        "intent": prompt.intents[intent if text else "any"],
        "examples": rng.sample(prompt.examples, shown),
    }
    return text or true_text(reference, target, rng), slots


def change_images(reference: Figure, target: Figure, rng: random.Random) -> Lesson:
    """Ask for the change between two images."""
    text, slots = _slots(load_prompt("change-images"), reference, target, rng)
    return ask("change-images", text, **slots)


def rewrite_captions(reference: Figure, target: Figure, rng: random.Random) -> Lesson:
    """Ask for the change between two captions, without an image."""
    text, slots = _slots(load_prompt("rewrite-captions"), reference, target, rng)
    captions = {"reference_caption": caption(reference, rng), "target_caption": caption(target, rng)}
    return ask("rewrite-captions", text, **captions, **slots)._replace(probes=(captions_probe(reference, target),))


def judge_change(reference: Figure, target: Figure, rng: random.Random, level: Level, right: bool) -> Lesson:
    """Ask whether a text, `right` or faulty, is the change between two images."""
    if right:
        text, told = true_text(reference, target, rng), (reference, target)
    else:
        faulty = faulty_text(reference, target, rng, level)[1]
        text, told = faulty.text, (faulty.before, faulty.after)
    lesson = ask("judge-change", "yes" if right else "no", text=text)
    return lesson._replace(probes=(claims_probe(reference, target, *told), shown_probe(reference, target, *told)))


def pick_target(reference: Figure, candidates: list[Figure], place: int, rng: random.Random) -> Lesson:
    """Ask which of four candidates a text leads to; the answer is the letter of `place`."""
    text = true_text(reference, candidates[place], rng)
    lesson = ask("pick-target", LETTERS[place], text=text)
    target = candidates[place]
    shown = shown_probe(reference, target, reference, target)
    return lesson._replace(probes=(fits_probe(candidates, target), shown))


def pair_lessons(reference: Figure, target: Figure, rng: random.Random, level: Level) -> list[Lesson]:
    """Return the questions about one pair: changes, verdicts, now and then captions and a rewrite."""
    lessons = [
        *(change_images(reference, target, rng) for _ in range(CHANGES)),
        *(judge_change(reference, target, rng, level, right=turn % 2 == 0) for turn in range(2 * VERDICTS)),
    ]
    if rng.random() < 0.3:
        lessons.append(full_caption(reference, rng))
    if rng.random() < 0.2:
        lessons.append(brief_caption(reference, rng))
    if rng.random() < 0.4:
        lessons.append(rewrite_captions(reference, target, rng))
    return lessons


def pick_lessons(reference: Figure, candidates: list[Figure], rng: random.Random) -> list[Lesson]:
    """Return a question for every candidate that is a few edits from the reference."""
    return [
        pick_target(reference, candidates, place, rng)
        for place, candidate in enumerate(candidates)
        if 0 < len(edits(reference, candidate)) <= MAX_EDITS
    ]
