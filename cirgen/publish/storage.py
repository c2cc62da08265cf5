"""A finished dataset on object storage: its files beside each other under one url, the manifest last.

An object appears as a whole or not at all, and a folder of them does not: while files are sent, the manifest is that
of what was there before. Who reads it last and finds every hash in it has the whole of one version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cirgen.errors import UserError
from cirgen.object_storage import ObjectFolder
from cirgen.progress import Progress
from cirgen.publish.manifest import MANIFEST_NAME

MANIFEST_IS_NO_DATASET = "is no manifest of a dataset that cirgen wrote; name an empty folder, or that of a dataset"


@dataclass(frozen=True)
class Sent:
    """What came of sending a dataset."""

    url: str
    sent_files: int
    sent_bytes: int
    same_files: int
    """That were there already, by the manifest and their sizes."""
    removed_files: int
    """Of the dataset that was there before."""

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def send(folder: Path, url: str, progress: Progress) -> Sent:
    """Send a dataset folder; what another try sent, or the last version shares, is not sent again.

    Raises:
        UserError: the storage cannot be reached or written, or something else lies there.
    """
    store = ObjectFolder(url)
    files: Mapping[str, str] = json.loads((folder / MANIFEST_NAME).read_bytes())["files"]
    before, there = _before(store), store.sizes()
    if there and not before:
        raise UserError(f"{url} holds objects, and none of them {MANIFEST_IS_NO_DATASET}.")
    same = [name for name, content in files.items() if before.get(name) == content and _is_there(folder, name, there)]
    differing = [name for name in files if name not in set(same)]
    sizes = {name: (folder / name).stat().st_size for name in (*differing, MANIFEST_NAME)}
    with progress.step(f"Send to {url}", len(sizes)) as step:
        for name in sizes:  # the manifest last
            store.put(folder / name, name)
            step.advance()
    old = [name for name in before if name not in files and name in there]
    for name in old:
        store.remove(name)
    return Sent(url, len(sizes), sum(sizes.values()), len(same), len(old))


def _is_there(folder: Path, name: str, there: Mapping[str, int]) -> bool:
    return there.get(name) == (folder / name).stat().st_size


def _before(store: ObjectFolder) -> Mapping[str, str]:
    """Return the files of the dataset that is there, with their hashes; none where there is none."""
    data = store.read(MANIFEST_NAME)
    if data is None:
        return {}
    try:
        files = json.loads(data)["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{store.url}/{MANIFEST_NAME} {MANIFEST_IS_NO_DATASET}.") from error
    return {str(name): str(content) for name, content in files.items()}
