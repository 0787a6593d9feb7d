"""EventBridge's own dead-letter queue: a message that can't be opened keeps none of the others back."""

from __future__ import annotations

import base64

import pytest

from provisioning.redrive import delivered

pytestmark = pytest.mark.quick

DEEP = b"[" * 100_000 + b"]" * 100_000
"""Deeper than any Python reads; how deep that is differs between versions."""


@pytest.mark.parametrize("field", ['"value":%s', '"value":"x","headers":%s'])
@pytest.mark.parametrize("encoded", [False, True])
def test_a_message_that_nests_deeply_is_one_element(field: str, encoded: bool) -> None:
    record = b'{"data":{"topic":"t","partition":0,"offset":1,' + field.encode() % DEEP + b"}}"
    body = b"[" + record + b"]"
    message = base64.b64encode(body) if encoded else body

    found = list(delivered.elements(message))

    assert found == [body]
    assert delivered.letter(found[0], "orders", "Json").record.value == body
