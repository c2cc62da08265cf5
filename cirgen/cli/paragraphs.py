"""Help that breaks where the terminal ends, and not where the source does."""

from __future__ import annotations

import inspect

import typer


def flow(app: typer.Typer) -> None:
    """Let the help of every command of an app, and of the apps under it, flow to the width of the terminal.

    typer prints the line breaks of every paragraph of a docstring but the first.
    """
    for command in app.registered_commands:
        command.help = flowing(command.help or inspect.getdoc(command.callback) or "")
    for group in app.registered_groups:
        if group.typer_instance:
            flow(group.typer_instance)


def flowing(text: str) -> str:
    """Return a text with each of its paragraphs on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
