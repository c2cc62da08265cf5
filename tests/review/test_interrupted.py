"""A review that is killed or stopped loses no verdict that was answered, and goes on where its reviewer was."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import pytest

from cirgen.review.journal import Journal
from cirgen.review.verdicts import VERDICTS
from cirgen.run_folder import Run
from reviews import finished_run, served


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path)


def test_a_server_that_is_killed_at_any_moment_keeps_every_verdict_that_it_answered(run: Run) -> None:
    answered: dict[str, str] = {}
    verdicts = itertools.cycle(VERDICTS)
    for number in (1, 3, 2):
        with served(run, "-n", "20") as server:
            found = server.rows("Anna")
            assert found["verdicts"] == answered
            rows = [row for row in found["rows"] if row["id"] not in answered]
            for row in rows[:number]:
                verdict = next(verdicts)
                server.say({"reviewer": "Anna", "triplet_id": row["id"], "verdict": verdict})
                answered[row["id"]] = verdict
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(20)
        with Journal(run.folder / "review").path.open("ab") as file:
            file.write(b'{"reviewer": "Anna", "triplet_id": "')  # the click in flight
    assert Journal(run.folder / "review").read().of("Anna") == answered
    assert len(answered) == 6


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
