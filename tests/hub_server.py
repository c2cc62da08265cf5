"""A Hub on loopback: what the real clients ask when they push, tag and load a dataset, and faults on demand.

It speaks the protocol of classic LFS uploads (clients run with `HF_HUB_DISABLE_XET=1`) and keeps everything in memory.
Endpoints and shapes as `huggingface_hub` and `datasets` read them. Large files are redirected to another host name,
as the Hub does: clients follow a redirect to the same host on HEAD and then miss its headers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopbackOwnerToken"
READER = "hf_loopbackReaderToken"
USER = "owner"
LFS_SUFFIXES = (".parquet", ".tar", ".bin", ".png", ".jpg")
LFS_BYTES = 1_000_000
"""Files of more bytes are LFS files whatever they are called."""


class Blob(NamedTuple):
    """One file of a tree."""

    oid: str
    size: int
    lfs: str
    """sha256 of a large file, else empty."""


class Request(NamedTuple):
    """One line of the log."""

    method: str
    path: str
    status: int
    sent: int
    """Bytes of the body that came in."""


@dataclass
class Fault:
    """Something that goes wrong: `times` requests that match are answered with `status`, or by `act`."""

    method: str
    path: str
    status: int = 0
    times: int = 1
    skip: int = 0
    """So many matching requests pass first."""
    message: str = "injected"
    reset: bool = False
    """Read half of the body, then cut the line."""
    act: Callable[[], None] | None = None
    """Called before the request is dealt with as ever, unless there is a status."""


@dataclass
class Repo:
    """One dataset repository."""

    private: bool
    trees: dict[str, dict[str, Blob]] = field(default_factory=dict)
    heads: dict[str, list[str]] = field(default_factory=dict)
    """Branch to its commits, oldest first."""
    titles: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit_of(self, revision: str) -> str | None:
        """Return the commit that a branch, tag or commit stands for."""
        if revision in self.heads:
            return self.heads[revision][-1]
        return self.tags.get(revision, revision if revision in self.trees else None)

    def add(self, branch: str, tree: dict[str, Blob], title: str) -> str:
        """Append a commit to a branch."""
        commit = hashlib.sha1(uuid.uuid4().bytes).hexdigest()
        self.trees[commit], self.titles[commit] = tree, title
        self.heads.setdefault(branch, []).append(commit)
        return commit


class HubServer(ThreadingHTTPServer):
    """The server; its state may be read and changed by tests while it runs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.storage = f"http://localhost:{self.server_port}"
        self.tokens = {TOKEN: "write", READER: "read"}
        self.repos: dict[str, Repo] = {}
        self.content: dict[str, bytes] = {}
        self.log: list[Request] = []
        self.faults: list[Fault] = []
        self.visibilities: list[tuple[str, str]] = []
        self.page = 1000
        """Entries of a tree that one answer lists."""
        self.lock = threading.RLock()

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients that are killed cut their lines."""

    def environment(self, home: object, token: str | None = TOKEN) -> dict[str, str]:
        """Return the variables under which a client talks to this Hub and nothing else, with caches of its own."""
        told = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        return told | {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": token or "", "HF_HUB_OFFLINE": "0"}

    def stored(self, repo: str, path: str, revision: str = "main") -> bytes:
        """Return a file of a repository."""
        found = self.repos[repo]
        blob = found.trees[found.commit_of(revision) or ""][path]
        return self.content[blob.lfs or blob.oid]

    def paths(self, repo: str, revision: str = "main") -> list[str]:
        """Return the files of a repository."""
        found = self.repos[repo]
        return sorted(found.trees[found.commit_of(revision) or ""])

    def asked(self, method: str, path: str) -> list[Request]:
        """Return the requests so far whose path matches."""
        return [one for one in self.log if one.method == method and re.search(path, one.path)]

    def keep(self, content: bytes) -> Blob:
        """Store a regular file."""
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        self.content[oid] = content
        return Blob(oid, len(content), "")

    def create(self, repo: str, private: bool = True) -> Repo:
        """Make a repository as the Hub does: with one commit."""
        made = self.repos[repo] = Repo(private)
        made.add("main", {".gitattributes": self.keep(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")}, "initial")
        return made


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Run a Hub until the context is left."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


_ROUTES: list[tuple[str, re.Pattern[str], str]] = []


def _route(method: str, pattern: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        text = pattern.replace("ID", r"(?P<repo>[^/]+/[^/]+)").replace("REV", r"(?P<rev>[^/]+)")
        _ROUTES.append((method, re.compile(f"{text}$"), function.__name__))
        return function

    return register


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer
    body: bytes

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("HEAD")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.status = 0
        fault = self._fault(method, parts.path)
        if fault is not None and fault.reset:
            self._cut(int(self.headers.get("Content-Length") or 0) // 2)
            self.server.log.append(Request(method, parts.path, 0, 0))
            return
        self.body = self._read()
        try:
            if fault is not None and fault.act:
                fault.act()
            if fault is not None and fault.status:
                raise _RefusedError(fault.status, fault.message)
            self._dispatch(method, parts.path)
        except _RefusedError as refused:
            headers = {"X-Error-Message": refused.message, **({"X-Error-Code": refused.code} if refused.code else {})}
            if refused.code == "EntryNotFound":
                headers["X-Repo-Commit"] = self.commit
            self._json({"error": refused.message}, refused.status, headers)
        self.server.log.append(Request(method, parts.path, self.status, len(self.body)))

    def _fault(self, method: str, path: str) -> Fault | None:
        with self.server.lock:
            for fault in self.server.faults:
                if fault.method == method and re.search(fault.path, path) and fault.times:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _cut(self, count: int) -> None:
        self.rfile.read(count)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _read(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _dispatch(self, method: str, path: str) -> None:
        for wanted, pattern, name in _ROUTES:
            match = pattern.match(path)
            if match and wanted in (method, "GET" if method == "HEAD" else method):
                found = match.groupdict()
                getattr(self, name)(**{key: unquote(value or "") for key, value in found.items()})
                return
        raise _RefusedError(404, f"no such endpoint: {method} {path}")

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._bytes(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _bytes(self, content: bytes, status: int, headers: dict[str, str], length: int | None = None) -> None:
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    @property
    def _role(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if token and token not in self.server.tokens:
            raise _RefusedError(401, "Invalid credentials in Authorization header")
        return self.server.tokens.get(token, "")

    def _may_write(self) -> None:
        role = self._role
        if role != "write":
            raise _RefusedError(403 if role else 401, "you need the right to write")

    def _repo(self, repo: str) -> Repo:
        found = self.server.repos.get(repo)
        role = self._role
        if found is None or (found.private and not role):
            raise _RefusedError(404 if role else 401, f"no such repository {repo}", "RepoNotFound")
        return found

    def _tree(self, repo: str, rev: str) -> dict[str, Blob]:
        found = self._repo(repo)
        commit = found.commit_of(rev)
        if commit is None:
            raise _RefusedError(404, f"no such revision {rev}", "RevisionNotFound")
        self.commit = commit
        return found.trees[commit]

    @_route("GET", "/api/whoami-v2")
    def who(self) -> None:
        role = self._role
        if not role:
            raise _RefusedError(401, "no credentials")
        self._json({"type": "user", "name": USER, "orgs": [], "auth": {"accessToken": {"role": role}}})

    @_route("POST", "/api/repos/create")
    def create_repo(self) -> None:
        self._may_write()
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or USER}/{asked['name']}"
        url = {"url": f"{self.server.url}/datasets/{repo}"}
        if repo in self.server.repos:
            self._json({**url, "error": "exists already"}, 409)
            return
        self.server.create(repo, asked.get("visibility") == "private" or bool(asked.get("private")))
        self._json(url)

    @_route("PUT", "/api/datasets/ID/settings")
    def settings(self, repo: str) -> None:
        self._may_write()
        asked = json.loads(self.body)
        private = asked["visibility"] == "private" if "visibility" in asked else bool(asked["private"])
        self._repo(repo).private = private
        self.server.visibilities.append((repo, "private" if private else "public"))
        self._json({})

    @_route("GET", "/api/datasets/ID(?:/revision/REV)?")
    def info(self, repo: str, rev: str) -> None:
        tree, found = self._tree(repo, rev or "main"), self._repo(repo)
        files = [{"rfilename": path} for path in sorted(tree)]
        told = {"id": repo, "sha": self.commit, "private": found.private, "gated": False, "disabled": False}
        self._json({**told, "siblings": files, "tags": [], "downloads": 0, "likes": 0, "cardData": {}})

    @_route("GET", "/api/datasets/ID/refs")
    def refs(self, repo: str) -> None:
        found = self._repo(repo)
        branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c[-1]} for n, c in found.heads.items()]
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in found.tags.items()]
        self._json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})

    @_route("POST", "/api/validate-yaml")
    def validate(self) -> None:
        from ruamel.yaml import YAML, YAMLError

        asked = json.loads(self.body)
        errors = []
        try:
            front = YAML(typ="safe").load(asked["content"].split("---\n")[1])
            if "license" in front and front["license"] == "other" and not front.get("license_name"):
                errors.append({"message": '"license_name" is required'})
        except (YAMLError, IndexError, TypeError) as error:
            errors.append({"message": str(error)})
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    @_route("POST", "/api/datasets/ID/preupload/REV")
    def preupload(self, repo: str, rev: str) -> None:
        self._may_write()
        tree = self._tree(repo, rev)
        self._json({"files": [self._mode(tree, asked) for asked in json.loads(self.body)["files"]]})

    def _mode(self, tree: dict[str, Blob], asked: dict[str, Any]) -> dict[str, Any]:
        there = tree.get(asked["path"])
        large = asked["path"].endswith(LFS_SUFFIXES) or asked["size"] > LFS_BYTES
        oid = {"oid": there.lfs or there.oid} if there else {}
        return {"path": asked["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **oid}

    @_route("POST", "/datasets/ID.git/info/lfs/objects/batch")
    def batch(self, repo: str) -> None:
        self._may_write()
        self._repo(repo)
        objects = []
        for one in json.loads(self.body)["objects"]:
            upload = {"href": f"{self.server.storage}/_lfs/{one['oid']}?Signature=secret"}
            verify = {"href": f"{self.server.url}/_verify/{repo}"}
            known = one["oid"] in self.server.content
            objects.append({**one, **({} if known else {"actions": {"upload": upload, "verify": verify}})})
        self._json({"transfer": "basic", "objects": objects})

    @_route("PUT", "/_lfs/(?P<oid>[0-9a-f]{64})")
    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _RefusedError(400, "these bytes have another hash")
        self.server.content[oid] = self.body
        self._bytes(b"", 200, {"ETag": oid})

    @_route("POST", "/_verify/.*")
    def verify(self) -> None:
        if json.loads(self.body)["oid"] not in self.server.content:
            raise _RefusedError(404, "no such object")
        self._json({})

    @_route("POST", "/api/datasets/ID/commit/REV")
    def commit_files(self, repo: str, rev: str) -> None:
        self._may_write()
        lines = [json.loads(line) for line in self.body.splitlines() if line]
        with self.server.lock:
            tree, found = dict(self._tree(repo, rev)), self._repo(repo)
            head = next(line["value"] for line in lines if line["key"] == "header")
            parent = head.get("parentCommit")
            if rev not in found.heads or (parent and parent != self.commit):
                raise _RefusedError(412, "A commit has happened since. Please refresh and try again.")
            for line in lines:
                self._apply(tree, line["key"], line["value"])
            commit = found.add(rev, tree, head["summary"])
        url = f"{self.server.url}/datasets/{repo}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url})

    def _apply(self, tree: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
        if key == "file":
            tree[value["path"]] = self.server.keep(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            content = self.server.content.get(value["oid"])
            if content is None:
                raise _RefusedError(400, f"LFS object {value['oid']} was never uploaded")
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{value['oid']}\nsize {len(content)}\n"
            tree[value["path"]] = Blob(self.server.keep(pointer.encode()).oid, len(content), value["oid"])
        elif key == "deletedFile":
            if value["path"] not in tree:
                raise _RefusedError(400, "A file with this name doesn't exist")
            del tree[value["path"]]

    @_route("POST", "/api/datasets/ID/branch/(?P<name>[^/]+)")
    def branch(self, repo: str, name: str) -> None:
        self._may_write()
        start = json.loads(self.body or b"{}").get("startingPoint") or "main"
        found = self._repo(repo)
        if name in found.heads:
            raise _RefusedError(409, "exists already")
        self._tree(repo, start)
        found.heads[name] = [self.commit]
        self._json({})

    @_route("DELETE", "/api/datasets/ID/branch/(?P<name>[^/]+)")
    def delete_branch(self, repo: str, name: str) -> None:
        self._may_write()
        if self._repo(repo).heads.pop(name, None) is None:
            raise _RefusedError(404, "no such branch", "RevisionNotFound")
        self._json({})

    @_route("POST", "/api/datasets/ID/tag/REV")
    def tag(self, repo: str, rev: str) -> None:
        self._may_write()
        name, found = json.loads(self.body)["tag"], self._repo(repo)
        if name in found.tags:
            raise _RefusedError(409, "exists already")
        self._tree(repo, rev)
        found.tags[name] = self.commit
        self._json({})

    @_route("GET", "/api/datasets/ID/tree/REV(?:/(?P<under>.*))?")
    def tree(self, repo: str, rev: str, under: str) -> None:
        entries = self._entries(self._tree(repo, rev), under, self.query.get("recursive", "").lower() == "true")
        if under and not entries:
            raise _RefusedError(404, f"no {under}", "EntryNotFound")
        first = int(self.query.get("cursor", 0))
        more = {}
        if first + self.server.page < len(entries):
            path = urlsplit(self.path).path
            rest = f"recursive={self.query.get('recursive', 'false')}&cursor={first + self.server.page}"
            more = {"Link": f'<{self.server.url}{path}?{rest}>; rel="next"'}
        self._json(entries[first : first + self.server.page], headers=more)

    def _entries(self, tree: dict[str, Blob], under: str, recursive: bool) -> list[dict[str, Any]]:
        prefix = f"{under}/" if under else ""
        found: dict[str, dict[str, Any]] = {}
        for path, blob in sorted(tree.items()):
            if not path.startswith(prefix):
                continue
            folders = path.removeprefix(prefix).split("/")[:-1]
            for depth in range(len(folders)):
                folder = prefix + "/".join(folders[: depth + 1])
                if recursive or depth == 0:
                    found.setdefault(folder, {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder})
            if recursive or not folders:
                found[path] = _entry(path, blob)
        return list(found.values())

    @_route("POST", "/api/datasets/ID/paths-info/REV")
    def paths_info(self, repo: str, rev: str) -> None:
        tree = self._tree(repo, rev)
        asked = parse_qs(self.body.decode()).get("paths", [])
        folders = {path.rpartition("/")[0] for path in tree}
        told = [_entry(path, tree[path]) for path in asked if path in tree]
        told += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": p} for p in asked if p in folders and p]
        self._json(told)

    @_route("GET", "/datasets/ID/resolve/REV/(?P<path>.+)")
    def resolve(self, repo: str, rev: str, path: str) -> None:
        tree = self._tree(repo, rev)
        if path not in tree:
            raise _RefusedError(404, f"no {path}", "EntryNotFound")
        blob, headers = tree[path], {"X-Repo-Commit": self.commit}
        if not blob.lfs:
            self._ranged(self.server.content[blob.oid], headers | {"ETag": f'"{blob.oid}"'})
            return
        linked = {"X-Linked-Etag": f'"{blob.lfs}"', "X-Linked-Size": str(blob.size), "ETag": f'"{blob.lfs}"'}
        place = {"Location": f"{self.server.storage}/_cdn/{blob.lfs}"}
        self._bytes(b"", 302, headers | linked | place)

    @_route("GET", "/_cdn/(?P<oid>[0-9a-f]{64})")
    def download(self, oid: str) -> None:
        self._ranged(self.server.content[oid], {"ETag": f'"{oid}"'})

    def _ranged(self, content: bytes, headers: dict[str, str]) -> None:
        match = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers |= {"Accept-Ranges": "bytes"}
        if match is None:
            self._bytes(content, 200, headers, len(content))
            return
        first = int(match[1])
        last = min(int(match[2] or len(content) - 1), len(content) - 1)
        if first >= len(content):
            self._bytes(b"", 416, {"Content-Range": f"bytes */{len(content)}"})
            return
        part = content[first : last + 1]
        self._bytes(part, 206, headers | {"Content-Range": f"bytes {first}-{last}/{len(content)}"}, len(part))


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    lfs = {"lfs": {"oid": blob.lfs, "size": blob.size, "pointerSize": 130}} if blob.lfs else {}
    return {"type": "file", "oid": blob.oid, "size": blob.size, "path": path, **lfs}
