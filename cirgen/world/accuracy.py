"""How often an embedded MLLM is right, task by task, on figures and combinations that training never showed.

Every question goes through the shipped prompts and the model's own chat template; the figures are those of the
development collection. The judge also meets two faults that training leaves out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cirgen.backends.conversation import conversation
from cirgen.world.confusions import Captions, confusions
from cirgen.world.edits import edits
from cirgen.world.families import Sample, collection
from cirgen.world.figure import Figure
from cirgen.world.gallery import Gallery
from cirgen.world.pairs import MOST_EDITS, Pair, draw_pairs
from cirgen.world.render import render
from cirgen.world.shares import Share, share
from cirgen.world.training.faults import TRAINED, UNSEEN
from cirgen.world.training.tasks import (
    LETTERS,
    Lesson,
    ask,
    brief_caption,
    change_images,
    full_caption,
    judge_change,
    pick_target,
    rewrite_captions,
)
from cirgen.world.truth import judge
from cirgen.world.vocabulary import Level

MAX_TOKENS = 96


class Answerer:
    """Asks a model questions about images in batches: greedily, or at a temperature above 0."""

    def __init__(self, model: str, batch: int = 24, temperature: float = 0) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        loaders: tuple[Any, Any] = (AutoModelForImageTextToText, AutoProcessor)
        self.model = loaders[0].from_pretrained(model, dtype=torch.float32).eval()
        self.processor = loaders[1].from_pretrained(model)
        self.batch = batch
        self.sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}

    def answers(self, rows: Sequence[tuple[Sequence[Image.Image], str]]) -> list[str]:
        """Return the answer to every (images, question); questions of a batch may differ in length, not in images."""
        return [
            answer
            for start in range(0, len(rows), self.batch)
            for answer in self._answers(rows[start : start + self.batch])
        ]

    def _answers(self, rows: Sequence[tuple[Sequence[Image.Image], str]]) -> list[str]:
        texts = [
            self.processor.apply_chat_template(conversation(text, len(images)), add_generation_prompt=True)
            for images, text in rows
        ]
        pictures = [image for images, _ in rows for image in images] or None
        inputs = self.processor(text=texts, images=pictures, padding=True, return_tensors="pt")
        with torch.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=MAX_TOKENS, **self.sampling)
        new = output[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.batch_decode(new, skip_special_tokens=True)]


@dataclass
class Accuracy:
    """Shares right, with 95 % intervals (`cirgen.world.shares`), by task and slice."""

    model: str
    level: Level
    captions: Captions
    slices: dict[str, Share] = field(default_factory=dict)
    letters: dict[str, int] = field(default_factory=dict)
    """How often each letter was picked; the target's place is drawn evenly."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        captions = self.captions._asdict() | {"attributes": [row._asdict() for row in self.captions.attributes]}
        slices = {name: value._asdict() for name, value in self.slices.items()}
        return asdict(self) | {"captions": captions, "slices": slices}


