"""The local cloud's client of its tables."""

from __future__ import annotations

import pytest
from odps import ODPS

from local_emulator.cli import sql_answers

pytestmark = pytest.mark.quick


def test_a_client_of_one_cloud_leaves_those_of_another_alone() -> None:
    ours = sql_answers.client("ak", "sk", "p", "http://127.0.0.1:1/api", "http://127.0.0.1:1")
    assert ours.tunnel_endpoint == "http://127.0.0.1:1"
    assert ODPS("ak", "sk", "p", "http://127.0.0.1:2/api").tunnel_endpoint is None


@pytest.mark.parametrize("sign", ["\0", "\x01", "\x1b", "\uffff"])
def test_a_statement_that_xml_cannot_hold_is_refused_with_its_place(sign: str) -> None:
    nowhere = sql_answers.client("ak", "sk", "p", "http://127.0.0.1:1/api", "http://127.0.0.1:1")
    with pytest.raises(sql_answers.StatementError, match=f"U\\+{ord(sign):04X} at character 8"):
        list(sql_answers.run(nowhere, f"select {sign}"))
