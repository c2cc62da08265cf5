"""The versions of a published corpus: what changed from one to the next, told from their manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

UNNAMED = "no tag"
HASH_DIGITS = 12  # of a hash that is shown


class Version(NamedTuple):
    """One version."""

    tag: str
    """Empty where it was pushed without one."""
    date: str
    """When it was pushed, YYYY-MM-DD."""
    changes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return {"tag": self.tag, "date": self.date, "changes": list(self.changes)}


Manifest = Mapping[str, Any]


def versions_of(manifest: Manifest | None) -> list[Version]:
    """Return the versions that a manifest lists, newest first."""
    return [
        Version(str(one["tag"]), str(one["date"]), tuple(map(str, one["changes"])))
        for one in (manifest or {}).get("versions", ())
    ]


def next_versions(local: Manifest, published: Manifest | None, tag: str, today: str) -> list[Version]:
    """Return the versions that a push leads to, newest first.

    The same content under the same tag, or under none, is no new version; a tag names the last push that had none.

    Args:
        local: manifest of what is pushed.
        published: manifest of what the repository has; None where it has nothing yet.
        tag: of this push, or empty.
        today: YYYY-MM-DD.
    """
    known = versions_of(published or local)
    if published is None or not known:
        return known if known and known[0].tag == tag else [Version(tag, today, (_first(local),)), *known]
    last = known[0]
    if _content(local) != _content(published):
        return [Version(tag, today, tuple(changes(published, local))), *known]
    if not tag or last.tag == tag:
        return known
    if not last.tag:
        return [last._replace(tag=tag), *known[1:]]
    return [Version(tag, today, (f"The same files as {last.tag}.",)), *known]


def _content(manifest: Manifest) -> dict[str, str]:
    """Return the hashes of what a corpus holds, less the card, which a push writes."""
    return {path: sha256 for path, sha256 in manifest["files"].items() if path != "README.md"}


def _first(manifest: Manifest) -> str:
    return f"First version: {', '.join(_counted(manifest))}."


def _counted(manifest: Manifest) -> Iterator[str]:
    totals: dict[str, int] = {}
    for name, rows in manifest.get("rows", {}).items():
        config = name.partition("/")[0]
        totals[config] = totals.get(config, 0) + int(rows)
    yield from (f"{rows:,} {config}" for config, rows in totals.items() if config != "preview")


def changes(before: Manifest, after: Manifest) -> Iterator[str]:
    """Yield what differs between two versions, a sentence each."""
    found = [*_rows(before, after), *_prompts(before, after), *_models(before, after), *_recipe(before, after)]
    if not found:
        same = {path for path, sha256 in _content(after).items() if before["files"].get(path) == sha256}
        other = [path for path in _content(after) if path not in same]
        found = [f"Other bytes of {', '.join(other) or 'files that are gone'}; rows, prompts and recipe as before."]
    yield from found


def _rows(before: Manifest, after: Manifest) -> Iterator[str]:
    old, new = before.get("rows", {}), after.get("rows", {})
    for name in dict.fromkeys([*new, *old]):
        if old.get(name, 0) != new.get(name, 0):
            yield f"`{name}`: {new.get(name, 0):,} rows, {old.get(name, 0):,} before."


def _prompts(before: Manifest, after: Manifest) -> Iterator[str]:
    old, new = before.get("prompts", {}), after.get("prompts", {})
    if added := sorted(name for name in new if old.get(name) != new[name]):
        yield f"New prompts: {', '.join(f'`{name}`' for name in added)}."
    if gone := sorted(set(old) - set(new)):
        yield f"Prompts no longer used: {', '.join(f'`{name}`' for name in gone)}."


def _models(before: Manifest, after: Manifest) -> Iterator[str]:
    old, new = ({one["role"]: one for one in manifest.get("models", ())} for manifest in (before, after))
    for role in dict.fromkeys([*new, *old]):
        if old.get(role, {}).get("content") != new.get(role, {}).get("content"):
            yield f"Another {role}: {_model(new.get(role))}, {_model(old.get(role))} before."


def _model(record: Mapping[str, str] | None) -> str:
    return f"`{record['model']}` ({record['content'][:HASH_DIGITS]})" if record else "none"


def _recipe(before: Manifest, after: Manifest) -> Iterator[str]:
    old, new = (str(manifest.get("recipe_hash", "")) for manifest in (before, after))
    if old != new:
        yield f"Recipe `{new[:HASH_DIGITS]}`, `{old[:HASH_DIGITS]}` before."


def rendered(versions: list[Version]) -> str:
    """Return the versions as a Markdown list, each with its changes."""
    lines: list[str] = []
    for version in versions:
        lines.append(f"- **{version.tag or UNNAMED}**, {version.date}")
        lines += [f"  - {change}" for change in version.changes]
    return "".join(f"{line}\n" for line in lines)
