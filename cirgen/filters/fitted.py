"""Which bounds of a recipe are fitted to labels, and what of the labels files decides: their content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cirgen.filters.base import FilterSettings
from cirgen.filters.labels import labels_content
from cirgen.filters.threshold import FIT_SUFFIX, BoundedSettings


def label_contents(filters: Iterable[FilterSettings]) -> dict[str, str]:
    """Return the sha256 of the labels file of every fitted bound, by `filter.bound_fit`.

    Raises:
        UserError: a file cannot be read.
    """
    return {
        f"{settings.model_dump()['name']}.{option}{FIT_SUFFIX}": labels_content(fit.labels)
        for settings in filters
        if isinstance(settings, BoundedSettings)
        for option, fit in settings.fits().items()
    }


def with_label_contents(resolved: Mapping[str, Any], contents: Mapping[str, str]) -> dict[str, Any]:
    """Return a resolved recipe with the content of every labels file where its path was."""
    return {**resolved, "filter": [_by_content(fields, contents) for fields in resolved["filter"]]}


def _by_content(fields: Mapping[str, Any], contents: Mapping[str, str]) -> dict[str, Any]:
    def known(option: str, value: Any) -> Any:
        content = contents.get(f"{fields['name']}.{option}")
        return value if content is None else {**value, "labels": content}

    return {option: known(option, value) for option, value in fields.items()}


def without_fits(filters: Iterable[FilterSettings]) -> tuple[FilterSettings, ...]:
    """Return filters with no bound where one is fitted, less those that have no other."""
    left = []
    for settings in filters:
        fits = settings.fits() if isinstance(settings, BoundedSettings) else {}
        given = settings.model_copy(update={f"{option}{FIT_SUFFIX}": None for option in fits})
        if not (isinstance(given, BoundedSettings) and fits) or given.is_bounded():
            left.append(given)
    return tuple(left)
