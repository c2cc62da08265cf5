"""Shows in the site the files outside docs/ that pages link to, such as recipes, and writes the page of all commands.

A link that leads nowhere stays broken, so that `mkdocs build --strict` ends at it. This is a hook of mkdocs:
https://www.mkdocs.org/user-guide/configuration/#hooks
"""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

PLACE = "repository"
"""Folder of the site for what lies outside docs/."""
COMMANDS = "commands.md"
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
ELSEWHERE = re.compile(r"[a-z]+:|/")
PICTURES = (".png", ".jpg", ".svg")
LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".py": "python", ".toml": "toml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of all commands, every file that a page links to, and those that these link to."""
    files.append(File.generated(config, COMMANDS, content=_commands()))
    docs = Path(config.docs_dir)
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        for path in _linked_paths(files, waiting.pop(), docs):
            uri = _uri(path, docs)
            if files.get_file_from_path(uri) is None:
                content = _content(docs.parent / path, path)
                files.append(File.generated(config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV))
                waiting.append(uri)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Let links out of docs/ lead to where the site shows their files."""
    uri, docs = page.file.src_uri, Path(config.docs_dir)
    if not _has_links(uri, docs):
        return markdown

    def moved(found: re.Match[str]) -> str:
        path = _outside(uri, found[2], docs)
        if path is None:
            return found[0]
        target = posixpath.relpath(_uri(path, docs), posixpath.dirname(uri))
        return f"{found[1]}{target}{found[3] or ''}{found[4]}"

    return LINK.sub(moved, markdown)


def _commands() -> str:
    """Return the help of every command as typer writes it: examples as code, and no lists that cut their lines off."""
    told = [
        sys.executable,
        "-m",
        "typer",
        "cirgen.cli.app",
        "utils",
        "docs",
        "--name",
        "cirgen",
        "--title",
        "Commands",
    ]
    text = subprocess.run(told, check=True, capture_output=True, text=True).stdout
    text = re.sub(r"^\*\*Commands\*\*:\n\n(?:\* .*\n)+", "", text, flags=re.MULTILINE)
    return re.sub(r"^Example: (.+)$", r"Example: `\1`", text, flags=re.MULTILINE)


def _linked_paths(files: Files, uri: str, docs: Path) -> Iterator[str]:
    file = files.get_file_from_path(uri)
    if file is None or not _has_links(uri, docs):
        return
    for found in LINK.finditer(file.content_string):
        path = _outside(uri, found[2], docs)
        if path is not None and not path.startswith(f"{docs.name}/"):
            yield path


def _has_links(uri: str, docs: Path) -> bool:
    """Return whether a page is text, rather than a picture or the code of a file."""
    shown = docs.parent / uri.removeprefix(f"{PLACE}/").removesuffix(".md")
    return uri.endswith(".md") and not (uri.startswith(f"{PLACE}/") and shown.is_file())


def _outside(uri: str, link: str, docs: Path) -> str | None:
    """Return the path in the repository that a link means, None where mkdocs finds it, or nobody does.

    Links of a page that shows a file of the repository start from that file.
    """
    if ELSEWHERE.match(link):
        return None
    shown = uri.startswith(f"{PLACE}/")
    start = uri.removeprefix(f"{PLACE}/") if shown else f"{docs.name}/{uri}"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(start), link))
    within = path.startswith(f"{docs.name}/") and not shown
    return None if within or path.startswith("..") or not _can_be_shown(docs.parent / path) else path


def _can_be_shown(place: Path) -> bool:
    """Return whether there is a folder, a picture or a text."""
    if place.is_dir() or (place.is_file() and place.suffix in PICTURES):
        return True
    return place.is_file() and b"\0" not in place.read_bytes()


def _uri(path: str, docs: Path) -> str:
    """Return where the site has a path of the repository."""
    if path.startswith(f"{docs.name}/"):
        return path.removeprefix(f"{docs.name}/")
    if (docs.parent / path).is_dir():
        return f"{PLACE}/{path}/index.md"
    return f"{PLACE}/{path}" if Path(path).suffix in (".md", *PICTURES) else f"{PLACE}/{path}.md"


def _content(place: Path, path: str) -> str | bytes:
    if place.is_dir():
        shown = sorted(child for child in place.iterdir() if not child.name.startswith((".", "__")))
        names = [f"[{child.name}]({child.name})" if _can_be_shown(child) else child.name for child in shown]
        return "\n".join([f"# {path}", "", *(f"- {name}" for name in names), ""])
    if place.suffix in PICTURES:
        return place.read_bytes()
    text = place.read_text(encoding="utf8")
    is_page = place.suffix == ".md" and "{%" not in text  # else a template of one
    return text if is_page else f"# {path}\n\n````{LANGUAGES.get(place.suffix, 'text')}\n{text}````\n"
