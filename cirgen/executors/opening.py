"""Opens the executor that a command line names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cirgen.executors.base import Executor
    from cirgen.run_folder import Run


class Where(StrEnum):
    """Where the work of a run is done."""

    LOCAL = "local"
    RAY = "ray"


@contextmanager
def opened(where: Where, run: Run) -> Iterator[Executor]:
    """Yield who does the work of a run, and end it afterwards.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    executor = _made(where, run)
    try:
        yield executor
    finally:
        executor.close()


def _made(where: Where, run: Run) -> Executor:
    if where is Where.RAY:
        from cirgen.executors.ray import Ray

        return Ray(run.recipe.ray, run.progress.say)
    from cirgen.executors.local import Local

    return Local()
