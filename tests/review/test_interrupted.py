"""A review that is killed or stopped loses no verdict that was answered, and goes on where its reviewer was."""

from __future__ import annotations

import http.client
import itertools
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cirgen.review.journal import Journal
from cirgen.review.verdicts import VERDICTS
from cirgen.run_folder import Run
from reviews import Served, finished_run, served


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path)


def judge_all(server: Served, answered: dict[str, str]) -> None:
    """Judge one triplet after the other as fast as it goes, and note what the server said that it kept."""
    verdicts = itertools.cycle(VERDICTS)
    for row in [row for row in server.rows("Anna")["rows"] if row["id"] not in answered]:
        verdict = next(verdicts)
        try:
            answer = server.say({"reviewer": "Anna", "triplet_id": row["id"], "verdict": verdict})
        except (OSError, http.client.HTTPException):  # killed meanwhile
            return
        assert answer.status == 200
        answered[row["id"]] = verdict


@pytest.mark.parametrize("verdicts_before", [pytest.param(1, marks=pytest.mark.long), 7])
def test_a_server_that_is_killed_in_the_middle_keeps_every_verdict_that_it_answered(
    run: Run, verdicts_before: int
) -> None:
    answered: dict[str, str] = {}
    with served(run, "-n", "100") as server, ThreadPoolExecutor(1) as clicks:
        clicking = clicks.submit(judge_all, server, answered)
        while len(answered) < verdicts_before:
            time.sleep(0.001)
        server.process.send_signal(signal.SIGKILL)
        clicking.result(30)
    kept = Journal(run.folder / "review").read().of("Anna")
    assert kept.items() >= answered.items()
    assert len(kept) - len(answered) <= 1  # the click in flight may be kept without a word
    assert len(answered) < 100

    with Journal(run.folder / "review").path.open("ab") as file:
        file.write(b'{"reviewer": "Anna", "triplet_id": "')  # or be cut off
    with served(run) as server:
        assert server.rows("Anna")["verdicts"] == kept
        judge_all(server, kept)
        assert len(server.rows("Anna")["verdicts"]) == 100


def test_ctrl_c_leaves_with_130_and_the_command_that_goes_on(run: Run) -> None:
    with served(run, "-n", "5", "--reviewer", "Anna") as server:
        row = server.rows("Anna")["rows"][0]
        server.say({"reviewer": "Anna", "triplet_id": row["id"], "verdict": "good"})
        server.process.send_signal(signal.SIGINT)
        told = server.process.communicate(timeout=20)[1]
        assert server.process.returncode == 130
        assert "everything done so far is saved. To go on: cirgen" in told
        assert "To review: 3 of 74 accepted and 2 of 28 rejected triplets, drawn with seed 0." in told
        assert "Traceback" not in told


def test_two_servers_of_one_run_keep_the_verdicts_of_both(run: Run) -> None:
    with served(run, "-n", "6") as one, served(run) as other:
        rows = one.rows("Anna")["rows"]
        assert other.rows("Bo")["rows"] == rows
        for server, name in ((one, "Anna"), (other, "Bo")):
            for row in rows:
                server.say({"reviewer": name, "triplet_id": row["id"], "verdict": "good"})
        assert other.rows("Anna")["verdicts"] == {row["id"]: "good" for row in rows}
        assert one.cookie != other.cookie
