"""Of files that filters name, such as word lists, the content decides: it stands for the path in the recipe's hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cirgen.filters.base import FilterSettings
from cirgen.progress import Progress


def file_contents(filters: Iterable[FilterSettings], progress: Progress) -> dict[str, str]:
    """Return the hash of what every setting leads to that names files, by `filter.setting`.

    Raises:
        UserError: a file cannot be read.
    """
    return {
        f"{settings.model_dump()['name']}.{option}": content
        for settings in filters
        for option, content in settings.contents(progress).items()
    }


def with_file_contents(resolved: Mapping[str, Any], contents: Mapping[str, str]) -> dict[str, Any]:
    """Return a resolved recipe with the content of files where their paths were."""
    return {
        **resolved,
        "filter": [
            {option: contents.get(f"{fields['name']}.{option}", value) for option, value in fields.items()}
            for fields in resolved["filter"]
        ],
    }
