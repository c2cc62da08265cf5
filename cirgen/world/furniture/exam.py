"""How often the multimodal LLM of furniture is right, on combinations of attributes that no training showed.

    python -m cirgen.world.furniture.exam models/mllm

Questions go through the shipped prompts and the model's own chat template; the exact attributes mark the answers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cirgen.world.accuracy import Answerer
from cirgen.world.build import IMAGES, TABLE, read_truth, shipped_furniture
from cirgen.world.furniture.grammars import caption, change
from cirgen.world.furniture.parser import parse_caption
from cirgen.world.furniture.training import faulty
from cirgen.world.furniture.writer import edits
from cirgen.world.gallery import Gallery
from cirgen.world.pairs import MOST_EDITS, draw_pairs
from cirgen.world.shares import Share, share
from cirgen.world.training.tasks import Lesson, ask
from cirgen.world.truth import judge

PURPOSE = "development"
SAMPLED = 0.5
"""Temperature of the sampled texts, that of the recipe."""

Marks = dict[str, Share]
app = typer.Typer(help="Examine the multimodal LLM of furniture.")


class Exam:
    """Questions about pictures of a collection, and their marks.

    Args:
        model: folder of the model.
        pairs: asked about; a third each of one, two and three edits.
        purpose: which collection.
        seed: of the draws of pairs and texts.
    """

    def __init__(self, model: Path, pairs: int, purpose: str = PURPOSE, seed: int = 0) -> None:
        folder = shipped_furniture(purpose)
        truth = read_truth(folder / TABLE)
        self.model, self.seed, self.images = str(model), seed, folder / IMAGES
        self.gallery = Gallery(truth.image_ids, truth.figures, truth.world)
        self.pairs = draw_pairs(truth.figures, truth.families, pairs // MOST_EDITS, seed, edits)
        self.marks: Marks = {}

    def ask(self, rows: Sequence[tuple[Sequence[int], Lesson]], temperature: float = 0) -> list[str]:
        """Return the answers to lessons about images, given by their rows in the gallery."""
        answerer = Answerer(self.model, temperature=temperature)
        return answerer.answers([([self._picture(row) for row in shown], one.question) for shown, one in rows])

    def _picture(self, row: int) -> Any:
        from PIL import Image

        return Image.open(self.images / f"{self.gallery.image_ids[row]}.webp").convert("RGB")

    def mark(self, name: str, hits: Sequence[bool], clusters: Sequence[int]) -> None:
        """Keep the share of `hits`; nothing where there are no rows."""
        found = share(hits, clusters, self.seed)
        if found is not None:
            self.marks[name] = found

    def captions(self) -> None:
        """Ask for whole captions, and for brief ones, of which all that is told must be true."""
        rng = random.Random(f"captions {self.seed}")
        shown = sorted({pair.reference for pair in self.pairs})
        items = [self.gallery.figures[row] for row in shown]
        whole = self.ask([([row], ask("caption-attributes", caption(item, rng))) for row, item in self._of(shown)])
        brief = self.ask(
            [([row], ask("caption-brief", caption(item, rng, 10), words=10)) for row, item in self._of(shown)]
        )
        read = [parse_caption(text) or {} for text in whole]
        told = [{name: value for name, value in asdict(item).items() if value} for item in items]
        self.mark("caption-attributes: exact", [one == other for one, other in zip(read, told, strict=True)], shown)
        for name in ("kind", "view"):
            hits = [one.get(name) == other[name] for one, other in zip(read, told, strict=True)]
            self.mark(f"caption-attributes: {name}", hits, shown)
        said = [parse_caption(text) for text in brief]
        true = [one is not None and one.items() <= other.items() for one, other in zip(said, told, strict=True)]
        self.mark("caption-brief: nothing false", true, shown)

    def _of(self, rows: Sequence[int]) -> list[tuple[int, Any]]:
        return [(row, self.gallery.figures[row]) for row in rows]

    def changes(self, temperature: float = 0) -> list[str]:
        """Ask for the change between two images, and judge it by the truth."""
        lesson = ask("change-images", "", intent="", examples=())
        texts = self.ask([([p.reference, p.target], lesson) for p in self.pairs], temperature)
        names, clusters = self.gallery.image_ids, [pair.reference for pair in self.pairs]
        verdicts = [
            judge(self.gallery, names[p.reference], text, names[p.target])
            for p, text in zip(self.pairs, texts, strict=True)
        ]
        task = f"change-images, {'sampled' if temperature else 'greedy'}"
        for name in ("parsed", "correct", "exhaustive", "unique", "good"):
            self.mark(f"{task}: {name}", [bool(getattr(one, name)) for one in verdicts], clusters)
        for count in range(1, MOST_EDITS + 1):
            rows = [row for row, pair in enumerate(self.pairs) if pair.edits == count]
            exact = [verdicts[row].correct and verdicts[row].exhaustive for row in rows]
            self.mark(f"{task}: correct and exhaustive, {count} edits", exact, [clusters[row] for row in rows])
        return texts

    def verdicts(self, observed: Sequence[str]) -> None:
        """Ask whether a text, right or faulty, says what the model itself observed."""
        rng = random.Random(f"verdicts {self.seed}")
        items = self.gallery.figures
        for answer in ("yes", "no"):
            rows = []
            for pair, seen in zip(self.pairs, observed, strict=True):
                two = items[pair.reference], items[pair.target]
                before, after = two if answer == "yes" else faulty(*two, rng)
                text = change(before, after, rng) or ""
                lesson = ask("compare-changes", answer, observed=seen, text=text)
                rows.append(([pair.reference, pair.target], lesson))
            hits = [said == answer for said in self.ask(rows)]
            name = f"compare-changes: {'right' if answer == 'yes' else 'faulty'} texts"
            self.mark(name, hits, [pair.reference for pair in self.pairs])


def examine(model: Path, pairs: int = 150, purpose: str = PURPOSE) -> Marks:
    """Put every question to a model; return shares right with 95 % intervals by reference."""
    exam = Exam(model, pairs, purpose)
    exam.captions()
    observed = exam.changes()
    exam.changes(SAMPLED)
    exam.verdicts(observed)
    return exam.marks


@app.command()
def main(
    model: Annotated[Path, typer.Argument(help="Folder of the model.")],
    pairs: Annotated[int, typer.Option(min=3, help="Pairs asked about.")] = 150,
    purpose: Annotated[
        str, typer.Option(help="Collection: development chooses, evaluation is for the end.")
    ] = PURPOSE,
    write: Annotated[bool, typer.Option("--write", help="Write ACCURACY.json into the folder of the model.")] = False,
) -> None:
    """Print percent right of every task, with 95 % intervals.

    Example: python -m cirgen.world.furniture.exam models/mllm
    """
    import torch

    torch.manual_seed(0)
    found = examine(model, pairs, purpose)
    for name, one in found.items():
        typer.echo(f"{name}: {100 * one.share:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}], {one.rows} rows")
    if write:
        record = {"collection": purpose, "pairs": pairs, "marks": {name: one._asdict() for name, one in found.items()}}
        (model / "ACCURACY.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf8")


if __name__ == "__main__":
    app()
