"""Of files that filters name, such as word lists, the content decides: it stands for the path in the recipe's hash.

So does the file of a filter that does not ship, under `code`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cirgen.filters.base import FilterSettings
from cirgen.filters.registry import FILTERS
from cirgen.progress import Progress


def file_contents(filters: Iterable[FilterSettings], progress: Progress) -> dict[str, str]:
    """Return the hash of what every setting leads to that names files, by `filter.setting`.

    Raises:
        UserError: a file cannot be read.
    """
    return {
        f"{name}.{option}": content
        for settings in filters
        for name in [str(getattr(settings, FILTERS.tag))]
        for option, content in {**settings.contents(progress), **_code(name)}.items()
    }


def _code(name: str) -> dict[str, str]:
    code = FILTERS.find(name).code
    return {"code": code} if code else {}


def with_file_contents(resolved: Mapping[str, Any], contents: Mapping[str, str]) -> dict[str, Any]:
    """Return a resolved recipe with the content of files where their paths were, and that of filters' own files."""
    return {**resolved, "filter": [{**fields, **_of(fields["name"], contents)} for fields in resolved["filter"]]}


def _of(name: str, contents: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(f"{name}."): content for key, content in contents.items() if key.startswith(f"{name}.")}
