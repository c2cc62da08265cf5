"""The second grammar: "human-like" queries written by rules, with words and patterns no model is trained on.

Half of its words are the plainest ones of the first grammar, as people's are; the others never occur there. Texts are
terse, articles are dropped, clauses follow other patterns. Data made with it carry `WRITTEN_BY`: no person wrote them.
"""

from __future__ import annotations

import random

from cirgen.world.figure import Figure
from cirgen.world.speech import Speaker, Style
from cirgen.world.writer import INTENTS, Writer

__all__ = ["INTENTS", "STYLE", "WRITTEN_BY", "caption", "change"]

WRITTEN_BY = "rules: cirgen.world.evaluation_grammar"
"""Provenance of every text of this grammar."""

STYLE = Style(
    tongue="second",
    plain_share=0.5,
    article_share=0.6,
    recolor=(
        "has {new}",
        "{new}",
        "{subject} {be} {color}",
        "{subject} {color}",
        "{subject} turned {color}",
        "looking for {new}",
        "{new} not {old_color}",
        "{subject} {be} {color}, not {old_color}",
        "go for {new}",
        "would like {new}",
        "is with {new}",
    ),
    background=("in front of {new}", "against {new}", "stands on {new}"),
    copy=(
        "{subject} same shade as {source}",
        "{subject} {be} the same shade as {source}",
        "{subject} {be} like {source}",
        "{subject} in {source_s} shade",
        "have {subject} of the same shade as {source}",
        "get {subject} like {source}",
    ),
    copied=("{new} of the same shade as {source}", "{new} in {source_s} shade", "{new} like {source}"),
    replace=(
        "has {new}",
        "{new}",
        "{new} in place of {old}",
        "{old} becomes {new}",
        "{new} where it had {old}",
        "trade {old} for {new}",
        "swap out {old} for {new}",
        "gets {new}",
        "{new} replacing {old}",
        "comes with {new}",
    ),
    put_on_hat=("is wearing {new}", "wears {new}", "has {new} on"),
    take_off_hat=("no {old_bare}, so you see {new}", "lost {old}, you see {new}", "has {old} off to reveal {new}"),
    add=(
        "has {new}",
        "is with {new}",
        "{new}",
        "gets {new}",
        "{new} added",
        "shows {new}",
        "comes with {new}",
        "there is also {new}",
    ),
    remove=(
        "has no {old_bare}",
        "no {old_bare}",
        "no longer has {old}",
        "minus {old}",
        "lost {old}",
        "lacks {old}",
        "{old} missing",
        "ditch {old}",
        "{old} off",
    ),
    swap=(
        "colours of {first} and {second} exchanged",
        "{first} and {second} flip shades",
        "flip the shades of the {first} and the {second}",
        "{first} and {second} with colours flipped",
    ),
    more=("has {n} more {noun}", "{n} extra {noun}", "{n} additional {noun}", "shows {n} more {noun}"),
    another=("has one further {one}", "yet another {one}", "has a {ordinal} {one}"),
    fewer=("has {n} fewer {noun}", "minus {n} {noun}", "lost {n} {noun}", "has {n} {noun} less"),
    total=(
        "has {count} {nouns}",
        "{count} {nouns} in total",
        "{count} {nouns}, not {old_count}",
        "shows {count} {nouns}",
    ),
    vague=(("has more {all_nouns}", "more {all_nouns}"), ("has fewer {all_nouns}", "less {all_nouns}")),
    ellipsis={
        "recolor": (("has {new}", "{new}"), ("{subject} {color}", "{subject} {color}")),
        "add": (("has {new}", "{new}"), ("comes with {new}", "{new}")),
        "remove": (("no {old_bare}", "no {old_bare}"), ("has no {old_bare}", "no {old_bare}")),
        "replace": (("has {new}", "{new}"), ("comes with {new}", "{new}")),
    },
    joins=((" and ", " and "), (", ", ", "), (", ", " and "), (", also ", ", also "), (" plus ", " plus ")),
    openings=("looks the same but ", "similar but ", "same toy but ", "this time "),
    opening_share=0.15,
    captions=(
        "little guy|in:top shoes pants|has:glasses head beard|against:background|near:object",
        "|against:background|there stands a character with:beard head glasses|wears:shoes pants top|near:object",
        "this character|wears:head top pants shoes|has:beard glasses|near:object|against:background",
        "i see|near:object|a character in:pants top shoes|has:head glasses beard|against:background",
    ),
)


def caption(figure: Figure, rng: random.Random, words: int | None = None) -> str:
    """Return one sentence about `figure`: every visible attribute, or the most salient ones in about `words` words."""
    return Speaker(STYLE, rng).caption(figure, words)


def change(
    reference: Figure, target: Figure, rng: random.Random, intent: str = "any", exhaustive: bool = True
) -> str | None:
    """Return an exact modification text for the pair, as `grammar.change` does.

    With `exhaustive` False, some of the changes go unsaid, as people leave them.
    """
    return Writer(STYLE, rng, reference, target).change(intent, exhaustive)
