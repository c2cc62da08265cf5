"""Ctrl-C stops a run, also where a library would lose it."""

from __future__ import annotations

import gc
import signal
import threading
import time

import pytest

from cirgen.cli.interrupts import insistent


class Careless:
    """A library's object: an interrupt in its destructor is printed and forgotten."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_library_loses_comes_again() -> None:
    with pytest.raises(KeyboardInterrupt), insistent(seconds=0.1):
        Careless()
        gc.collect()
        time.sleep(30)


def test_one_that_is_heeded_does_not_come_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), insistent(seconds=0.1):
        signal.raise_signal(signal.SIGINT)
    time.sleep(0.3)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_takes_less_than_the_time_to_save_is_not_disturbed() -> None:
    saved = []
    with pytest.raises(KeyboardInterrupt), insistent(seconds=20):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            time.sleep(0.2)
            saved.append(True)
    assert saved == [True]


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with insistent():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
