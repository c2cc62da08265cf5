"""Whether the weights of a file are those that a model has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cirgen.errors import UserError


def check_fit(own: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that do not fit.

    Args:
        own: weights of the model, by name.
        found: weights that were read.
        path: where they were read from.

    Raises:
        UserError: some are missing, unexpected, or of another shape; each is listed.
    """
    problems = {
        "missing": own.keys() - found.keys(),
        "unexpected": found.keys() - own.keys(),
        "of another shape": {name for name in own.keys() & found.keys() if own[name].shape != found[name].shape},
    }
    listed = "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in problems.items() if names)
    if listed:
        raise UserError(f"The weights in {path} do not fit the model ({listed}); load them into what was trained.")
