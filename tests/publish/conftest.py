from __future__ import annotations

from collections.abc import Iterator

import pytest

from hub_server import HubServer, hub_server


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with hub_server() as server:
        yield server
