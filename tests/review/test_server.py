"""What the review page tells to whom: the run, to whoever has the link, from this machine; nothing else to anybody."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cirgen.review.access import Access, is_loopback
from cirgen.review.journal import Journal
from cirgen.review.server import LONGEST_BODY
from cirgen.run_folder import Run
from reviews import Served, finished_run, served


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished_run(tmp_path_factory.mktemp("review"))


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[Served]:
    with served(run, "-n", "20", "--reviewer", "Anna") as server:
        yield server


def first(server: Served) -> dict[str, str]:
    row: dict[str, str] = server.rows("Anna")["rows"][0]
    return row


def kept(run: Run) -> int:
    path = Journal(run.folder / "review").path
    return len(path.read_bytes().splitlines()) if path.is_file() else 0


def test_the_link_opens_the_page_and_lets_the_browser_in(server: Served) -> None:
    opened = server.ask("GET", "/" + server.link.rpartition("/")[2], Cookie="")
    assert opened.status == 200
    assert opened.headers["Set-Cookie"] == f"{server.cookie}; Path=/; HttpOnly; SameSite=Strict"
    assert "cirgen review" in opened.text
    assert server.ask("GET", "/").status == 200
    assert server.ask("GET", "/start").json()["reviewer"] == "Anna"


def test_every_answer_forbids_what_a_page_need_not_do(server: Served) -> None:
    for path in ("/", "/page.js", "/page.css", "/start", "/nowhere"):
        headers = server.ask("GET", path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "cirgen"


def test_a_reviewer_is_shown_no_score_no_verdict_and_no_kind(run: Run, server: Served) -> None:
    found = server.rows("Anna")
    assert len(found["rows"]) == 20
    assert {frozenset(row) for row in found["rows"]} == {frozenset({"id", "reference", "text", "target"})}
    shown = server.ask("GET", "/rows?reviewer=Bo").text
    for word in ("accepted", "rejected", "lint", "score", "caption", str(run.folder), str(run.folder.parent)):
        assert word not in shown


def test_pictures_are_served_by_id_as_new_pictures(run: Run, server: Served) -> None:
    row = first(server)
    for end in ("reference", "target"):
        answer = server.ask("GET", f"/image/{row[end]}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(answer.body)).size[0] == 96


def test_a_picture_of_the_run_that_is_not_in_the_sample_is_not_served(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    with served(run, "-n", "1") as server:
        row = first(server)
        others = set(pq.read_table(run.catalog).column("image_id").to_pylist()) - {row["reference"], row["target"]}
        assert {server.ask("GET", f"/image/{other}").status for other in others} == {404}


def test_a_picture_that_is_gone_is_told_and_a_changed_one_is_never_shown(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"a secret of this machine")
    with served(run, "-n", "1") as server:
        answer = server.ask("GET", f"/image/{first(server)['target']}")
        assert answer.status == 404
        assert b"secret" not in answer.body


def test_a_verdict_is_in_the_journal_when_it_is_answered_and_can_be_changed(run: Run, server: Served) -> None:
    row = server.rows("Cy")["rows"][3]
    for verdict in ("good", "unclear"):
        answer = server.say({"reviewer": " Cy ", "triplet_id": row["id"], "verdict": verdict})
        assert (answer.status, answer.json()) == (200, {"kept": verdict})
        assert Journal(run.folder / "review").read().verdicts[row["id"]]["Cy"] == verdict
    assert server.rows("Cy")["verdicts"] == {row["id"]: "unclear"}
    assert server.rows("Dee")["verdicts"] == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": ""},
        {"Cookie": "cirgen_review_1=x"},
        {"Cookie": "a=b; ;;=;"},
        {"Cookie": "cirgen_review_{port}="},
        {"Cookie": "cirgen_review_{port}=wrong"},
    ],
)
def test_without_the_token_nothing_is_told_and_nothing_kept(run: Run, server: Served, headers: dict[str, str]) -> None:
    row, before = first(server), kept(run)
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    for path in (
        "/",
        "/?token=wrong",
        "/?token=",
        "/start",
        "/rows?reviewer=Anna",
        f"/image/{row['target']}",
        "/page.js",
    ):
        answer = server.ask("GET", path, **sent)
        assert answer.status == 403
        assert answer.text == "Open the link that `cirgen review` printed when it started.\n"
    said = {"reviewer": "Anna", "triplet_id": row["id"], "verdict": "good"}
    assert server.say(said, **sent).status == 403
    assert kept(run) == before


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "evil.example@127.0.0.1:{port}",
        "127.0.0.1:{port}@evil.example",
        "192.0.2.1:{port}",
        "127.0.0.1:{port}/x",
        "127.0.0.1:x",
        "[::1",
        "\xff",
    ],
)
def test_another_host_is_turned_away_before_anything_is_looked_at(run: Run, server: Served, host: str) -> None:
    row, before = first(server), kept(run)
    name = host.format(port=server.port)
    assert server.ask("GET", "/" + server.link.rpartition("/")[2], Host=name).status == 421
    assert server.ask("GET", "/start", Host=name).status == 421
    assert server.say({"reviewer": "A", "triplet_id": row["id"], "verdict": "good"}, Host=name).status == 421
    assert kept(run) == before


def test_names_of_this_machine_alone_are_taken(server: Served) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2", "[::1]"):
        assert server.ask("GET", "/start", Host=f"{name}:{server.port}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../../../../etc/passwd",
        "/image/../../../../etc/passwd",
        "/image/..%2f..%2f..%2fetc%2fpasswd",
        "/image//etc/passwd",
        "/image/" + "0" * 64,
        "/image/" + "A" * 64,
        "/image/{id}/",
        "/image/{id}%00",
        "/image/{id}.png",
        "/image/",
        "/image",
        "//etc/passwd",
        "/page.html",
        "/page.css/../page.html",
        "/server.py",
        "/verdicts.jsonl",
        "/review/verdicts.jsonl",
        "/sample.parquet",
        "/recipe.yaml",
        "/.",
        "http://evil.example/start",
        "file:///etc/passwd",
        "*",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/verdict",
    ],
)
def test_no_path_outside_the_list_is_ever_served(run: Run, server: Served, path: str) -> None:
    answer = server.ask("GET", path.format(id=first(server)["target"]))
    assert answer.status == 404
    assert "root:" not in answer.text
    assert "<" not in answer.text


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60).map(lambda text: f"/{text}"))
def test_any_other_path_is_answered_with_a_sentence(server: Served, path: str) -> None:
    if path.split("?", maxsplit=1)[0] in ("/", "/page.css", "/page.js", "/start", "/rows"):
        return
    answer = server.ask("GET", path)
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "FOO"])
def test_no_other_method_does_anything(server: Served, method: str) -> None:
    assert server.ask(method, "/start").status == 501


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b"[" * LONGEST_BODY, 400),
        (b'{"reviewer": "A", "triplet_id": "ID", "verdict": NaN}', 400),
        ({"reviewer": "A", "triplet_id": "ID"}, 400),
        ({"reviewer": "A", "triplet_id": "ID", "verdict": ["good"]}, 400),
        ({"reviewer": 1, "triplet_id": "ID", "verdict": "good"}, 400),
        ({"reviewer": "", "triplet_id": "ID", "verdict": "good"}, 400),
        ({"reviewer": "a\nb\x00", "triplet_id": "ID", "verdict": "good"}, 400),
        ({"reviewer": "x" * 65, "triplet_id": "ID", "verdict": "good"}, 400),
        (b'{"reviewer": "\\ud800", "triplet_id": "ID", "verdict": "good"}', 400),
        ({"reviewer": "A", "triplet_id": "ID", "verdict": "excellent"}, 400),
        ({"reviewer": "A", "triplet_id": "0" * 64, "verdict": "good"}, 404),
        ({"reviewer": "A", "triplet_id": "../../x", "verdict": "good"}, 404),
    ],
)
def test_what_is_no_verdict_is_refused_with_a_sentence_and_never_kept(
    run: Run, server: Served, body: Any, status: int
) -> None:
    row, before = first(server), kept(run)
    if isinstance(body, dict):
        body = {name: row["id"] if value == "ID" else value for name, value in body.items()}
    else:
        body = body.replace(b"ID", row["id"].encode())
    answer = server.say(body)
    assert answer.status == status
    assert answer.text.endswith(".\n")
    assert kept(run) == before
    assert server.ask("GET", "/start").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Length": str(LONGEST_BODY + 1)}, 413),
        ({"Content_Length": "9" * 400}, 413),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": "1e3"}, 411),
        ({"Content_Length": "²"}, 411),
        ({"Content_Length": ""}, 411),
        ({"Transfer_Encoding": "chunked"}, 411),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": ""}, 415),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_a_verdict_from_elsewhere_or_of_another_shape_is_refused(
    run: Run, server: Served, headers: dict[str, str], status: int
) -> None:
    before = kept(run)
    said = {"reviewer": "A", "triplet_id": first(server)["id"], "verdict": "good"}
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    assert server.say(said, **sent).status == status
    assert kept(run) == before


def test_a_verdict_from_the_page_itself_is_taken(server: Served) -> None:
    said = {"reviewer": "A", "triplet_id": first(server)["id"], "verdict": "good"}
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Sec_Fetch_Site": "same-origin"}
    assert server.say(said, **own).status == 200


def test_huge_bodies_and_slow_or_broken_clients_stop_nobody_else(run: Run, server: Served) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    idle[0].sendall(b"GET / HTTP/1.1\r\nHost: ")
    idle[1].sendall(b"POST /verdict HTTP/1.1\r\n")
    idle[2].sendall(b"\x00\x01\x02\r\n\r\n")
    idle[3].sendall(b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n")
    idle[4].close()
    assert server.ask("GET", "/start").status == 200
    assert b"Bad Request" in idle[2].recv(4096)
    assert b" 414 " in idle[3].recv(4096)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/verdict", skip_host=True)
    for name, value in (
        ("Host", f"127.0.0.1:{server.port}"),
        ("Cookie", server.cookie),
        ("Content-Type", "application/json"),
        ("Content-Length", str(10**9)),
    ):
        connection.putheader(name, value)
    connection.endheaders(b"x" * 100)
    assert connection.getresponse().status == 413
    for each in idle:
        each.close()


def test_an_unread_body_is_never_taken_for_the_next_request(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        head = f"Host: 127.0.0.1:{server.port}\r\nCookie: {server.cookie}\r\n"
        hidden = f"GET /start HTTP/1.1\r\n{head}\r\n"
        line.sendall(f"GET /page.js HTTP/1.1\r\n{head}Content-Length: {len(hidden)}\r\n\r\n{hidden}".encode())
        answered = b""
        while part := line.recv(65_536):
            answered += part
    assert answered.count(b"HTTP/1.1 200") == 1


def test_what_somebody_else_says_is_shown_as_text(server: Served) -> None:
    name = "<script>alert(1)</script>"
    assert server.ask("GET", "/rows?reviewer=%3Cscript%3Ealert(1)%3C/script%3E").json()["reviewer"] == name
    assert server.ask("GET", "/rows?reviewer=a&reviewer=b").status == 400
    assert server.ask("GET", "/rows").status == 400


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    assert not is_loopback("192.0.2.7")
    assert not is_loopback("somewhere.example")


def test_a_server_for_others_takes_addresses_and_its_own_name_but_no_other_name() -> None:
    everywhere, named = Access("0.0.0.0", 80), Access("Desk.example", 8000)
    for host in ("192.0.2.7", "192.0.2.7:80", "127.0.0.1", "localhost", "[2001:db8::1]"):
        assert everywhere.is_own_host(host)
    for host in ("evil.example", "192.0.2.7:81", "desk.example"):
        assert not everywhere.is_own_host(host)
    assert named.is_own_host("desk.example:8000")
    assert not named.is_own_host("evil.example:8000")
    assert not named.is_own_host("localhost:8000")
    assert everywhere.link.startswith("http://127.0.0.1:80/?token=")
    assert Access("::", 80).link.startswith("http://[::1]:80/?token=")


def test_no_two_servers_share_a_token() -> None:
    links = {Access("127.0.0.1", 80).link for _ in range(20)}
    assert len(links) == 20
    assert all(len(link.partition("token=")[2]) >= 43 for link in links)


def test_only_loopback_listens_unless_another_host_is_given_and_then_a_warning_is_said(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    with served(run, "-n", "2", "--host", "0.0.0.0") as server:
        assert server.ask("GET", "/start").status == 200
        server.process.terminate()
        told = server.process.communicate(timeout=20)[1]
        assert "Warning: 0.0.0.0 is not this machine alone." in told
    with served(run) as server:
        assert server.link.startswith("http://127.0.0.1:")
        server.process.terminate()
        assert "Warning" not in server.process.communicate(timeout=20)[1]


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    from commands import cirgen, said

    run = finished_run(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = said(cirgen(tmp_path, "review", str(run.folder), "--port", str(port)))
    assert f"Nothing can listen on 127.0.0.1, port {port}" in told
    assert "give another --port" in told
