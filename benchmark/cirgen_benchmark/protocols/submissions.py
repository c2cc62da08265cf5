"""Files that a benchmark's server takes: checked before they are written, and written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cirgen.errors import UserError
from cirgen.shards import write_text
from cirgen_benchmark.protocols.holes import such_as
from cirgen_benchmark.protocols.parts import Asked
from cirgen_benchmark.protocols.rankings import Lists, Rules, check_lists


@dataclass(frozen=True)
class Submission:
    """One file for a server, as it must be."""

    name: str
    """File name."""
    text: str
    """JSON."""

    def write(self, folder: Path) -> Path:
        """Write the file into a folder, over one of that name, and return its path."""
        path = folder / self.name
        write_text(path, self.text)
        return path


def submission(
    name: str,
    lists: Lists,
    asked: Sequence[Asked],
    rules: Rules,
    *,
    header: Mapping[str, str] | None = None,
    numbers: bool = False,
    max_bytes: int | None = None,
) -> Submission:
    """Check rankings of a whole split and put them into a server's format.

    Args:
        name: of the file.
        lists: image ids by query id.
        asked: every query of the split.
        rules: of the server.
        header: entries beside the lists.
        numbers: whether the server takes image ids as numbers.
        max_bytes: the largest file that it takes.

    Raises:
        UserError: a query has no list, or the server would refuse the file.
    """
    without = [one.id for one in asked if one.id not in lists]
    if without:
        raise UserError(f"No ranking for {len(without):,} of {len(asked):,} queries{such_as(without)}; encode them.")
    check_lists(name, lists, asked, rules)
    content = {query: [int(image) if numbers else image for image in lists[query]] for query in lists}
    text = json.dumps({**(header or {}), **content}, separators=(",", ":"))
    if max_bytes is not None and len(text.encode()) > max_bytes:
        raise UserError(f"{name} would have {len(text.encode()):,} bytes and the server takes {max_bytes:,}.")
    return Submission(name, text)
