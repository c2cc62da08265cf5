"""Errors a user can cause or mend."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class UserError(Exception):
    """A problem the user can mend: one sentence that says what is wrong and names the fix; shown without traceback."""


def one_line(error: BaseException) -> str:
    """Return what an error says, to be quoted within a sentence; libraries say it in several lines, or pages."""
    return " ".join(str(error).split())[:300] or type(error).__name__


class LimitReachedError(UserError):
    """A cap on cost or time was reached: words that tell which, to be told with how to go on."""


class NothingAcceptedError(UserError):
    """A run came to its end and no triplet passed its filters."""

    seconds: Mapping[str, float] = MappingProxyType({})
    """Wall time of the call by stage."""
