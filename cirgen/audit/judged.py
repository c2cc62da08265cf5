"""How many texts are right, as a multimodal LLM judges a sample of them.

The judge sees both pictures and the text, and answers yes or no. What it is worth, the control says: each sampled pair
is also asked about with the text of another row, which is wrong more often than not; a judge that says yes to those
says yes to everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cirgen.audit.cache import KEY, Cache
from cirgen.audit.corpus import Corpus, Row
from cirgen.audit.figures import Figure, Section, count, missing, percent, points
from cirgen.backends.base import Backend, Request
from cirgen.intervals import of_means, share
from cirgen.keys import digest, generation_key
from cirgen.progress import Progress
from cirgen.prompts import Prompt, load_prompt

PROMPT = "judge-change"
OPTIONS = ("yes", "no")
SAMPLE = 500
AT_ONCE = 512  # questions between two writes of the cache
COLUMNS = pa.schema([pa.field("yes", pa.float64()), pa.field("mass", pa.float64())])
_SAMPLING = {"choose": list(OPTIONS)}
NAMES = (
    ("accuracy", "texts judged right"),
    ("control", "texts of other rows judged right (control)"),
)
ABOUT = (
    f"A multimodal LLM is asked with the prompt '{PROMPT}' whether the text turns the reference into the target, and "
    "its probability of yes against no decides. The control asks about the same pairs with texts of other rows: the "
    "nearer the two shares are, the less the judge can tell. A judge errs in ways of its own: this is no accuracy."
)


class Judged(NamedTuple):
    """A sampled row with the judge's probabilities of yes; None where it could not answer, or was not asked."""

    row: Row
    own: float | None
    other: float | None
    """For the text of another row."""
    rival: str
    """An image that may answer as well as the target does, or nothing."""
    rival_yes: float | None
    """For the rival in the target's place."""
    mass: float | None
    """Probability that the judge's answer begins as yes or no at all."""


def sampled(rows: Sequence[Row], number: int) -> list[Row]:
    """Draw rows by key, whatever their order."""
    return sorted(rows, key=lambda row: digest("audit-judge", row.row_id, row.text))[:number]


class Judge:
    """Asks one model about the rows of a corpus.

    Args:
        corpus: opens the pictures.
        contents: hash of each picture's bytes, by image id.
        backend: of the model.
        prompt: of two images and a text.
    """

    def __init__(
        self, corpus: Corpus, contents: Mapping[str, str], backend: Backend, prompt: Prompt | None = None
    ) -> None:
        self._corpus = corpus
        self._contents = contents
        self._backend = backend
        self._prompt = prompt or load_prompt(PROMPT)
        self.content = backend.identity.content
        """Hash of the model's files."""

    def judge(self, rows: Sequence[Row], rivals: Mapping[Row, str], progress: Progress) -> list[Judged]:
        """Ask about every row, about its pair with the text of another row, and about its rival where it has one."""
        own = [self._request(row, row.text, row.target) for row in rows]
        texts = [_foreign(rows, place) for place in range(len(rows))]
        other = [text and self._request(row, text, row.target) for row, text in zip(rows, texts, strict=True)]
        rival = [(image := rivals.get(row)) and self._request(row, row.text, image) for row in rows]
        answers = self._answers([request for request in (*own, *other, *rival) if request], progress)

        def answer(request: Request | str | None) -> _Answer | None:
            return answers.get(request.key) if isinstance(request, Request) else None

        return [
            _judged(row, answer(one), answer(two), rivals.get(row, ""), answer(three))
            for row, one, two, three in zip(rows, own, other, rival, strict=True)
        ]

    def _request(self, row: Row, text: str, target: str) -> Request:
        rendered = self._prompt.render(text=text)
        images = (row.reference, target)
        contents = (self._contents[row.reference], self._contents[target])
        key = generation_key(rendered, contents, self._backend.identity.key_part(), _SAMPLING, 0, 0)
        return Request(key, 0, rendered, images, 0.0, 1.0, 0, 1)

    def _answers(self, requests: Sequence[Request], progress: Progress) -> dict[str, _Answer]:
        cache = Cache("judged-1", COLUMNS)
        by_key = {request.key: request for request in requests}
        known = {row[KEY]: _Answer(row["yes"], row["mass"]) for row in cache.find(by_key).to_pylist()}
        todo = [request for key, request in by_key.items() if key not in known]
        with progress.step("Judge texts", len(todo)) as step:
            for chunk in (todo[start : start + AT_ONCE] for start in range(0, len(todo), AT_ONCE)):
                made: dict[str, _Answer] = {}
                for choice in self._backend.choose(chunk, OPTIONS, self._corpus):
                    if choice.status == "ok":
                        made[choice.request.key] = _Answer(choice.shares[0], choice.mass)
                    step.advance()
                cache.add(list(made), {name: [getattr(one, name) for one in made.values()] for name in COLUMNS.names})
                known |= made
        return known


class _Answer(NamedTuple):
    yes: float
    mass: float


def _judged(row: Row, own: _Answer | None, other: _Answer | None, rival: str, of_rival: _Answer | None) -> Judged:
    return Judged(row, own and own.yes, other and other.yes, rival, of_rival and of_rival.yes, own and own.mass)


def _foreign(rows: Sequence[Row], place: int) -> str | None:
    """Return the text of the next row of another pair that says something else."""
    row = rows[place]
    for step in range(1, len(rows)):
        other = rows[(place + step) % len(rows)]
        if (other.reference, other.target) != (row.reference, row.target) and other.text != row.text:
            return other.text
    return None


def judged_section(found: Sequence[Judged]) -> Section:
    """Return the shares that the judge says yes to."""
    return Section("judged", "Judged", tuple(_figures(found)), ABOUT)


def _figures(found: Sequence[Judged]) -> Iterator[Figure]:
    answered = [one for one in found if one.own is not None]
    yield count("sample", "rows asked about", len(found))
    yield count("failed", "rows without an answer", len(found) - len(answered))
    if not answered:
        yield from missing("the judge answered nothing: its pictures or its memory failed it", NAMES)
        return
    yield percent("mass", "probability of yes or no, mean", float(np.mean([one.mass for one in answered])))
    yield percent(*NAMES[0], share([(one.own or 0) > 0.5 for one in answered], [o.row.reference for o in answered]))
    both = [
        (one.row.reference, one.own > 0.5, one.other > 0.5)
        for one in answered
        if one.own is not None and one.other is not None
    ]
    if not both:
        yield from missing("no other row of the sample says something else", NAMES[1:])
        return
    references = [reference for reference, _, _ in both]
    yield percent(*NAMES[1], share([other for _, _, other in both], references))
    values = np.array([(own, other) for _, own, other in both], dtype=np.float64)
    gain = of_means(values, references, lambda means: means[..., 0] - means[..., 1])
    yield points("gain", "judged right, less the control", gain)


def not_judged(reason: str) -> Section:
    """Return the section of a corpus that nobody judged."""
    return Section("judged", "Judged", missing(reason, NAMES), ABOUT)
