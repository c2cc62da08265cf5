"""The tokens that answers begin with, and how a model shares its belief among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cirgen.errors import UserError


def option_tokens(tokenizer: Any, options: Sequence[str]) -> list[list[int]]:
    """Return, for each option, the ids of tokens that begin it and none of the others, in any spelling.

    Args:
        tokenizer: of transformers.
        options: answers such as `yes` and `no`.

    Raises:
        UserError: an option begins with no token of its own.
    """
    beginnings = [_beginnings(tokenizer, option) for option in options]
    own = [
        found - set().union(*beginnings[:place], *beginnings[place + 1 :]) for place, found in enumerate(beginnings)
    ]
    lost = [option for option, ids in zip(options, own, strict=True) if not ids]
    if lost:
        raise UserError(
            f"The model's tokens cannot tell '{lost[0]}' from the other answers ({', '.join(options)}); "
            "write a prompt whose answers begin differently."
        )
    return [sorted(ids) for ids in own]


def _beginnings(tokenizer: Any, option: str) -> set[int]:
    found = (_first(tokenizer, spelling) for spelling in spellings(option))
    return {token for token in found if token is not None}


def spellings(option: str) -> list[str]:
    """Return an answer as a model may begin it."""
    if len(option) == 1:  # a letter: "a" is a word of its own
        return [option, f" {option}", f"\n{option}"]
    cased = (option, option.lower(), option.upper(), option.capitalize())
    return [before + spelling for spelling in dict.fromkeys(cased) for before in ("", " ", "\n")]


def _first(tokenizer: Any, text: str) -> int | None:
    """Return the first token that is more than white space."""
    ids: Sequence[int] = tokenizer.encode(text, add_special_tokens=False)
    return next((token for token in ids if tokenizer.decode([token]).strip()), None)


def shares(logits: torch.Tensor, tokens: Sequence[Sequence[int]]) -> tuple[list[tuple[float, ...]], list[float]]:
    """Return for every row how the probability of the next token falls on the options, and how much does at all.

    Args:
        logits: [B, vocabulary], of the first token of the answer.
        tokens: of each option.
    """
    probabilities = logits.double().softmax(dim=-1)
    found = torch.stack([probabilities[:, ids].sum(dim=1) for ids in map(list, tokens)], dim=1)
    mass = found.sum(dim=1, keepdim=True)
    even = torch.full_like(found, 1 / len(tokens))
    return [tuple(row) for row in torch.where(mass > 0, found / mass, even).tolist()], mass[:, 0].tolist()


def padded(inputs: Mapping[str, torch.Tensor], length: int, pad: int) -> dict[str, torch.Tensor]:
    """Pad what has a column for every token on the left, to so many columns."""
    width = inputs["input_ids"].shape[1]
    return {
        name: torch.nn.functional.pad(value, (length - width, 0), value=pad if name == "input_ids" else 0)
        if value.ndim == 2 and value.shape == inputs["input_ids"].shape
        else value
        for name, value in inputs.items()
    }
