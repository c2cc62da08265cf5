"""What tests share: a cache, a server, and properties tried on the same examples each time unless asked to explore."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from serving import transformers_serve


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of what can be made again, one for all tests of all workers: figures are drawn once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cirgen-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIRGEN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real OpenAI-compatible server with the embedded model, one for all tests of a worker."""
    with transformers_serve(tmp_path_factory.mktemp("serve")) as port:
        yield port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files that run models end to end come first, so that no worker waits long for another's last file."""
    slow = {item.path for item in items if {"integration", "server"} & {mark.name for mark in item.iter_markers()}}
    items.sort(key=lambda item: item.path not in slow)


settings.register_profile("fixed", max_examples=25, derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=400, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
