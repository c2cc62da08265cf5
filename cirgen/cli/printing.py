"""Tables for people in a terminal, and one line a row for the programs that output is piped to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPED_COLUMNS = 1_000
"""Wide enough that no row of a table of ours breaks."""


def printer() -> Console:
    """Return where to print tables: as wide as the terminal, or as COLUMNS says; else no row is broken."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = PIPED_COLUMNS
    return console
