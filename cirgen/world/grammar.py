"""The first grammar: captions and modification texts that the embedded models are trained on."""

from __future__ import annotations

import random

from cirgen.world.figure import Figure
from cirgen.world.speech import Speaker, Style
from cirgen.world.writer import INTENTS, Writer

__all__ = ["INTENTS", "STYLE", "caption", "change", "change_parts"]

STYLE = Style(
    tongue="first",
    plain_share=0.0,
    article_share=1.0,
    recolor=(
        "make {subject} {color}",
        "change {subject} to {color}",
        "turn {subject} {color}",
        "{subject} {be} now {color}",
        "{subject} should be {color}",
        "recolor {subject} {color}",
        "{new}",
        "{new} instead of {old_color}",
        "change {subject} from {old_color} to {color}",
        "i want {new}",
        "let {subject} be {color}",
    ),
    background=("put it on {new}", "on {new}", "move it to {new}", "use {new}"),
    copy=(
        "make {subject} the same colour as {source}",
        "{subject} in {source_s} colour",
        "{subject} should match {source}",
        "give {subject} the colour of {source}",
        "match {subject} to {source}",
        "{subject} {be} now the colour of {source}",
        "colour {subject} like {source}",
    ),
    copied=("{new} in {source_s} colour", "{new} in the colour of {source}", "{new} matching {source}"),
    replace=(
        "replace {old} with {new}",
        "swap {old} for {new}",
        "change {old} to {new}",
        "turn {old} into {new}",
        "{new}",
        "{new} instead of {old}",
        "{new} rather than {old}",
        "give it {new}",
        "it now has {new}",
        "i want {new}",
        "use {new}",
    ),
    put_on_hat=("add {new}", "put on {new}", "cover {old} with {new}", "give it {new}"),
    take_off_hat=("take off {old} to show {new}", "remove {old}, showing {new}", "lose {old}, revealing {new}"),
    add=(
        "add {new}",
        "give it {new}",
        "put {new} on the figure",
        "with {new}",
        "it also has {new}",
        "let it have {new}",
        "bring in {new}",
        "now with {new}",
    ),
    remove=(
        "remove {old}",
        "take away {old}",
        "without {old}",
        "no {old_bare}",
        "drop {old}",
        "get rid of {old}",
        "lose {old}",
        "{old} {be} gone",
    ),
    swap=(
        "swap the colours of the {first} and the {second}",
        "swap the colours of {first} and {second}",
        "exchange the colours of the {first} and the {second}",
        "the {first} and the {second} trade colours",
        "let the {first} and the {second} switch colours",
    ),
    more=("add {n} more {noun}", "{n} more {noun}", "{n} {noun} more", "put {n} more {noun} next to it"),
    another=("add another {one}", "another {one}", "add a {ordinal} {one}"),
    fewer=(
        "remove {n} {noun}",
        "take away {n} of the {all_nouns}",
        "{n} {noun} fewer",
        "{n} {noun} less",
        "{n} fewer {noun}",
    ),
    total=(
        "{count} {nouns} instead of {old_count}",
        "make it {count} {nouns}",
        "change the number of {all_nouns} to {count}",
        "there should be {count} {nouns}",
    ),
    vague=((), ()),
    ellipsis={
        "recolor": (("make {subject} {color}", "{subject} {color}"), ("turn {subject} {color}", "{subject} {color}")),
        "add": (("add {new}", "{new}"), ("give it {new}", "{new}"), ("with {new}", "{new}")),
        "remove": (("remove {old}", "{old}"), ("take away {old}", "{old}"), ("without {old}", "{old}")),
        "replace": (("give it {new}", "{new}"), ("replace {old} with {new}", "{old} with {new}")),
    },
    joins=((", ", " and "), (", ", ", "), (" and ", " and "), ("; ", "; "), (", ", ", then "), (". ", ". ")),
    openings=("please ", "same but ", "just ", "instead, ", "this one but "),
    opening_share=0.2,
    captions=(
        "a toy figure|with:head glasses beard|wearing:top pants shoes|on:background|next to:object",
        "a toy figure|wearing:top pants shoes|with:head glasses beard|on:background|with:object",
        "a figure|with:head glasses beard|in:top pants shoes|beside:object|on:background",
        "|on:background|a toy figure with:head glasses beard|dressed in:top pants shoes|beside:object",
        "a small toy|that has:head beard glasses|and wears:top shoes pants|next to:object|on:background",
    ),
)


def caption(figure: Figure, rng: random.Random, words: int | None = None) -> str:
    """Return one sentence about `figure`: every visible attribute, or the most salient ones in about `words` words."""
    return Speaker(STYLE, rng).caption(figure, words)


def change(reference: Figure, target: Figure, rng: random.Random, intent: str = "any") -> str | None:
    """Return a modification text that is exact and exhaustive for the pair.

    `intent` is "any" or one of `INTENTS` and asks that the text lead with a change of that kind. None if the figures
    are equal or no change of the pair is of that kind.
    """
    return Writer(STYLE, rng, reference, target).change(intent)


def change_parts(reference: Figure, target: Figure, rng: random.Random) -> tuple[str, list[str]] | None:
    """Return a modification text as `change` does, and its single changes, each said by itself; None if equal."""
    writer = Writer(STYLE, rng, reference, target)
    clauses = writer.clauses()
    return (writer.join(clauses), [clause.alone for clause in clauses]) if clauses else None
