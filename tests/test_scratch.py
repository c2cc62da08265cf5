"""Scratch folders belong to one process, and those of the dead are cleared away."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cirgen.publish import folder as publish_folder
from cirgen.publish.folder import remove_folder, replaced_folder
from cirgen.scratch import remove_leftover_folders, scratch_folder

HOLDER = """
import sys
from pathlib import Path
from cirgen.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_at_once_never_share_a_folder_and_leave_nothing(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "x") as one, scratch_folder(tmp_path / "x") as other:
        assert one != other
        (one / "a").write_text("a")
        assert list(other.iterdir()) == []
    assert names(tmp_path) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_live_one_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        remove_leftover_folders(tmp_path / "x")
        assert (folder / "half").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
        remove_leftover_folders(tmp_path / "x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "aside"])
def test_many_builders_at_once_leave_one_whole_folder(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setattr(publish_folder, "_exchange", lambda one, other: False)
    errors: list[BaseException] = []

    def build(number: int) -> None:
        try:
            for _ in range(10):
                with replaced_folder(tmp_path / "dataset") as root:
                    for name in "abc":
                        (root / name).write_text(str(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert names(tmp_path) == ["dataset"]
    assert len({(tmp_path / "dataset" / name).read_text() for name in "abc"}) == 1


def test_a_folder_is_removed_as_a_whole_and_one_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    with replaced_folder(tmp_path / "dataset") as root:
        (root / "a").write_text("a")
    remove_folder(tmp_path / "dataset")
    remove_folder(tmp_path / "dataset")
    assert names(tmp_path) == []
