"""A verdict is on disk when it is said to be kept, and half a line of a killed writer costs nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cirgen.review.journal import Journal
from cirgen.review.verdicts import LONGEST_NAME, VERDICTS, majority, reviewer_name

SAID = st.tuples(st.sampled_from(["Anna", "Björn", "王"]), st.sampled_from("abcdef"), st.sampled_from(VERDICTS))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(SAID, max_size=15))
def test_the_last_verdict_of_each_reviewer_counts(tmp_path: Path, said: list[tuple[str, str, str]]) -> None:
    journal = Journal(tmp_path)
    journal.path.unlink(missing_ok=True)
    for reviewer, triplet, verdict in said:
        journal.append(reviewer, triplet, verdict)
    last = {(reviewer, triplet): verdict for reviewer, triplet, verdict in said}
    found = journal.read()
    assert {(r, t): v for t, by in found.verdicts.items() for r, v in by.items()} == last
    assert found.reviewers == sorted({reviewer for reviewer, _, _ in said})
    assert found.of("Anna") == {t: v for (r, t), v in last.items() if r == "Anna"}
    assert found.unreadable == 0


def test_a_line_that_a_kill_cut_off_anywhere_costs_itself_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("Anna", "a", "good")
    whole = journal.path.read_bytes()
    for cut in range(1, len(whole)):
        journal.path.write_bytes(whole + whole[:cut])
        assert journal.read().verdicts == {"a": {"Anna": "good"}}
        journal.append("Anna", "b", "unclear")
        found = journal.read()
        assert found.verdicts == {"a": {"Anna": "good"}, "b": {"Anna": "unclear"}}
        assert found.unreadable == (cut < len(whole) - 1)


@pytest.mark.parametrize(
    "line", [b"[]", b"null", b'{"reviewer": "A"}', b'{"reviewer": "A", "triplet_id": 1, "verdict": "good"}', b"\xff"]
)
def test_a_line_of_something_else_counts_nothing_and_is_counted(tmp_path: Path, line: bytes) -> None:
    journal = Journal(tmp_path)
    journal.append("Anna", "a", "good")
    with journal.path.open("ab") as file:
        file.write(line + b"\n")
    assert journal.read().verdicts == {"a": {"Anna": "good"}}
    assert journal.read().unreadable == 1


def test_several_processes_append_without_mixing_their_lines(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cirgen.review.journal import Journal\n"
        "for n in range(40): Journal(Path(sys.argv[1])).append(sys.argv[2], f't{n}', 'good')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(Journal(tmp_path).path.read_bytes().splitlines()) == 120
    assert all(len(Journal(tmp_path).read().of(name)) == 40 for name in "abc")


def test_a_line_says_who_what_and_when(tmp_path: Path) -> None:
    Journal(tmp_path).append("Anna", "a", "good")
    said = json.loads(Journal(tmp_path).path.read_text())
    assert {name: said[name] for name in ("reviewer", "triplet_id", "verdict")} == {
        "reviewer": "Anna",
        "triplet_id": "a",
        "verdict": "good",
    }
    assert said["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("  Anna   Weiß ", "Anna Weiß"),
        ("Zoe\u0308", "Zoë"),
        ("../../etc/passwd", "../../etc/passwd"),  # a name is never a path
        ("", ""),
        ("a\x00b", ""),
        ("\ud800", ""),
        ("x" * (LONGEST_NAME + 1), ""),
    ],
)
def test_a_name_is_kept_in_one_form_or_refused(given_name: str, kept: str) -> None:
    assert reviewer_name(given_name) == kept


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (["good"], "good"),
        (["good", "good", "unclear"], "good"),
        (["good", "wrong text"], "unclear"),
        (["good", "wrong text", "wrong text", "good", "unclear"], "unclear"),
    ],
)
def test_the_majority_decides_and_a_tie_is_unclear(verdicts: list[str], verdict: str) -> None:
    assert majority(verdicts) == majority(reversed(verdicts)) == verdict


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000,
        json.dumps({"reviewer": "\ud800", "triplet_id": "a", "verdict": "good"}).encode(),
        json.dumps({"reviewer": "", "triplet_id": "a", "verdict": "good"}).encode(),
        b"7",
    ],
    ids=["nested", "surrogate", "nameless", "number"],
)
def test_a_line_that_no_server_wrote_is_counted_and_passed_over(tmp_path: Path, line: bytes) -> None:
    journal = Journal(tmp_path)
    journal.append("Anna", "a", "good")
    journal.path.write_bytes(journal.path.read_bytes() + line + b"\n")
    found = journal.read()
    assert (found.unreadable, found.of("Anna")) == (1, {"a": "good"})
