"""Where a model's files are, and the hash of everything in them that can change an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cirgen.errors import UserError, one_line
from cirgen.keys import digest
from cirgen.resources import SHIPPED_PREFIX, local_path

HUB_TIMEOUT_SECONDS = 10
WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf"})
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
CONTENT_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "preprocessor_config.json",
    "processor_config.json",
    "chat_template*",
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model*.bin",
)
"""Files that can change an answer; a README beside them cannot."""
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model")
_NEEDED = {PROCESSOR_FILES: ("processor", "AutoProcessor"), TOKENIZER_FILES: ("tokenizer", "AutoTokenizer")}


@dataclass(frozen=True)
class ModelFiles:
    """A model on this machine."""

    name: str
    """As the recipe says."""
    folder: Path
    revision: str
    """Hub commit; empty for a local folder."""
    content: str
    """Hash of the files, or the Hub repository at its resolved commit."""


def find_model(name: str, revision: str | None = None, needs: tuple[str, ...] = PROCESSOR_FILES) -> ModelFiles:
    """Find a model by local folder, `cirgen:NAME` or hub id, fetching it from the Hub where it is not cached.

    Args:
        name: as a recipe has it.
        revision: on the Hub.
        needs: files of which one must be there: `PROCESSOR_FILES` or `TOKENIZER_FILES`.

    Raises:
        UserError: no such folder, no such file in it, or the Hub cannot be reached.
    """
    local = local_model_folder(name, needs)
    if local is not None:
        return ModelFiles(name, local, "", content_hash(local))
    folder = _fetch(name, revision)
    commit = folder.name
    return ModelFiles(name, _checked(folder, needs), commit, digest("hub", name, commit))


def local_model_folder(name: str, needs: tuple[str, ...] = PROCESSOR_FILES) -> Path | None:
    """Return the folder that a model name stands for on this machine, None for a hub id; reads no weights.

    Raises:
        UserError: no such folder, or none of the files in it of which it needs one.
    """
    path = local_path(name)
    if not path.is_dir() and not name.startswith((SHIPPED_PREFIX, "/", ".", "~")):
        return None
    if not path.is_dir():
        raise UserError(f"There is no model folder at {path}; correct the path, or name a hub id.")
    return _checked(path, needs)


def _checked(folder: Path, needs: tuple[str, ...]) -> Path:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no config.json; name a folder that a transformers model was saved to.")
    if not any((folder / name).is_file() for name in needs):
        part, loader = _NEEDED[needs]
        raise UserError(f"{folder} has a model but no {part}; save its {loader} there too.")
    _check_weights(folder)
    return folder


def _check_weights(folder: Path) -> None:
    weights = [path for path in folder.iterdir() if path.suffix in WEIGHTS and path.is_file()]
    if not weights:
        raise UserError(f"{folder} describes a model but holds no weights; copy its *.safetensors there too.")
    for path in weights:
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise UserError(f"{path} only names its weights, as Git LFS does; run `git lfs pull` there.")


def opened(loader: Any, folder: Path, trust_remote_code: bool = False, **options: Any) -> Any:
    """Return `loader.from_pretrained(folder)` without running code that the model brings.

    transformers would ask whoever sits at the terminal; who names a model in a recipe did not name code.

    Args:
        loader: a class of transformers, such as `AutoProcessor`.
        folder: of the model.
        trust_remote_code: run its code after all.
        options: of `from_pretrained`.

    Raises:
        UserError: it cannot be opened without its code, or its files are damaged.
    """
    from safetensors import SafetensorError

    try:
        with _without_bars():
            return loader.from_pretrained(folder, trust_remote_code=trust_remote_code, **options)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"The model in {folder} cannot be read ({one_line(error)}); copy its files there again."
        ) from error
    except ValueError as error:
        if trust_remote_code or "trust_remote_code" not in str(error):
            raise
        raise UserError(
            f"The model in {folder} needs code that it brings, which cirgen does not run; name a model that "
            "transformers knows, or serve this one and take backend openai."
        ) from error


@contextmanager
def _without_bars() -> Iterator[None]:
    """Switch off transformers' bars, which tell of seconds between the lines of a run."""
    from huggingface_hub.utils.tqdm import enable_progress_bars
    from transformers.utils import logging as transformers_logging

    if not transformers_logging.is_progress_bar_enabled():
        yield
        return
    transformers_logging.disable_progress_bar()
    enable_progress_bars()  # the line above takes those of downloads along, which a download of gigabytes needs
    try:
        yield
    finally:
        transformers_logging.enable_progress_bar()


def content_hash(folder: Path) -> str:
    """Hash the files of a local model; the path and the time are not a part of it."""
    files = (path for path in folder.iterdir() if path.is_file())
    names = sorted(p.name for p in files if any(fnmatch(p.name, pattern) for pattern in CONTENT_FILES))
    return digest("files", [(name, _file_hash(folder / name)) for name in names])


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(CONTENT_FILES), etag_timeout=HUB_TIMEOUT_SECONDS
            )
        )
    except HFValidationError as error:
        raise UserError(f"'{name}' is neither a local folder nor a hub id; correct the model field.") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        if isinstance(error, HfHubHTTPError):
            raise UserError(
                f"The Hub refuses model '{name}' ({error}); check its id, revision and your token."
            ) from error
        raise UserError(
            f"Model '{name}' is not cached here and the Hub cannot be reached; "
            "name a local folder in the recipe, for example `cirgen:mllm`, or connect to the network."
        ) from error
