"""The local cloud's client of its tables."""

from __future__ import annotations

import pytest
from odps import ODPS

from local_emulator import tables

pytestmark = pytest.mark.quick


def test_a_client_of_one_cloud_leaves_those_of_another_alone() -> None:
    ours = tables.client("ak", "sk", "p", "http://127.0.0.1:1/api", "http://127.0.0.1:1")
    assert ours.tunnel_endpoint == "http://127.0.0.1:1"
    assert ODPS("ak", "sk", "p", "http://127.0.0.1:2/api").tunnel_endpoint is None
