"""Bearer tokens: made for someone with a policy and an end, and good by themselves in place of a signature.

Nothing is kept of a token: it says what it was made with, under a seal that only this run of the emulator can make.
Clients see an opaque text of letters, digits, ``-``, ``_`` and ``.``, which can stand in an address.
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

# The most that can be asked for; the service's own bound is not documented.
MAX_HOURS = 24 * 365


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: who signed it, the policy that it is limited to, when it ends (aware)."""

    name: str
    policy: str
    expires: datetime


class BearerSeal:
    """Makes and opens tokens; those of an earlier run aren't known."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, claims: Claims) -> str:
        """A token."""
        payload = _encoded(json.dumps([claims.name, claims.policy, claims.expires.timestamp()]).encode())
        return f"{payload}.{_encoded(self._seal(payload))}"

    def open(self, token: str) -> Claims:
        """What a token says, be it over or not; ServiceError Unauthorized if it isn't one of this run's."""
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
    """The policy (a JSON text) and the life that a client asks for; ServiceError InvalidArgument if it doesn't."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise invalid(f"expected a JSON object with policy and expires_in_hours: {error}") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("policy"), dict):
        raise invalid("expected a JSON object with an object policy, found none")
    hours = asked.get("expires_in_hours")
    if not isinstance(hours, (int, float)) or isinstance(hours, bool) or not 0 < hours <= MAX_HOURS:
        raise invalid(f"expected expires_in_hours above 0 and up to {MAX_HOURS}, found {hours!r}")
    return json.dumps(asked["policy"]), timedelta(hours=hours)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
