"""Files on object storage by their urls, through fsspec: `s3://bucket/key` and its like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from cirgen.errors import UserError, one_line

INSTALL = "pip install 'cirgen[s3]'"
READ_AHEAD = 4 << 20
"""Bytes that are fetched at once where a file is read from its beginning to its end."""


class Listed(NamedTuple):
    """An object as a listing tells it."""

    url: str
    name: str
    """Below the folder that was listed."""
    stamp: str
    """Stands for its content: size, and the store's own tag or time."""


def is_url(name: str) -> bool:
    """Return whether a name of a recipe is a url, as opposed to a local path."""
    return "://" in name


def listed(url: str) -> list[Listed]:
    """Return the objects below a url, sorted by name, or the object itself.

    Raises:
        UserError: there is nothing, or it cannot be looked at.
    """
    with _told(url):
        files, root = _file_system(url)
        files.invalidate_cache(root)
        found: Mapping[str, Mapping[str, Any]] = files.find(root, detail=True)
    if not found:
        raise UserError(f"Nothing lies under {url}; correct images.path, or put the images there.")
    prefix = root.rstrip("/")
    return sorted(
        Listed(files.unstrip_protocol(path), _below(prefix, path), stamp(info)) for path, info in found.items()
    )


def _below(prefix: str, path: str) -> str:
    name = path.removeprefix(prefix).lstrip("/")
    return name or path.rpartition("/")[2]


class Objects:
    """Looks objects up by their urls: a folder is listed once, when the first of it is asked for."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, str]] = {}

    def stamp(self, url: str) -> str:
        """Return what stands for the content of an object, `missing` where there is none.

        Raises:
            UserError: its folder cannot be looked at.
        """
        folder = url.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = _stamps(folder)
        return self._folders[folder].get(url, "missing")


def _stamps(folder: str) -> dict[str, str]:
    with _told(folder):
        files, root = _file_system(folder)
        files.invalidate_cache(root)
        try:
            return {files.unstrip_protocol(info["name"]): stamp(info) for info in files.ls(root, detail=True)}
        except FileNotFoundError:
            return {}


def stamp(info: Mapping[str, Any]) -> str:
    """Return what stands for the content of an object: its size, and its tag, else its time."""
    known = next((info[name] for name in ("ETag", "etag", "md5Hash", "LastModified", "mtime") if info.get(name)), "")
    return f"{info.get('size', 0)}-{str(known).strip(chr(34))}"


def read_range(url: str, offset: int = 0, length: int | None = None) -> bytes:
    """Return bytes of an object, to its end where no length is given.

    Raises:
        OSError: they cannot be had.
    """
    try:
        files, path = _file_system(url)
        return bytes(files.cat_file(path, start=offset, end=None if length is None else offset + length))
    except Exception as error:  # every file system behind fsspec has errors of its own
        raise OSError(f"{url} cannot be read: {one_line(error)}") from error


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """Open an object to be read from its beginning to its end.

    Raises:
        UserError: it cannot be opened.
    """
    with _told(url):
        files, path = _file_system(url)
        file = files.open(path, "rb", block_size=READ_AHEAD, cache_type="readahead")
    with file:
        yield cast(BinaryIO, file)


class ObjectFolder:
    """Objects under one url, to be written.

    Every method raises UserError where the storage cannot be reached, or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with _told(url):
            self._files, self._root = _file_system(self.url)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every object, by its name under the url."""
        with _told(self.url):
            self._files.invalidate_cache(self._root)
            found = self._files.find(self._root, detail=True)
            return {_below(self._root.rstrip("/"), path): int(info["size"]) for path, info in found.items()}

    def read(self, name: str) -> bytes | None:
        """Return an object, None where there is none."""
        with _told(f"{self.url}/{name}"):
            try:
                return bytes(self._files.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

    def put(self, file: Path, name: str) -> None:
        """Write an object: it appears as a whole, or not at all."""
        with _told(f"{self.url}/{name}"):
            self._files.put_file(str(file), f"{self._root}/{name}")

    def remove(self, name: str) -> None:
        """Remove an object."""
        with _told(f"{self.url}/{name}"):
            self._files.rm_file(f"{self._root}/{name}")


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    files, path = fsspec.core.url_to_fs(url)
    return files, str(path)


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{url} cannot be read without {_package(error)}: `{_install(url)}`.") from error
    except Exception as error:  # every file system behind fsspec has errors of its own
        raise UserError(
            f"{url} cannot be reached ({one_line(error)}); correct the address, or set credentials and "
            "endpoint as the library of that storage reads them (for s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_ENDPOINT_URL)."
        ) from error


def _package(error: ImportError) -> str:
    return error.name or str(error)


def _install(url: str) -> str:
    kind = url.partition("://")[0]
    return INSTALL if kind == "s3" else {"gs": "pip install gcsfs", "az": "pip install adlfs"}.get(kind, INSTALL)
