"""How a corpus is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Options:
    """What the user says of a corpus; each reader takes what concerns it."""

    split: str | None = None
    """One split alone; None takes all."""
    config: str | None = None
    """Of a hub dataset; of a dataset that cirgen wrote, `triplets` or `rejected`."""
    revision: str | None = None
    images: Path | None = None
    """Folder of the original pictures, where the corpus goes without them."""
    columns: tuple[tuple[str, str], ...] = ()
    """What a table calls reference, text, target and so on, where it uses other words."""
    captions: Literal["joined", "each"] = "joined"
    """FashionIQ's two captions of a triplet: one text, as benchmarks ask it, or a row each."""
