"""Bearer tokens: credentials that replace a signature, with a policy and a time of expiry.

The emulator stores no tokens: a token contains its claims, with a seal by a key of this run of the emulator. For
clients a token is an opaque text of letters, digits, ``-``, ``_`` and ``.``, which is valid in a URL.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from local_emulator.maxcompute.errors import ServiceError, invalid

# The longest life of a token; the service's limit is not documented.
MAX_HOURS = 24 * 365


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's claims: the signing identity's name, the policy, and the (aware) time of expiry."""

    name: str
    policy: str
    expires: datetime


class BearerSeal:
    """Signs and opens the tokens of this run of the emulator."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, claims: Claims) -> str:
        """Return a token with these claims."""
        payload = _encoded(json.dumps([claims.name, claims.policy, claims.expires.timestamp()]).encode())
        return f"{payload}.{_encoded(self._seal(payload))}"

    def open(self, token: str) -> Claims:
        """Return the claims of a token, expired or not; ServiceError Unauthorized for a token of another run."""
        payload, _, seal = token.partition(".")
        if not token.isascii() or not hmac.compare_digest(_encoded(self._seal(payload)), seal):
            raise ServiceError(
                401, "Unauthorized", "ODPS-0410051:Invalid credentials - the bearer token was not signed here"
            )
        name, policy, end = json.loads(base64.urlsafe_b64decode(payload + "=="))
        return Claims(name, policy, datetime.fromtimestamp(end, timezone.utc))

    def _seal(self, payload: str) -> bytes:
        return hmac.digest(self._key, payload.encode(), hashlib.sha256)


def parse_request(body: bytes) -> tuple[str, timedelta]:
    """Return the requested policy (a JSON text) and life; ServiceError InvalidArgument for an invalid request."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise invalid(f"expected a JSON object with policy and expires_in_hours: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("policy"), dict):
        raise invalid("expected a JSON object with an object policy, found none")
    hours = document.get("expires_in_hours")
    if not isinstance(hours, (int, float)) or isinstance(hours, bool) or not 0 < hours <= MAX_HOURS:
        raise invalid(f"expected expires_in_hours above 0 and up to {MAX_HOURS}, found {hours!r}")
    return json.dumps(document["policy"]), timedelta(hours=hours)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
