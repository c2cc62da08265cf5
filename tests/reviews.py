"""A review that is served: the command as a process of its own, and what a browser or somebody hostile sends to it."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cirgen.changes import save_recipe
from cirgen.run_folder import Run
from commands import start
from runs import make_run


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as plain data."""
        return json.loads(self.body)


class Served(NamedTuple):
    """A server that runs."""

    process: subprocess.Popen[str]
    link: str

    @property
    def port(self) -> int:
        """Return where it listens."""
        return urlsplit(self.link).port or 80

    @property
    def cookie(self) -> str:
        """Return what the page sets."""
        return f"cirgen_review_{self.port}={self.link.partition('token=')[2]}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send one request as it stands; `Host` and `Cookie` are right unless given, and left out where empty."""
        known = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie, **headers}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in known.items():
            if value:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return reply

    def say(self, said: Any, **headers: str) -> Reply:
        """Send a verdict."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        sent = {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}
        return self.ask("POST", "/verdict", body, **sent)

    def rows(self, reviewer: str) -> Any:
        """Return what a reviewer is shown."""
        return self.ask("GET", f"/rows?reviewer={reviewer}").json()


def finished_run(tmp_path: Path) -> Run:
    """Return a run that `cirgen review` can open."""
    run = make_run(tmp_path)
    save_recipe(run.folder, run.recipe)
    return run


@contextmanager
def served(run: Run, *arguments: str) -> Iterator[Served]:
    """Serve a review of a run while the context is open."""
    with start(run.folder.parent, "review", str(run.folder), *arguments) as process:
        try:
            assert process.stdout is not None
            link = process.stdout.readline().strip()
            assert link.startswith("http://"), process.communicate(timeout=20)[1]
            yield Served(process, link)
        finally:
            process.kill()
