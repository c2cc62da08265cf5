"""A pushed corpus read as a stranger would: by `datasets`, in a process, a folder and caches of its own.

`python -m cirgen.publish.hub.reader REPO REVISION whole|streamed` takes `{config: [split, ...]}` on standard input and
prints a line of JSON a split: its rows, counted, and that its first and last row decode. `whole` downloads everything
and opens it without and with the name of the config; `streamed`, for corpora too large for that, counts in the footers
of the Parquet files and decodes the first row.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cirgen.errors import UserError

WHOLE_BYTES = 2 * 1024**3
"""Corpora of fewer bytes are downloaded and opened as a whole."""
ROOM = 3
"""Times the bytes of a download that its check needs on disk: the files, what `datasets` makes of them, and some."""
_OWN = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_XET_CACHE", "HF_ASSETS_CACHE")
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_FULL = ("No space left", "File too large", "Disk quota")
WAITS_SECONDS = (1.0, 4.0)


def read_back(
    repo: str,
    commit: str,
    rows: Mapping[str, Mapping[str, int]],
    download_bytes: int,
    counted: Callable[[], None],
) -> bool:
    """Load every split of a commit in fresh caches and compare its rows; returns whether all was downloaded.

    Args:
        repo: dataset repository.
        commit: of it.
        rows: config to split to the rows that it must have.
        download_bytes: of all configs.
        counted: called after each split.

    Raises:
        UserError: a split does not load, or has another number of rows; or the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="cirgen-push-") as folder:
        whole = download_bytes < min(WHOLE_BYTES, shutil.disk_usage(folder).free / ROOM)
        found: dict[tuple[str, str], int] = {}
        for line in _child(repo, commit, rows, "whole" if whole else "streamed", folder):
            if "error" in line:
                raise UserError(_complaint(repo, commit, line, folder))
            found[line["config"], line["split"]] = line["rows"]
            counted()
    for config, splits in rows.items():
        for split, number in splits.items():
            if found.get((config, split)) != number:
                raise UserError(
                    f"'{repo}' at {commit[:12]} has {found.get((config, split), 0):,} rows in {config}/{split}, and "
                    f"the card says {number:,}: other files match its pattern; remove them on the Hub and push again."
                )
    return whole


def _complaint(repo: str, commit: str, line: Mapping[str, str], folder: str) -> str:
    if any(said in line["error"] for said in _FULL):
        return (
            f"The disk is full under {Path(folder).parent}, where the pushed dataset was loaded for a check; free "
            "some space there or point TMPDIR elsewhere, and give the same command again: what was uploaded is kept."
        )
    return (
        f"'{repo}' at {commit[:12]} does not load ({line['where']}: {line['error']}), so it was neither tagged nor "
        "shown; export it again and push again."
    )


def _child(repo: str, commit: str, rows: Mapping[str, Any], mode: str, folder: str) -> Iterator[dict[str, Any]]:
    """Run this file in a process of its own and yield what it prints."""
    command = [sys.executable, "-W", "ignore", "-m", "cirgen.publish.hub.reader", repo, commit, mode]
    with subprocess.Popen(
        command,
        cwd=folder,  # where no folder can be taken for the repository
        env=_environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdin is not None and child.stdout is not None and child.stderr is not None
            child.stdin.write(json.dumps({config: list(splits) for config, splits in rows.items()}))
            child.stdin.close()
            for line in child.stdout:
                yield json.loads(line)
            told = child.stderr.read()
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        last = (told.strip().splitlines() or [f"it ended with {child.returncode}"])[-1]
        yield {"error": last[:200], "where": "reader"}


def _environment(folder: str) -> dict[str, str]:
    from huggingface_hub import constants

    kept = {name: value for name, value in os.environ.items() if name not in (*_OWN, *_OFFLINE)}
    package = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
    own = {"HF_HOME": folder, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": path}
    return {**kept, **own, "HF_TOKEN_PATH": constants.HF_TOKEN_PATH}  # the token stays where it is


def _main(repo: str, commit: str, mode: str) -> None:
    import datasets

    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    wanted = json.load(sys.stdin)
    read = _whole if mode == "whole" else _streamed
    for config, splits in wanted.items():
        for split in splits:
            try:
                rows = _again(lambda: read(repo, commit, config, split))  # noqa: B023  (called at once)
                print(json.dumps({"config": config, "split": split, "rows": rows}), flush=True)
            except Exception as error:
                cause = error.__cause__ or error
                said = " ".join(f"{type(cause).__name__}: {cause}".split())[:200]
                print(json.dumps({"error": said, "where": f"{config}/{split}"}), flush=True)
                return
    try:
        datasets.get_dataset_split_names(repo, revision=commit)  # without the name of a config, as the card says
    except Exception as error:
        print(json.dumps({"error": " ".join(str(error).split())[:200], "where": "no config named"}), flush=True)


def _again(load: Callable[[], int]) -> int:
    """Load, again where it fails: `datasets` gives up on some faults of the line at once."""
    for wait_seconds in WAITS_SECONDS:
        try:
            return load()
        except Exception as error:
            if any(said in str(error) for said in _FULL):
                raise
            time.sleep(wait_seconds)
    return load()


def _whole(repo: str, commit: str, config: str, split: str) -> int:
    from datasets import load_dataset

    table = load_dataset(repo, config, split=split, revision=commit)
    for place in (0, len(table) - 1):
        _decoded(table[place])
    return len(table)


def _streamed(repo: str, commit: str, config: str, split: str) -> int:
    import pyarrow.parquet as pq
    from datasets import load_dataset, load_dataset_builder
    from huggingface_hub import HfFileSystem

    _decoded(next(iter(load_dataset(repo, config, split=split, revision=commit, streaming=True))))
    files = load_dataset_builder(repo, config, revision=commit).config.data_files[split]
    hub = HfFileSystem()
    total = 0
    for name in files:
        with hub.open(str(name), "rb") as file:
            total += int(pq.ParquetFile(file).metadata.num_rows)
    return total


def _decoded(row: Mapping[str, Any]) -> None:
    for value in row.values():
        if hasattr(value, "load"):
            value.load()


if __name__ == "__main__":
    _main(*sys.argv[1:4])
