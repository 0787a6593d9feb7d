"""Authenticate requests: check the access key, the time, the signature, the token and the nonce."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from local_emulator.control_plane import signature
from local_emulator.control_plane.errors import Refusal, RefusedError
from local_emulator.control_plane.identity import AccessKey, AccessKeys

if TYPE_CHECKING:
    from local_emulator.control_plane.signature import Message
    from local_emulator.control_plane.state import AccountState
    from local_emulator.foundation.clock import Clock

# Into the past and the future, as version 1 documents it. No number is published for ACS3: the same one is used.
WINDOW = timedelta(minutes=15)


class Gate:
    """Authenticates requests, and remembers their nonces while their times are accepted."""

    def __init__(self, state: AccountState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def enter(self, message: Message) -> AccessKey:
        """Return the key that signed a request; RefusedError if the request isn't authentic."""
        claim = signature.read(message)
        with self._state.lock:
            key = self._state.part(AccessKeys).keys.get(claim.key_id)
            if key is None:
                raise RefusedError(Refusal.UNKNOWN_KEY, "Specified access key is not found.")
            now = self._clock.wire_now()
            if abs(now - claim.sent) > WINDOW:
                raise RefusedError(
                    Refusal.WRONG_TIME,
                    f"Specified time stamp or date value is expired: found {claim.sent:%Y-%m-%dT%H:%M:%SZ}, "
                    f"expected one within {WINDOW.seconds // 60} minutes of {now:%Y-%m-%dT%H:%M:%SZ}.",
                )
            if not hmac.compare_digest(claim.sign(key.secret).encode(), claim.signature.encode()):
                raise RefusedError(
                    Refusal.WRONG_SIGNATURE,
                    "Specified signature is not matched with our calculation. Check the access key secret, and that "
                    "nothing on the way changes the request.",
                )
            if not hmac.compare_digest(key.token.encode(), claim.token.encode()):
                raise RefusedError(Refusal.WRONG_TOKEN, "Specified SecurityToken is not matched with the AccessKey.")
            if key.expires is not None and self._clock.now() >= key.expires:
                raise RefusedError(Refusal.EXPIRED_TOKEN, "Specified SecurityToken is expired.")
            if claim.nonce:
                self._remember((claim.key_id, claim.nonce), now)
            return key

    def _remember(self, nonce: tuple[str, str], now: datetime) -> None:
        while self._seen and abs(now - next(iter(self._seen.values()))) > WINDOW * 2:
            self._seen.popitem(last=False)
        if nonce in self._seen:
            raise RefusedError(Refusal.NONCE_USED, "Specified signature nonce was used already.")
        self._seen[nonce] = now
