"""Our signature is the one that the official SDK computes for the same request."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone

import pytest
from alibabacloud_tea_openapi.utils import Utils
from hypothesis import given
from hypothesis import strategies as st

from fc_powertools import Credentials
from kafka_maxcompute.control.openapi_signature import ALGORITHM, encoded, signed

pytestmark = pytest.mark.quick

KEYS = Credentials("LTAIexample", "secret", "token of a role")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
NAMES = st.from_regex(r"[A-Za-z]{1,9}(\.[0-9])?", fullmatch=True)  # the SDK doesn't escape what no name has
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


class SdkRequest:
    """What the SDK's signer reads of a request."""

    def __init__(self, method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> None:
        self.method, self.pathname, self.query, self.headers = method, path, query, headers


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.binary(max_size=40))
def test_it_is_the_sdks_own(parameters: dict[str, str], body: bytes) -> None:
    headers = {"x-acs-action": "GetRole", "x-acs-version": "2015-05-01", "content-type": "text/plain"}
    sent = signed(
        "POST", "127.0.0.1:80", "/", encoded(parameters), body, headers=headers, credentials=KEYS, now=NOW, nonce="n"
    )
    ours = sent.pop("authorization")
    payload = hashlib.sha256(body).hexdigest()
    theirs = Utils.get_authorization(
        SdkRequest("POST", "/", parameters, sent), ALGORITHM, payload, KEYS.access_key_id, KEYS.access_key_secret
    )
    assert ours == theirs


def test_no_two_requests_have_the_same_nonce() -> None:
    nonces = {
        signed("POST", "h", "/", "", b"", headers={}, credentials=KEYS)["x-acs-signature-nonce"] for _ in range(50)
    }
    assert len(nonces) == 50


def test_a_lasting_key_sends_no_token() -> None:
    assert "x-acs-security-token" not in signed(
        "POST", "h", "/", "", b"", headers={}, credentials=Credentials("ak", "sk")
    )
