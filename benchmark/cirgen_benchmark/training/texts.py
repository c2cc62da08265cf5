"""Modification texts of triplets as tokens: made once, looked up by every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cirgen_benchmark.models.base import Retriever, Tokens
from cirgen_benchmark.training.batches import Part
from cirgen_benchmark.training.indexed import Numbers

KEPT_TEXTS = 200_000
"""Tokens of so many distinct texts are kept (250 MB of two times 77 numbers each); beyond, each batch's are made."""
MASK = "attention_mask"


class Texts:
    """The tokens of what a part's triplets say.

    Args:
        model: whose tokens they are.
        texts: of each triplet.
        device: where the tokens go.
    """

    def __init__(self, model: Retriever, texts: Sequence[Sequence[str]], device: torch.device) -> None:
        self._model = model
        self._device = device
        distinct = {text: number for number, text in enumerate(dict.fromkeys(t for each in texts for t in each))}
        self._distinct = list(distinct)
        self._numbers = np.array([distinct[text] for each in texts for text in each], dtype=np.int64)
        self._counts = np.array([len(each) for each in texts], dtype=np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self._kept = _Kept(model, self._distinct) if len(self._distinct) <= KEPT_TEXTS else None

    def tokens(self, part: Part) -> Tokens:
        """Return the tokens of this process's share of a part, on the device."""
        numbers = self._chosen(part.triplets[part.own], part.draws[part.own])
        if self._kept is not None:
            tokens: Tokens = self._kept.of(numbers)
        else:
            tokens = self._model.tokenize([self._distinct[number] for number in numbers])
        return {name: tensor.to(self._device) for name, tensor in tokens.items()}

    def _chosen(self, triplets: Numbers, draws: NDArray[np.float64]) -> Numbers:
        """Return the distinct text that each triplet's draw picks, all of its texts as likely."""
        picked = (draws * self._counts[triplets]).astype(np.int64)
        chosen: Numbers = self._numbers[self._starts[triplets] + picked]
        return chosen


class _Kept:
    """Tokens of all texts, padded to the longest; cut to a batch's longest where the model itself would do so."""

    def __init__(self, model: Retriever, texts: Sequence[str]) -> None:
        self._tokens = dict(model.tokenize(texts))
        self._cut = self._cuts_like(model, texts)

    def of(self, numbers: Numbers) -> dict[str, Tensor]:
        rows = torch.from_numpy(numbers)
        found = {name: tensor[rows] for name, tensor in self._tokens.items()}
        return _without_padding(found) if self._cut else found

    def _cuts_like(self, model: Retriever, texts: Sequence[str]) -> bool:
        """Ask whether columns that are padding in every row are what the model leaves out of a shorter batch."""
        if MASK not in self._tokens or len({tensor.shape for tensor in self._tokens.values()}) > 1:
            return False
        shortest = int(self._tokens[MASK].sum(dim=1).argmin())
        alone = model.tokenize([texts[shortest]])
        cut = _without_padding({name: tensor[[shortest]] for name, tensor in self._tokens.items()})
        return all(torch.equal(alone[name], cut[name]) for name in cut)


def _without_padding(tokens: dict[str, Tensor]) -> dict[str, Tensor]:
    columns = tokens[MASK].any(dim=0)
    return tokens if bool(columns.all()) else {name: tensor[:, columns] for name, tensor in tokens.items()}
