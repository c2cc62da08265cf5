"""A run whose model is on a server ends with the same rows, whatever happens to the server, the wire, or the run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cirgen.cli.figures import figures
from cirgen.cli.run import _cap
from cirgen.cli.summary import _after_nothing
from cirgen.errors import UserError
from cirgen.pipeline import run_pipeline
from cirgen.recipe_checks import check_recipe
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run, read_facts
from cirgen.store import Store
from commands import cirgen, said, start
from serving import MODEL, Fault, Proxy

pytestmark = pytest.mark.integration

IMAGES = 9
FAULTS = ("reset", "429", "500", "cut", "no json", "other json")
CAPPED = 3


def settings(proxy: Proxy) -> list[str]:
    return [
        "mllm.backend=openai",
        f"mllm.model={MODEL}",
        f"mllm.server.base_url={proxy.url}",
        "mllm.server.concurrency=4",
        "mllm.server.backoff=0.05",
        "pair.signals=[{kind: rank, lower: 1, upper: 5, per_image: 1}]",
        "filter=[{name: lint, max_words: 60}]",
        "export.validation=0",
        "export.test=0",
    ]


def arguments(proxy: Proxy, *more: str) -> list[str]:
    options = [part for setting in settings(proxy) for part in ("--set", setting)]
    return ["run", "demo", "--limit", str(IMAGES), "--flush-rows", "3", *options, *more]


def run_here(folder: Path, proxy: Proxy, *more: str) -> Run:
    """Run in this process, which has its libraries loaded."""
    loaded = load_recipe("demo", [*settings(proxy), *more])
    check_recipe(loaded)
    run = Run(folder / "runs" / "demo", loaded.recipe, Store(folder / "runs" / "demo" / "store"), limit=IMAGES)
    run_pipeline(run)
    return run


def rows(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the current row of every key, by stage."""
    store = Store(folder / "runs" / "demo" / "store")
    found = {}
    for stage in ("caption", "modify"):
        with store.connect() as connection:
            table = connection.sql(f"SELECT * FROM {store.current(connection, stage)}").to_arrow_table()
        found[stage] = {row["key"]: row for row in table.to_pylist()}
    return found


def attempts(folder: Path) -> list[dict[str, Any]]:
    """Return every row, those that another attempt made good again among them."""
    store = Store(folder / "runs" / "demo" / "store")
    with store.connect() as connection:
        tables = [connection.sql(f"SELECT * FROM {store.rows(connection, s)}") for s in ("caption", "modify")]
        return [row for table in tables for row in table.to_arrow_table().to_pylist()]


def texts(folder: Path) -> dict[str, tuple[str, str]]:
    return {key: (row["status"], row["text"]) for stage in rows(folder).values() for key, row in stage.items()}


def triplets(folder: Path) -> bytes:
    (path,) = (folder / "runs" / "demo" / "dataset").glob("triplets/*.parquet")
    return path.read_bytes()


