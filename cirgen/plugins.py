"""Filters of your own: Python code that whoever gives the command names, and never a recipe.

A recipe names a filter by a word: one from elsewhere, or a run folder, runs no code that lies beside it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cirgen.errors import UserError, one_line

if TYPE_CHECKING:
    from cirgen.filters.base import Filter

FILE_SUFFIX = ".py"
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Of a filter: it names a folder of the store and tables of SQL."""
MODULE_PREFIX = "cirgen_plugin_"
"""Before the name of a file, so that no file of yours stands for a module that something else imports."""

loaded: list[str] = []
"""What was named so far, as it was named."""


def load_plugin(named: str) -> list[str]:
    """Run a Python file or module, and let recipes name the filters that it defines.

    Call it before `cirgen.recipe` is imported, as the command line does.

    Args:
        named: a file `filters/short.py`, or a module that Python can import, `my_package.filters`.

    Returns:
        The names of its filters.

    Raises:
        UserError: there is no such code, it fails, or defines no filter that a recipe can name.
    """
    from cirgen.filters.registry import FILTERS

    module = _run(named)
    parts = _filters(module)
    if not parts:
        raise UserError(f"{named} defines no filter; derive a class from cirgen.filters.base.Filter in it.")
    code = hashlib.sha256(Path(module.__file__ or "").read_bytes()).hexdigest()
    for part in parts:
        name = _name(part, named)
        if name in FILTERS.names:
            raise UserError(f"{named} calls a filter '{name}', and there is one of that name; choose another.")
        part.code = code
        FILTERS.add(part)
    loaded.append(named)
    return [_name(part, named) for part in parts]


def _run(named: str) -> ModuleType:
    try:
        return _run_file(Path(named).expanduser()) if named.endswith(FILE_SUFFIX) else importlib.import_module(named)
    except UserError:
        raise
    except Exception as error:  # whatever the code of somebody else raises
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{named} cannot be loaded: {type(error).__name__} at {where.filename}:{where.lineno}: {one_line(error)}; "
            f"name a file *{FILE_SUFFIX}, or a module that `python -c 'import ...'` finds, and mend what it says."
        ) from error


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"There is no file {path} with filters; correct the path after --plugin.")
    name = f"{MODULE_PREFIX}{path.stem}"
    if name in sys.modules:
        raise UserError(f"Two plugins are called {path.name}; rename one of them.")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is no Python file; name one after --plugin.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where pydantic and inspect look for it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _filters(module: ModuleType) -> list[type[Filter]]:
    """Return the filters that a module defines itself, in its order; not those that it imports."""
    import inspect

    from cirgen.filters.base import Filter

    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Filter)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]


def _name(part: type[Filter], named: str) -> str:
    from cirgen.filters.base import FilterSettings

    settings = getattr(part, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, FilterSettings)):
        raise UserError(f"{part.__name__} of {named} has no Settings; give it a class derived from FilterSettings.")
    field = settings.model_fields.get("name")
    name = field.default if field else None
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise UserError(
            f"The settings of {part.__name__} of {named} give it no name; write `name: Literal['short'] = 'short'` "
            "with a word of small letters, digits and underscores."
        )
    return name
