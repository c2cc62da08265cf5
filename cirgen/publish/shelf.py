"""The page that puts the corpora of a folder side by side: `cards/README.md`.

Every figure is read from the corpora themselves: `manifest.json`, the front matter of the card, and the records under
`measured/`. What a corpus was not measured for is a dash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cirgen.audit.figures import Audit
from cirgen.audit.words import NOTHING, shown
from cirgen.errors import UserError
from cirgen.publish.card import cell
from cirgen.publish.card_page import CARD_NAME
from cirgen.publish.manifest import MANIFEST_NAME
from cirgen.yaml_text import NotYamlError, read_yaml

MEASURED = "measured"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Corpus:
    """A dataset repository folder."""

    folder: Path
    manifest: Mapping[str, Any]
    front: Mapping[str, Any]
    """Front matter of the card."""
    measured: Mapping[str, Any]
    """Name of a record to what it holds."""

    @property
    def name(self) -> str:
        """Return what the corpus is called."""
        return self.folder.name

    @property
    def bytes(self) -> int:
        """Return what its files take."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    @property
    def audit(self) -> Audit | None:
        """Return its audit, None where there is none."""
        return Audit.of_record(self.measured["audit"]) if "audit" in self.measured else None

    def rows(self, config: str) -> list[int]:
        """Return the rows of each split of a config."""
        return [int(self.manifest["rows"].get(f"{config}/{split}", 0)) for split in SPLITS]


