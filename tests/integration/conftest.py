"""The local MaxCompute with the connector document's table, its owner's client, and the client of the role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from odps import ODPS

from local_emulator.maxcompute import server
from tests.access_clients import CREATE, DOCUMENTED, PROJECT, ROLE, client_of, issue

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def emulator() -> Iterator[server.MaxComputeServer]:
    with server.start(PROJECT, account_name="me@example.com") as running:
        yield running


@pytest.fixture
def owner(emulator: server.MaxComputeServer) -> ODPS:
    client = ODPS("ak", "sk", PROJECT, endpoint=emulator.endpoint)
    client.execute_sql(CREATE)
    return client


@pytest.fixture
def role(emulator: server.MaxComputeServer, owner: ODPS) -> ODPS:
    """The connector's role, with a token of STS, after what the document says was done."""
    for statement in DOCUMENTED:
        owner.execute_security_query(statement)
    return client_of(emulator, issue(emulator, ROLE))