@pytest.fixture(scope="module")
def undisturbed(port: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    with Proxy(port) as proxy:
        run_here(folder, proxy)
    return folder


def used(folder: Path) -> dict[str, float]:
    """Return what the model was asked over all calls, as the run remembers it."""
    (usage,) = read_facts(folder / "runs" / "demo")["usage"].values()
    return dict(usage)


def test_tokens_are_in_every_row_and_summed_in_the_run(undisturbed: Path) -> None:
    found = attempts(undisturbed)
    assert all(row["prompt_tokens"] > row["output_tokens"] > 0 for row in found if row["status"] == "ok")
    usage = used(undisturbed)
    assert usage["requests"] == len(found)
    assert usage["prompt_tokens"] == sum(row["prompt_tokens"] for row in found)
    assert usage["output_tokens"] == sum(row["output_tokens"] for row in found)


def test_faults_of_every_kind_change_no_key_no_text_and_no_byte(port: int, undisturbed: Path, tmp_path: Path) -> None:
    draws = random.Random(0)

    def fault(times: int, body: dict[str, Any]) -> Fault:
        return draws.choice(FAULTS) if times == 0 and draws.random() < 0.7 else None

    with Proxy(port, fault) as proxy:
        run_here(tmp_path, proxy)
        assert sum(times - 1 for times in proxy.asked.values()) > 5  # second tries
    assert texts(tmp_path) == texts(undisturbed)
    assert triplets(tmp_path) == triplets(undisturbed)


@pytest.mark.long
def test_a_server_that_dies_stops_the_run_with_a_sentence_and_the_same_command_goes_on(
    port: int, undisturbed: Path, tmp_path: Path
) -> None:
    def dies(times: int, body: dict[str, Any]) -> Fault:
        if proxy.answered >= 6:
            proxy.stop()
        return None

    with Proxy(port, dies) as proxy:
        command = arguments(proxy, "--set", "mllm.server.retries=1")
        stopped = cirgen(tmp_path, *command)
        assert "No server answers at" in said(stopped)
        assert "what was answered is kept" in said(stopped)
        before = texts(tmp_path)
        assert 0 < len([row for row in before.values() if row[0] == "ok"]) < len(texts(undisturbed))
        proxy.fault = lambda times, body: None
        proxy.start()
        assert cirgen(tmp_path, *command).returncode == 0
    assert texts(tmp_path) == texts(undisturbed)
    assert triplets(tmp_path) == triplets(undisturbed)


@pytest.mark.long
def test_a_killed_run_goes_on_at_the_server_and_ends_with_the_same_bytes(
    port: int, undisturbed: Path, tmp_path: Path
) -> None:
    with Proxy(port) as proxy:
        for kill_at in (4, 11):
            with start(tmp_path, *arguments(proxy)) as process:
                while proxy.answered < kill_at and process.poll() is None:
                    time.sleep(0.02)
                process.send_signal(signal.SIGKILL)
        assert cirgen(tmp_path, *arguments(proxy)).returncode == 0
        asked = sum(proxy.asked.values())
    assert texts(tmp_path) == texts(undisturbed)
    assert triplets(tmp_path) == triplets(undisturbed)
    assert asked <= len(texts(undisturbed)) + 2 * (4 + 3)  # again: what was on its way, and what waited for a shard


@pytest.mark.long
def test_a_cap_on_cost_leaves_with_3_and_the_same_command_goes_on_until_all_is_there(
    port: int, undisturbed: Path, tmp_path: Path
) -> None:
    usage = used(undisturbed)
    whole = 4 * usage["output_tokens"]  # at a price of 4 a token
    cap = str(0.6 * whole)
    with Proxy(port) as proxy:
        price = ("--set", "mllm.price={output: 4000000}", "--max-cost", cap)
        few = ("--set", "mllm.server.concurrency=2")  # what is on its way counts, at first as the longest answer
        first = cirgen(tmp_path, *arguments(proxy, *price, *few))
        assert first.returncode == CAPPED, first.stderr
        last = first.stderr.splitlines()[-1]
        assert "is spent (--max-cost)" in last
        assert "everything done so far is saved. To go on: cirgen run demo" in last
        assert 0.2 * whole < used(tmp_path)["cost"] <= 0.6 * whole
        second = cirgen(tmp_path, *arguments(proxy, *price, *few))
        assert second.returncode == 0, second.stderr
    assert texts(tmp_path) == texts(undisturbed)  # a price is no part of a key
    assert used(tmp_path)["cost"] == pytest.approx(whole, rel=0.01)
    assert f"{used(tmp_path)['requests']} requests" in second.stdout


@pytest.mark.long
def test_a_cap_on_time_leaves_with_3_whatever_runs(tmp_path: Path, port: int) -> None:
    with Proxy(port) as proxy:
        stopped = cirgen(tmp_path, *arguments(proxy, "--max-hours", "0.0001"))
    assert stopped.returncode == CAPPED, stopped.stderr
    assert "0.0001 hours are over (--max-hours)" in stopped.stderr.splitlines()[-1]
    assert "Traceback" not in stopped.stderr


def test_no_file_of_a_run_holds_the_key(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Proxy(port) as proxy:
        named = "mllm.server.api_key_env=SERVER_KEY"
        with pytest.raises(UserError, match="SERVER_KEY is not set"):
            run_here(tmp_path, proxy, named)
        monkeypatch.setenv("SERVER_KEY", "sk-very-secret")
        run_here(tmp_path, proxy, named)
        assert proxy.keys == {"Bearer sk-very-secret"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if b"sk-very-secret" in path.read_bytes()]
    assert "sk-very-secret" not in "".join(capfd.readouterr())


def test_filters_that_need_probabilities_stop_the_run_before_it_asks_for_a_text(port: int, tmp_path: Path) -> None:
    with Proxy(port) as proxy:
        with pytest.raises(UserError, match="tells no probabilities"):
            run_here(tmp_path, proxy, "filter=[{name: judge, min_yes: 0.5}]")
        assert sum(proxy.asked.values()) == 1
        with pytest.raises(UserError, match="give it a model with backend transformers or vllm"):
            run_here(tmp_path, proxy, "filter=[{name: likelihood, min_text: -9}]")


def test_a_cap_on_cost_that_nothing_counts_for_is_refused(port: int, tmp_path: Path) -> None:
    with Proxy(port) as proxy:
        refused = said(cirgen(tmp_path, *arguments(proxy, "--max-cost", "1")))
        assert "--set 'mllm.price={prompt: 0.15, output: 0.60}'" in refused
        assert proxy.answered == 0


def test_a_cap_on_cost_names_what_it_does_not_count(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    judged = "filter=[{name: judge, min_yes: 0.5, model: {model: my/judge}}]"
    recipe = load_recipe("demo", ["mllm.price={prompt: 1, output: 2}", judged]).recipe
    _cap(Run(tmp_path, recipe, Store(tmp_path / "store")), 5.0, None)
    assert capsys.readouterr().err == "--max-cost does not count what has no price: my/judge.\n"


def test_a_server_that_answers_nothing_is_to_blame_and_not_the_filters(port: int, tmp_path: Path) -> None:
    def captions_alone(times: int, body: dict[str, Any]) -> Fault:
        return (
            "400"
            if len([part for part in body["messages"][0]["content"] if part["type"] == "image_url"]) > 1
            else None
        )

    with Proxy(port, captions_alone) as proxy:
        with pytest.raises(UserError, match=r"most texts were not written \(engine_error: .*told 400") as told:
            run_here(tmp_path, proxy, "pair.signals=[{kind: rank, lower: 1, upper: 2, per_image: 1}]")
        assert "mend that and give the same command again" in str(told.value)
        run = Run(tmp_path / "runs" / "demo", load_recipe("demo").recipe, Store(tmp_path / "runs" / "demo" / "store"))
        assert (
            _after_nothing(figures(run)) == "nothing was accepted, since no text was written: mend that, and run again"
        )
