"""Where `datasets` keeps what it reads, so that it never reads what was there before."""

from __future__ import annotations

from pathlib import Path

from cirgen.keys import digest


def cache_of(name: str) -> str | None:
    """Return where `datasets` may keep what it reads of a dataset; None is its own place.

    Its own place for a folder goes by the folder's name and its card alone: it would read what another folder of that
    name held, or this one before its files were changed.
    """
    from datasets import config

    folder = Path(name)
    if not folder.is_dir():
        return None
    files = [(str(path.relative_to(folder)), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    told = [(path, of_file.st_size, of_file.st_mtime_ns) for path, of_file in files]
    return str(Path(config.HF_DATASETS_CACHE) / f"cirgen-{digest('folder', str(folder.resolve()), told)[:20]}")
