"""Likely false negatives: images that answer a query as well as its target does.

An image is a rival where every encoder named finds it at least as near to the text *and* at least as near to the
reference as the target is: no weighing of image against text, by any of them, would put the target first. Listed
positives are no rivals. Encoders alone do not know a false negative: one that understands little of a text finds
rivals everywhere. The control tells how much: it counts rivals with the text of another row in each text's place. So
the share with rivals is a screen, of rows to look at, and the estimate is the share of sampled queries whose first
rival a multimodal LLM accepts as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from cirgen.audit.figures import Figure, Section, missing, number, percent
from cirgen.audit.judged import Judged
from cirgen.audit.ranking import NOBODY, Ranks
from cirgen.intervals import of_means, share

NAMES = (
    ("share", "queries with a rival, by encoders (a screen)"),
    ("control", "the same with texts of other rows (control)"),
    ("mean", "rivals of a query, mean"),
)
ESTIMATE = (("estimate", "false negatives: judge accepts a rival (estimate)"),)
ABOUT = (
    "A rival is an image that is no listed positive and that every encoder named puts at least as near to the text "
    "and at least as near to the reference as the target is. Where the share is no smaller than its control, with "
    "texts of other rows, the encoders cannot tell, and it means nothing. The estimate asks the judge, too: it is the "
    "share of sampled queries that have a rival which the judge accepts, with the judge's own errors in it."
)


def rivals_section(ranks: Ranks, judged: Sequence[Judged], no_judge: str) -> Section:
    """Return how many queries have rivals, and how many of the first rivals a judge accepts."""
    references = [query.row.reference for query in ranks.queries]
    mean = of_means(ranks.rivals[:, None].astype(float), references, lambda means: means[..., 0])
    figures = (
        percent(*NAMES[0], share(ranks.rivals > 0, references)),
        *_control(ranks, references),
        number(*NAMES[2], mean.value),
        *_estimate(judged, no_judge),
    )
    return Section("false_negatives", "False negatives", figures, ABOUT)


def _control(ranks: Ranks, references: Sequence[str]) -> tuple[Figure, ...]:
    if any(query.foreign == NOBODY for query in ranks.queries):
        return missing("all rows have the same text, so none has that of another", NAMES[1:2])
    return (percent(*NAMES[1], share(ranks.foreign_rivals > 0, references)),)


def _estimate(judged: Sequence[Judged], no_judge: str) -> tuple[Figure, ...]:
    answered = [one for one in judged if not one.rival or one.rival_yes is not None]
    if not answered:
        return missing(no_judge or "the judge answered nothing", ESTIMATE)
    accepted = [(one.rival_yes or 0.0) > 0.5 for one in answered]
    return (percent(*ESTIMATE[0], share(accepted, [one.row.reference for one in answered])),)


def no_rivals(reason: str) -> Section:
    """Return the section of a corpus that cannot be ranked."""
    return Section("false_negatives", "False negatives", missing(reason, (*NAMES, *ESTIMATE)), ABOUT)
