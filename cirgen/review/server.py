"""The review page over HTTP: a fixed list of addresses, none of which is a path of this machine.

| address | answers |
|---|---|
| `GET /` | the page; `?token=` lets a browser in |
| `GET /page.css`, `/page.js` | what ships with it |
| `GET /start` | the name of the run, the verdicts to choose from, who reviews unless told otherwise |
| `GET /rows?reviewer=NAME` | the triplets in their order, and that reviewer's verdicts |
| `GET /image/ID` | a picture of the sample, by id |
| `POST /verdict` | keeps `{"reviewer", "triplet_id", "verdict"}`; answers once it is on disk |

No score, no verdict of a filter and no verdict of another reviewer is in any answer. Anything else is 404.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from cirgen.errors import UserError
from cirgen.report.page import STYLE
from cirgen.review.access import Access
from cirgen.review.journal import Journal
from cirgen.review.pictures import ReviewPictures
from cirgen.review.sample import Sample
from cirgen.review.verdicts import CHOICES, VERDICTS, reviewer_name

LONGEST_BODY = 4096  # bytes; a verdict takes about 200
IDLE_SECONDS = 30.0
"""A connection that says nothing for so long is closed."""
_HERE = Path(__file__).parent
_IMAGE = re.compile(r"/image/([0-9a-f]{64})")
_JSON, _TEXT = "application/json; charset=utf-8", "text/plain; charset=utf-8"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class Review:
    """What a server shows and where it keeps what is said."""

    run: str
    """Name of the run."""
    sample: Sample
    pictures: ReviewPictures
    journal: Journal
    reviewer: str = ""
    """Who reviews unless the page is told otherwise."""

    @cached_property
    def triplet_ids(self) -> frozenset[str]:
        """Return the triplets that can be judged."""
        return frozenset(row.triplet_id for row in self.sample.rows)


class Refused(Exception):  # noqa: N818 - an answer
    """A request that gets an error, with a sentence that says why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Answer(NamedTuple):
    """What a request is answered with."""

    kind: str
    """Content type."""
    body: bytes
    headers: Mapping[str, str] = {}


def _json(value: Any) -> Answer:
    return Answer(_JSON, json.dumps(value, ensure_ascii=False).encode())


