"""YAML text: read as plain data and as the line on which each value stands; written so that it reads back."""

from __future__ import annotations

import re
import sys
from collections import deque
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter

MAX_DEPTH = 100
MAX_PLACES = 100_000
"""A document of more keys and list items, anchors unfolded, is refused: anchors may unfold without end."""

Path = tuple[str | int, ...]
"""Where a value stands: keys of mappings and indices of lists, from the root."""


@dataclass(frozen=True)
class YamlText:
    """A parsed YAML document."""

    data: Any
    lines: dict[Path, int]
    """Line, from 1, of each key and list item."""
    duplicates: tuple[tuple[Path, int], ...]
    """Keys given again, with the line of the repetition; the last value counts in `data`."""


class NotYamlError(Exception):
    """The text is not YAML."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read_yaml(text: str) -> YamlText:
    """Parse one YAML document.

    Raises:
        NotYamlError: the text is not YAML; says on which line.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = _Constructor
    reader.allow_duplicate_keys = True
    try:
        root = reader.compose(text)
        lines, duplicates = _positions(root)
        data = reader.constructor.construct_document(root) if root else None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYamlError(mark.line + 1 if mark else 1, str(error.problem or error.context)) from error
    except YAMLError as error:
        raise NotYamlError(1, str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise NotYamlError(1, "it nests too deep") from error
    return YamlText(data, lines, duplicates)


class _Constructor(SafeConstructor):
    """Says on which line a value stands that its type cannot hold, such as the date 2024-02-30."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError) as error:
            raise ConstructorError(None, None, f"a value that cannot be read ({error})", node.start_mark) from error


_PLAIN = re.compile(r"(?!(?:null|true|false|yes|no|on|off|y|n)$)[a-z_][a-z0-9_-]*(?:[/:.][a-z0-9_-]+)*", re.IGNORECASE)
"""Text that every YAML reader takes for a string as it stands."""


class _Representer(SafeRepresenter):
    """Quotes every text that is not a plain word: ruamel.yaml's own choice does not always read back."""


def _represent_text(representer: SafeRepresenter, text: str) -> ScalarNode:
    style = None if _PLAIN.fullmatch(text) else '"'
    node: ScalarNode = representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    return node


_Representer.add_representer(str, _represent_text)


def write_yaml(data: Any) -> str:
    """Return plain data as a YAML document, mappings in their own order, that `read_yaml` gives back unchanged."""
    writer = YAML(typ="safe", pure=True)
    writer.Representer = _Representer
    writer.default_flow_style = False
    writer.allow_unicode = False  # some line breaks of Unicode are written bare otherwise, and read back as spaces
    writer.width = sys.maxsize
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = StringIO()
    writer.dump(data, text)
    return text.getvalue()


def _positions(root: Node | None) -> tuple[dict[Path, int], tuple[tuple[Path, int], ...]]:
    """Walk the node tree breadth first; an anchor's content is listed under each place that uses it."""
    lines: dict[Path, int] = {(): 1}
    duplicates: list[tuple[Path, int]] = []
    queue: deque[tuple[Path, Node | None]] = deque([((), root)])
    while queue:
        path, node = queue.popleft()
        for part, marked, child in _children(node):
            place, line = (*path, part), marked.start_mark.line + 1
            if len(place) > MAX_DEPTH or len(lines) > MAX_PLACES:
                raise NotYamlError(line, "it nests too deep, or an anchor holds itself")
            if place in lines:
                duplicates.append((place, line))
            lines[place] = line
            queue.append((place, child))
    return lines, tuple(duplicates)


def _children(node: Node | None) -> list[tuple[str | int, Node, Node]]:
    """Return part of the path, node that carries the line, and value node of each child."""
    if isinstance(node, MappingNode):
        return [(str(key.value), key, value) for key, value in node.value if isinstance(key, ScalarNode)]
    if isinstance(node, SequenceNode):
        return [(index, item, item) for index, item in enumerate(node.value)]
    return []
