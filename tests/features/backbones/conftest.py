from __future__ import annotations

import pytest
from small_network import small_network


@pytest.fixture
def network() -> bytes:
    return small_network()
