"""What a prompt's body may hold: a part of Jinja2 that takes no longer than it is long, whoever wrote it.

Prompts are passed on with recipes and rendered for every row, so a body may fill slots, loop over them and choose by
them, and nothing else: no calls, no imports, no arithmetic that makes a short text a gigabyte. Jinja2's own sandbox
keeps a body from the interpreter, not from a loop without end.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_CHARACTERS = 100_000
"""Of a body."""
MOST_LOOPS = 2
"""Loops within each other."""
FILTERS = ("capitalize", "default", "first", "join", "last", "length", "lower", "title", "trim", "upper")
"""Filters of Jinja2 that a body may use."""
_PARTS = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Filter, nodes.Test, nodes.Concat, nodes.CondExpr,
    nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Add, nodes.Sub,
)  # fmt: skip

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    optimized=False,  # it would work constant parts out when a body is compiled
)
_ENVIRONMENT.globals.clear()


class NoPromptError(ValueError):
    """A body is no template, or holds what a prompt may not; the message says what."""


def compiled(body: str) -> Template:
    """Return the template of a body that `slots_of` has passed."""
    return _ENVIRONMENT.from_string(body)


def slots_of(body: str) -> set[str]:
    """Return the names that a body needs values for.

    Raises:
        NoPromptError: it is no template, or holds more than a prompt may.
    """
    if len(body) > MOST_CHARACTERS:
        raise NoPromptError(f"has {len(body):,} characters; {MOST_CHARACTERS:,} are the most")
    try:
        tree = _ENVIRONMENT.parse(body)
        for problem in _problems(tree, 0):
            raise NoPromptError(problem)
        compiled(body)  # finds what parsing leaves out, such as a test that there is not
        return meta.find_undeclared_variables(tree)
    except TemplateError as error:
        raise NoPromptError(f"is not a Jinja2 template: {error}") from error
    except RecursionError as error:
        raise NoPromptError("nests too deep") from error


def _problems(node: nodes.Node, loops: int) -> Iterator[str]:
    line = f"line {node.lineno}"
    if not isinstance(node, _PARTS):
        yield f"has {type(node).__name__} in {line}; a prompt may fill slots, and use `if` and `for`"
    if isinstance(node, nodes.Filter):
        if node.name not in FILTERS:
            yield f"uses the filter {node.name} in {line}; a prompt may use {', '.join(FILTERS)}"
        if node.name == "join" and not isinstance(node.node, nodes.Name):
            yield f"joins what is no slot in {line}; join a slot"
    if isinstance(node, nodes.For):
        loops += 1
        if loops > MOST_LOOPS:
            yield f"has more than {MOST_LOOPS} loops within each other in {line}; take one out"
    for child in node.iter_child_nodes():
        yield from _problems(child, loops)