class ReviewServer(ThreadingHTTPServer):
    """A server that answers for one review.

    Raises:
        UserError: the host or the port cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, review: Review) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.review = review
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"Nothing can listen on {host}, port {port} ({getattr(error, 'strerror', None) or error}); give "
                "another --port, or an address of this machine as --host."
            ) from error
        self.access = Access(host, int(self.server_address[1]))

    def server_bind(self) -> None:
        """Bind without asking the DNS for this machine's name, which can take long."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over connections that broke off."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer what is read."""
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what is not read is no next request
        self._answer(self._read)

    def do_POST(self) -> None:
        """Keep a verdict."""
        self._answer(self._keep)

    def _answer(self, make: Any) -> None:
        path, _, query = self.path.partition("?")
        try:
            self._check_host()
            answer = self._page(query) if make == self._read and path == "/" else self._known(make, path, query)
        except Refused as refused:
            self.close_connection = True  # a body may be unread
            self._send(refused.status, Answer(_TEXT, f"{refused.reason}\n".encode()))
        else:
            self._send(HTTPStatus.OK, answer)

    def _check_host(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not self.server.access.is_own_host(hosts[0]):
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "This is another server; open the link that it printed.")

    def _page(self, query: str) -> Answer:
        """Answer with the page, and let in who has the token."""
        access = self.server.access
        tokens = parse_qs(query).get("token", [])
        headers = {"Cache-Control": "no-store"}
        if len(tokens) == 1 and access.is_token(tokens[0]):
            headers["Set-Cookie"] = access.set_cookie
        else:
            self._check_cookie()
        return Answer("text/html; charset=utf-8", (_HERE / "page.html").read_bytes(), headers)

    def _known(self, make: Any, path: str, query: str) -> Answer:
        self._check_cookie()
        answer: Answer = make(path, query)
        return answer

    def _check_cookie(self) -> None:
        if not self.server.access.knows("; ".join(self.headers.get_all("Cookie", []))):
            raise Refused(HTTPStatus.FORBIDDEN, "Open the link that `cirgen review` printed when it started.")

    def _read(self, path: str, query: str) -> Answer:
        review = self.server.review
        if image := _IMAGE.fullmatch(path):
            picture = review.pictures.picture(image[1])
            if picture is None:
                raise Refused(HTTPStatus.NOT_FOUND, "There is no such picture, or its file is gone or changed.")
            return Answer(*picture, {"Cache-Control": "private, max-age=3600"})
        match path:
            case "/page.css":
                return Answer("text/css; charset=utf-8", STYLE.read_bytes() + (_HERE / "page.css").read_bytes())
            case "/page.js":
                return Answer("text/javascript; charset=utf-8", (_HERE / "page.js").read_bytes())
            case "/start":
                choices = [choice._asdict() for choice in CHOICES]
                return _json({"run": review.run, "reviewer": review.reviewer, "choices": choices})
            case "/rows":
                return _json(self._rows(query))
        raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _rows(self, query: str) -> dict[str, Any]:
        review = self.server.review
        names = parse_qs(query).get("reviewer", [])
        reviewer = reviewer_name(names[0]) if len(names) == 1 else ""
        if not reviewer:
            raise Refused(HTTPStatus.BAD_REQUEST, "Give your name: up to 64 letters, figures and signs.")
        own = review.journal.read().of(reviewer)
        rows = [
            {"id": row.triplet_id, "reference": row.reference_id, "text": row.text, "target": row.target_id}
            for row in review.sample.rows
        ]
        return {"reviewer": reviewer, "rows": rows, "verdicts": {k: own[k] for k in own if k in review.triplet_ids}}

    def _keep(self, path: str, query: str) -> Answer:  # noqa: ARG002
        if path != "/verdict":
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        self._check_origin()
        reviewer, triplet_id, verdict = self._said()
        try:
            self.server.review.journal.append(reviewer, triplet_id, verdict)
        except OSError as error:
            reason = f"The verdict could not be written ({error.strerror}); it is not kept."
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, reason) from error
        return _json({"kept": verdict})

    def _check_origin(self) -> None:
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        if (origin is not None and not self.server.access.is_own_origin(origin)) or site != "same-origin":
            raise Refused(HTTPStatus.FORBIDDEN, "A verdict must come from the review page itself.")

    def _said(self) -> tuple[str, str, str]:
        match self._body():
            case {"reviewer": str(name), "triplet_id": str(triplet_id), "verdict": str(verdict)}:
                reviewer = reviewer_name(name)
            case _:
                raise Refused(HTTPStatus.BAD_REQUEST, "A verdict names reviewer, triplet_id and verdict.")
        if not reviewer:
            raise Refused(HTTPStatus.BAD_REQUEST, "Give your name: up to 64 letters, figures and signs.")
        if verdict not in VERDICTS:
            raise Refused(HTTPStatus.BAD_REQUEST, f"A verdict is one of: {', '.join(VERDICTS)}.")
        if triplet_id not in self.server.review.triplet_ids:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such triplet in the sample.")
        return reviewer, triplet_id, verdict

    def _body(self) -> Any:
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A verdict is JSON.")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or "Transfer-Encoding" in self.headers:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "A verdict says how long it is.")
        if len(length) > 9 or int(length) > LONGEST_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A verdict has at most {LONGEST_BODY} bytes.")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no JSON.") from error

    def _send(self, status: HTTPStatus, answer: Answer) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Cache-Control": "no-store", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that HTTP itself forbids, without a page of HTML."""
        del message, explain
        self.close_connection = True
        status = HTTPStatus(code)
        self._send(status, Answer(_TEXT, f"{status.phrase}\n".encode()))

    def version_string(self) -> str:
        """Say no more than what this is."""
        return "cirgen"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for the link."""