def corpora(folder: Path) -> list[Corpus]:
    """Return the corpora of a folder, by name.

    Raises:
        UserError: there is none, or a file of one cannot be read.
    """
    found = [_read(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST_NAME}"))]
    if not found:
        raise UserError(f"There is no corpus in {folder}; make one: make cards.")
    return found


def _read(folder: Path) -> Corpus:
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf8"))
        front = read_yaml((folder / CARD_NAME).read_text(encoding="utf8").split("---\n")[1]).data
        records = {
            path.stem: json.loads(path.read_text(encoding="utf8")) for path in folder.glob(f"{MEASURED}/*.json")
        }
    except (OSError, ValueError, LookupError, NotYamlError) as error:
        raise UserError(f"{folder} is no corpus that can be read ({error!r}); make it again.") from error
    return Corpus(folder, manifest, front, records)


def shelf(found: Sequence[Corpus]) -> str:
    """Return the page as Markdown."""
    head = [f"[{one.name}]({one.name}/{CARD_NAME})" for one in found]
    lines = [
        "# Published corpora",
        "",
        "Each folder is a dataset repository, made from a run and never by hand: `make cards` makes all of it anew, "
        "this page too. The card of each says how every row was made, and what is bad about them.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        *(f'{one.name.replace("-", "_")} = load_dataset("cards/{one.name}", split="train")' for one in found),
        "```",
        "",
        f"| | {' | '.join(head)} | from |",
        f"|---|{'---:|' * len(found)}---|",
        *(_line(label, figure, found, origin) for label, figure, origin in _LINES),
        "",
        *_WORDS,
        "",
        *(line for one in found for line in _verdict(one)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _line(label: str, figure: Callable[[Corpus], str], found: Sequence[Corpus], origin: str) -> str:
    return f"| {label} | {' | '.join(cell(figure(one)) for one in found)} | {origin} |"


def _verdict(one: Corpus) -> list[str]:
    record = one.measured.get("bench")
    if record is None:
        return [f"**{one.name}** was not benched.", ""]
    preset = record.get("preset", {}).get("name")
    command = f"cirgen bench cards/{one.name}" + (f" --preset {preset}" if preset else "")
    return [f"**{one.name}**, `{command}`: {record['verdict']}", ""]


def _numbers(config: str) -> Callable[[Corpus], str]:
    def figure(one: Corpus) -> str:
        rows = one.rows(config)
        return " / ".join(f"{number:,}" for number in rows) if any(rows) else NOTHING

    return figure


def _accepted(one: Corpus) -> str:
    counts = one.manifest["counts"]
    return f"{counts['accepted']:,} of {counts['accepted'] + counts['rejected']:,}"


def _between_splits(one: Corpus) -> str:
    left_out = one.manifest.get("corpus", {}).get("left_out")
    return NOTHING if left_out is None else f"{left_out['accepted']:,}"


def _truth(part: str, measure: str) -> Callable[[Corpus], str]:
    def figure(one: Corpus) -> str:
        found = one.measured.get("truth", {}).get("slices", {}).get(part)
        if found is None:
            return NOTHING
        value = found[measure]
        return f"{100 * value['share']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"

    return figure


def _audited(key: str) -> Callable[[Corpus], str]:
    return lambda one: shown(one.audit.find(key)) if one.audit else NOTHING


def _recall(config: str, method: str) -> Callable[[Corpus], str]:
    def figure(one: Corpus) -> str:
        wanted = {"config": config, "split": "test", "wording": "text", "slice": "all", "method": method}
        for row in one.measured.get("baselines", ()):
            if wanted.items() <= row.items():
                value = row["recall@10"]
                return f"{100 * value['share']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"
        return NOTHING

    return figure


_WORDS = (
    "- **Mined** triplets are what `cirgen run` makes of any pictures: near pairs, texts by an MLLM, filters. "
    "For **text-first** queries a change is chosen first, and then every picture that answers it.",
    "- **Good**, by the exact attributes: the text is *correct*, leaves no change out, fits no other picture as well, "
    "and more than ten pictures fit the text alone, and the reference alone.",
    "- **Shortcut rate**, by an encoder, to which look-alikes are not the same: queries of which one half finds the "
    "target among its first ten; so a good triplet may be a shortcut. **Composed** is a search by "
    "both halves, and **composition gap** its R@10 less that of the better half; below zero, one half does better.",
    "- Splits share no picture, so a triplet with pictures of two splits is in none.",
    "- Intervals are 95 %. A dash: not measured, or there is no such thing in that corpus.",
)
"""What the table's words mean."""

_RUN, _AUDIT = "`manifest.json`", "`cirgen audit`"
_TRUTH, _RANKED = "`cirgen world truth`", "`measured/baselines.json`"
_LINES: tuple[tuple[str, Callable[[Corpus], str], str], ...] = (
    ("licence", lambda one: str(one.front.get("license_name", one.front["license"])), "front matter"),
    ("all files", lambda one: f"{one.bytes / 1e6:.1f} MB", "`du -b`"),
    ("pictures", lambda one: f"{sum(one.rows('images')):,}", _RUN),
    ("mined triplets, train / validation / test", _numbers("triplets"), _RUN),
    ("accepted by the filters", _accepted, _RUN),
    ("of these left out, between two splits", _between_splits, _RUN),
    ("text-first queries, train / validation / test", _numbers("text_first"), _RUN),
    ("good, of what the filters accepted", _truth("accepted", "good"), _TRUTH),
    ("good, of all that was written", _truth("all", "good"), _TRUTH),
    ("correct, of what the filters accepted", _truth("accepted", "correct"), _TRUTH),
    ("shortcut rate", _audited("shortcuts.rate"), _AUDIT),
    ("shortcut rate, by the image", _audited("shortcuts.rate_image"), _AUDIT),
    ("shortcut rate, by the text", _audited("shortcuts.rate_text"), _AUDIT),
    ("composition gap", _audited("shortcuts.gap"), _AUDIT),
    ("different texts", _audited("texts.unique_share"), _AUDIT),
    ("texts with the commonest opening", _audited("texts.opening_share"), _AUDIT),
    ("text-first R@10, composed", _recall("text_first", "composed"), _RANKED),
    ("text-first R@10, image only", _recall("text_first", "image_only"), _RANKED),
    ("text-first R@10, text only", _recall("text_first", "text_only"), _RANKED),
    ("mined R@10, composed", _recall("triplets", "composed"), _RANKED),
    ("mined R@10, image only", _recall("triplets", "image_only"), _RANKED),
    ("mined R@10, text only", _recall("triplets", "text_only"), _RANKED),
)
"""Label, figure, and where it comes from."""
