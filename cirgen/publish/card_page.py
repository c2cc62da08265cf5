"""A dataset card as an HTML page that needs no other file: what people will see on the Hub, before it is there."""

from __future__ import annotations

import base64
import mimetypes
import re
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from cirgen.errors import UserError
from cirgen.report.page import render

TEMPLATE = Path(__file__).with_name("card.html.j2")
CARD_NAME = "README.md"
_PICTURE = re.compile(r'(<img src=")([^":]+)(")')


class Checked(NamedTuple):
    """What the clients read of a card's front matter."""

    configs: int
    splits: int


def check_card(folder: Path) -> Checked:
    """Read the front matter of a card with the Hub's client and with `datasets`.

    Raises:
        UserError: one of them does not take it.
    """
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    try:
        data = DatasetCard(_text(folder)).data
        infos = DatasetInfosDict.from_dataset_card_data(data)
        configs = MetadataConfigs.from_dataset_card_data(data)
        splits = sum(len(info.splits or {}) for info in infos.values())
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UserError(f"The front matter of {folder / CARD_NAME} is wrong ({error}); export it again.") from error
    if set(infos) != set(configs):
        raise UserError(f"The front matter of {folder / CARD_NAME} describes other configs than it lists.")
    return Checked(len(infos), splits)


def card_page(folder: Path) -> str:
    """Return the card of a dataset folder as HTML, with its pictures inside.

    Scripts in it do not run: a card may be somebody else's.
    """
    from markdown_it import MarkdownIt

    text = _text(folder)
    front, body = re.match(r"(?:---\n(.*?)\n---\n)?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body)
    html = _PICTURE.sub(lambda match: f"{match[1]}{_uri(folder, match[2])}{match[3]}", html)
    return render(TEMPLATE, title=_title(body) or folder.name, front=front or "", body=Markup(html))


def _text(folder: Path) -> str:
    path = folder / CARD_NAME
    try:
        return path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"There is no card {path} ({error}); export the dataset first.") from error


def _title(body: str) -> str:
    found = re.search(r"^# (.+)$", body, re.MULTILINE)
    return found[1] if found else ""


def _uri(folder: Path, name: str) -> str:
    """Return a picture of the folder as a data URI; any other address stays, and is not loaded."""
    path = (folder / name).resolve()
    if folder.resolve() not in path.parents or not path.is_file():
        return name
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