class Exam:
    """The questions of one level, and their marks."""

    def __init__(self, answerer: Answerer, level: Level, images: int, seed: int) -> None:
        self.answerer = answerer
        self.level = level
        self.seed = seed
        self.samples: list[Sample] = collection("development", level, images=1500)
        figures = [sample.figure for sample in self.samples]
        self.gallery = Gallery([str(i) for i in range(len(figures))], figures)
        self.images = images
        self.pairs = draw_pairs(figures, [sample.family for sample in self.samples], images // MOST_EDITS, seed)
        self.slices: dict[str, Share] = {}
        self.letters: Counter[str] = Counter()
        self._drawn: dict[int, Image.Image] = {}

    def picture(self, index: int) -> Image.Image:
        """Return image `index` of the collection."""
        if index not in self._drawn:
            sample = self.samples[index]
            self._drawn[index] = render(sample.figure, sample.nuisance)
        return self._drawn[index]

    def figure(self, index: int) -> Figure:
        """Return the figure of image `index`."""
        return self.samples[index].figure

    def ask(self, rows: Sequence[tuple[Sequence[int], Lesson]]) -> list[str]:
        """Return the model's answers to lessons about images of the collection."""
        return self.answerer.answers([([self.picture(i) for i in images], lesson.question) for images, lesson in rows])

    def mark(self, name: str, hits: Sequence[bool], clusters: Sequence[int]) -> None:
        """Keep the share of `hits` under `name`; nothing where there are no rows."""
        found = share(hits, clusters, self.seed)
        if found is not None:
            self.slices[name] = found

    # tasks

    def caption(self) -> Captions:
        """Ask for whole captions, and for brief ones, of which everything told must be true."""
        rng = random.Random(f"captions {self.seed}")
        shown = rng.sample(range(len(self.samples)), self.images)
        texts = self.ask([([i], full_caption(self.figure(i), rng)) for i in shown])
        right = [confusions([(self.figure(i), text)]).exact == 1 for i, text in zip(shown, texts, strict=True)]
        held_out = [self.figure(i).shows_held_out_pair() for i in shown]
        self.mark("caption-attributes: exact", right, shown)
        self._mark_slice("caption-attributes: exact, held-out pairs", right, shown, held_out)
        brief = self.ask([([i], brief_caption(self.figure(i), rng)) for i in shown])
        self.mark(
            "caption-brief: nothing false",
            [tells_truth(self.figure(i), text) for i, text in zip(shown, brief, strict=True)],
            shown,
        )
        return confusions((self.figure(i), text) for i, text in zip(shown, texts, strict=True))

    def _mark_slice(self, name: str, hits: Sequence[bool], clusters: Sequence[int], chosen: Sequence[bool]) -> None:
        rows = [row for row, keep in enumerate(chosen) if keep]
        self.mark(name, [hits[row] for row in rows], [clusters[row] for row in rows])

    def change(self) -> None:
        """Ask for the change between two images, in the shipped forms of the question, and judge it by the truth."""
        rng = random.Random(f"changes {self.seed}")
        lessons = [change_images(self.figure(p.reference), self.figure(p.target), rng) for p in self.pairs]
        texts = self.ask([([p.reference, p.target], lesson) for p, lesson in zip(self.pairs, lessons, strict=True)])
        self._mark_texts("change-images", texts)

    def rewrite(self) -> None:
        """Ask for the change between two true captions, without an image."""
        rng = random.Random(f"rewrites {self.seed}")
        lessons = [rewrite_captions(self.figure(p.reference), self.figure(p.target), rng) for p in self.pairs]
        self._mark_texts("rewrite-captions", self.ask([([], lesson) for lesson in lessons]))

    def _mark_texts(self, task: str, texts: Sequence[str]) -> None:
        verdicts = [
            judge(self.gallery, str(p.reference), text, str(p.target))
            for p, text in zip(self.pairs, texts, strict=True)
        ]
        clusters = [pair.reference for pair in self.pairs]
        for name in ("parsed", "correct", "exhaustive", "unique", "composed", "good"):
            self.mark(f"{task}: {name}", [bool(getattr(v, name)) for v in verdicts], clusters)
        exact = [v.correct and v.exhaustive for v in verdicts]
        self.mark(f"{task}: correct and exhaustive", exact, clusters)
        for count in range(1, MOST_EDITS + 1):
            chosen = [pair.edits == count for pair in self.pairs]
            self._mark_slice(f"{task}: correct and exhaustive, {count} edits", exact, clusters, chosen)
        held_out = [self.figure(p.target).shows_held_out_pair() for p in self.pairs]
        self._mark_slice(f"{task}: correct and exhaustive, held-out pairs", exact, clusters, held_out)

    def judge(self) -> None:
        """Ask for verdicts on true texts and on texts of every fault."""
        rng = random.Random(f"verdicts {self.seed}")
        trained: list[tuple[int, bool]] = []
        for fault in ("none", *TRAINED, *UNSEEN):
            rows = [(pair, self._verdict(pair, fault, rng)) for pair in self.pairs]
            asked = [(pair, lesson) for pair, lesson in rows if lesson]
            answers = self.ask([([p.reference, p.target], lesson) for p, lesson in asked])
            hits = [answer == lesson.answer for answer, (_, lesson) in zip(answers, asked, strict=True)]
            self.mark(f"judge-change: {fault}", hits, [pair.reference for pair, _ in asked])
            if fault not in UNSEEN:
                copies = len(TRAINED) if fault == "none" else 1
                trained += [(p.reference, hit) for (p, _), hit in zip(asked, hits, strict=True) for _ in range(copies)]
        self.mark("judge-change: true and trained faults, balanced", [h for _, h in trained], [c for c, _ in trained])

    def _verdict(self, pair: Pair, fault: str, rng: random.Random) -> Lesson | None:
        reference, target = self.figure(pair.reference), self.figure(pair.target)
        if fault == "none":
            return judge_change(reference, target, rng, self.level, right=True)
        faulty = {**TRAINED, **UNSEEN}[fault](reference, target, rng, self.level)
        return ask("judge-change", "no", text=faulty.text) if faulty else None

    def pick(self) -> None:
        """Ask which of four images a text leads to: the target, the reference, a sibling of the target, a stranger."""
        rng = random.Random(f"picks {self.seed}")
        rows = [(pair, *self._candidates(pair, rng)) for pair in self.pairs]
        lessons = [
            pick_target(self.figure(p.reference), [self.figure(i) for i in shown], place, rng)
            for p, shown, place in rows
        ]
        asked = [([p.reference, *shown], lesson) for (p, shown, _), lesson in zip(rows, lessons, strict=True)]
        answers = self.ask(asked)
        hits = [answer == LETTERS[place] for answer, (_, _, place) in zip(answers, rows, strict=True)]
        self.mark("pick-target: right", hits, [pair.reference for pair, _, _ in rows])
        for place, letter in enumerate(LETTERS):
            chosen = [row[2] == place for row in rows]
            self._mark_slice(f"pick-target: right at {letter}", hits, [row[0].reference for row in rows], chosen)
        self.letters = Counter(answer if answer in LETTERS else "no letter" for answer in answers)

    def _candidates(self, pair: Pair, rng: random.Random) -> tuple[list[int], int]:
        target = self.figure(pair.target)
        family = self.samples[pair.target].family
        near = [
            i
            for i, s in enumerate(self.samples)
            if s.family == family and s.figure != self.figure(pair.reference) and len(edits(target, s.figure)) == 1
        ]
        others = [i for i, s in enumerate(self.samples) if s.family != family]
        sibling = rng.choice(near) if near else rng.choice(others)
        shown = [pair.target, pair.reference, sibling, rng.choice(others)]
        rng.shuffle(shown)
        return shown, shown.index(pair.target)


def shipped_model(name: str) -> Path:
    """Return the folder of a shipped model: mllm, judge-mllm, filter-encoder or judge-encoder."""
    return Path(__file__).parent / "models" / name


def tells_truth(figure: Figure, text: str) -> bool:
    """Whether a caption can be read and tells nothing false; what it leaves out does not count."""
    rows = confusions([(figure, text)])
    return not rows.unreadable and all(said == "(unsaid)" for row in rows.attributes for _, said, _ in row.mistakes)


def examine(model: str, level: Level = "medium", images: int = 300, seed: int = 0, batch: int = 24) -> Accuracy:
    """Put every question to the model in folder (or hub id) `model`.

    Args:
        model: what `from_pretrained` takes.
        level: of the development collection.
        images: captions asked for, and pairs.
        seed: of the draws of images, pairs and texts.
        batch: questions answered at once.
    """
    exam = Exam(Answerer(model, batch), level, images, seed)
    captions = exam.caption()
    exam.change()
    exam.rewrite()
    exam.judge()
    exam.pick()
    return Accuracy(Path(model).name, level, captions, exam.slices, dict(sorted(exam.letters.items())))


def markdown(accuracy: Accuracy, command: str) -> str:
    """Return the accuracy as a Markdown page that names the command it came from."""
    shares = [
        f"| {name} | {100 * s.share:.1f} | {100 * s.low:.1f} to {100 * s.high:.1f} | {s.rows} |"
        for name, s in accuracy.slices.items()
    ]
    attributes = [
        f"| {row.attribute} | {100 * row.accuracy:.1f} | {row.seen} | {_mistakes(row.mistakes)} |"
        for row in accuracy.captions.attributes
    ]
    letters = ", ".join(f"{letter} {count}" for letter, count in accuracy.letters.items())
    return "\n".join(
        (
            f"# Accuracy of `{accuracy.model}`, level {accuracy.level}",
            "",
            f"`{command}`: development collection, attribute combinations that no training image shows.",
            "95 % intervals, clustered by reference image.",
            "",
            "| task: measure | right, % | 95 % interval | rows |",
            "|---|---|---|---|",
            *shares,
            "",
            f"Letters answered to `pick-target`: {letters}. No training text has the faults {' and '.join(UNSEEN)}.",
            "",
            "## Captions, attribute by attribute",
            "",
            "| attribute | right, % | seen | most common mistakes: true, told (times) |",
            "|---|---|---|---|",
            *attributes,
            "",
        )
    )


def _mistakes(mistakes: Sequence[tuple[str, str, int]]) -> str:
    return "; ".join(f"{true}, {said} ({count})" for true, said, count in mistakes)
