"""Where prompts, recipes and the card template lie, in a wheel and in a checkout alike."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cirgen.errors import UserError

PACKAGE = Path(__file__).resolve().parent
SHIPPED_PREFIX = "cirgen:"
"""A path or model name that starts with this names something that ships with the package, e.g. `cirgen:mllm`."""

_SHIPPED = {
    "images": PACKAGE / "world" / "images",
    "mllm": PACKAGE / "world" / "models" / "mllm",
    "judge-mllm": PACKAGE / "world" / "models" / "judge-mllm",
    "filter-encoder": PACKAGE / "world" / "models" / "filter-encoder",
    "judge-encoder": PACKAGE / "world" / "models" / "judge-encoder",
}
_FURNITURE = {
    "furniture": PACKAGE / "world" / "furniture" / "corpus" / "images",
    **{
        f"furniture-{name}": PACKAGE / "world" / "furniture" / "models" / name
        for name in ("mllm", "filter-encoder", "judge-encoder")
    },
}
"""What comes with a checkout alone: a wheel of a few megabytes goes without the second world."""


_CHECKOUT = {"presets": Path("benchmark") / "presets"}
"""Where a checkout keeps what is not in its root."""


def data_folder(kind: str) -> Path:
    """Return the folder of prompts, recipes, cards or presets: package data in a wheel, else the checkout's."""
    packaged = PACKAGE / "_data" / kind
    if packaged.is_dir():
        return packaged
    checkout = PACKAGE.parent / _CHECKOUT.get(kind, kind)
    if checkout.is_dir():
        return checkout
    raise UserError(f"The folder of {kind} is missing from this installation; reinstall with `pip install cirgen`.")


def cache_folder(kind: str) -> Path:
    """Return the folder on this machine for what can be made again; `CIRGEN_CACHE` puts it elsewhere."""
    root = os.environ.get("CIRGEN_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "cirgen"
    return Path(root).expanduser() / kind


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file: reading a pipe or a device might never end.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: the path could name no file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"'{path}' is no regular file")
    return path.read_bytes()


def _local(name: str) -> Path:
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:  # too long, closed to this user, or the home of nobody
        raise UserError(f"The path '{name}' cannot be used ({error}); correct it.") from error
    return path


def local_path(name: str) -> Path:
    """Turn a path of a recipe into a local path; `cirgen:NAME` is what ships with the package.

    Raises:
        UserError: nothing of that name ships, or not with this installation, or the operating system refuses the name;
            a file that is missing is not refused.
    """
    if not name.startswith(SHIPPED_PREFIX):
        return _local(name)
    shipped = name.removeprefix(SHIPPED_PREFIX)
    if shipped in _FURNITURE:
        return _of_checkout(name, _FURNITURE[shipped])
    if shipped not in _SHIPPED:
        there = ", ".join((*_SHIPPED, *_FURNITURE))
        raise UserError(f"Nothing called '{name}' ships with cirgen; choose one of {there}.")
    return _SHIPPED[shipped]


def _of_checkout(name: str, folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(f"'{name}' comes with cirgen's repository, not with its wheel: clone it, and pip install -e .")
    return folder
