"""Access keys and tokens, and the check of requests' signatures and dates."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from local_emulator.maxcompute.access.bearer import BearerSeal, Claims
from local_emulator.maxcompute.access.names import Account, parse_name
from local_emulator.maxcompute.access.policies import token_rules
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.signature import canonical_strings, sign_v2, sign_v4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_emulator.foundation.clock import Clock
    from local_emulator.maxcompute.access.policies import Rule

# The service's window: 900,000 ms before and after the current time, as its error ODPS-0410031 says.
WINDOW = timedelta(minutes=15)
# For this time after its end a token is refused as expired, afterwards as unknown.
_REMEMBERED = timedelta(days=1)
_AUTHORIZATION = re.compile(
    r"ODPS (?P<id>[^:/\s]+)(?:/(?P<date>\d{8})/(?P<region>[^/:]+)/odps/aliyun_v4_request)?:(?P<signature>\S+)\Z"
)


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity: ``id`` is a number, ``name`` is like ``ALIYUN$...`` or ``RAM$<account>:role/<role>``.

    ``limits``: the rules of the request's bearer token; None: a request without bearer token, so without such limits.
    """

    id: str
    name: str
    limits: tuple[Rule, ...] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; a temporary key has a token and a time of expiry."""

    access_key: str
    principal: Principal
    token: str = ""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """The temporary credentials that STS returns for an assumed role."""

    access_id: str
    access_key: str
    token: str
    expires: datetime


class Accounts:
    """The known access keys; with ``insecure``, every request counts as the account owner's."""

    def __init__(self, account: Account, *, insecure: bool = False) -> None:
        self.account = account
        self.owner = Principal(account.id, account.principal)
        self.insecure = insecure
        self._credentials: dict[str, Credential] = {}
        self._lock = threading.Lock()
        self._seal = BearerSeal()

    def principal(self, name: str) -> Principal:
        """Return the identity of a name; ServiceError InvalidArgument if the text isn't a name."""
        return Principal(parse_name(name, self.account).id, name)

    def add(self, access_id: str, credential: Credential) -> None:
        """Add an access key."""
        with self._lock:
            self._credentials[access_id] = credential

    def issue(self, name: str, now: datetime, life: timedelta) -> TemporaryKey:
        """Return a new temporary key and token for an identity such as ``RAM$<account>:role/<role>``."""
        key = TemporaryKey(f"STS.{secrets.token_hex(12)}", secrets.token_hex(22), secrets.token_urlsafe(96), now + life)
        credential = Credential(key.access_key, self.principal(name), key.token, key.expires)
        with self._lock:
            self._credentials = {
                access_id: known
                for access_id, known in self._credentials.items()
                if known.expires is None or now - known.expires < _REMEMBERED
            } | {key.access_id: credential}
        return key

    def sign_bearer(self, principal: Principal, policy: str, expires: datetime) -> str:
        """Return a bearer token that limits an identity to a policy; ServiceError InvalidArgument for a bad policy."""
        token_rules(policy, self.account)
        return self._seal.sign(Claims(principal.name, policy, expires))

    def authenticate(self, method: str, target: str, headers: Mapping[str, str], clock: Clock) -> Principal:
        """Return the identity that sent a request; ServiceError, with the service's codes, for invalid credentials.

        Args:
            method: GET, POST, ...
            target: path and query without the endpoint's path, still escaped.
            headers: the request's headers, in a case-insensitive mapping.
            clock: the emulator's clock.
        """
        if self.insecure:
            return self.owner
        if "x-odps-bearer-token" in headers:
            return self._bearer(headers["x-odps-bearer-token"], clock.now())
        match = _authorization(headers)
        credential = self._credentials.get(match["id"])
        if credential is None:
            raise ServiceError(
                400, "InvalidParameter", f"ODPS-0410051:Invalid credentials - accessKeyId not found: {match['id']}"
            )
        _check_signature(credential.access_key, match, canonical_strings(method, target, headers))
        _check_date(headers.get("Date", ""), match["date"], clock.wire_now())
        _check_token(credential, headers.get("authorization-sts-token", ""), clock.now())
        return credential.principal

    def _bearer(self, token: str, now: datetime) -> Principal:
        claims = self._seal.open(token)
        if now >= claims.expires:
            raise expired_token()
        return replace(self.principal(claims.name), limits=token_rules(claims.policy, self.account))


def expired_token() -> ServiceError:
    """Return the error for a request with an expired token."""
    return ServiceError(
        403, "AuthenticationRequestExpired", "ODPS-0410031:Authentication request expired - the token has expired"
    )


def _authorization(headers: Mapping[str, str]) -> re.Match[str]:
    """Return the parts of the Authorization header; ServiceError without header, or for an application's signature."""
    if "application-authentication" in headers:
        raise ServiceError(401, "Unauthorized", "ODPS-0410051:Invalid credentials - no application is known here")
    header = headers.get("Authorization")
    if not header:
        raise ServiceError(401, "AuthorizationRequired", "ODPS-0410011:Missing Authorization header in the request")
    match = _AUTHORIZATION.match(header)
    if not match:
        raise ServiceError(
            401, "AuthorizationRequired", "ODPS-0410021:Malformed Authorization header - expected ODPS id:signature"
        )
    return match


def _check_signature(access_key: str, match: re.Match[str], canonicals: Iterator[str]) -> None:
    for canonical in canonicals:
        expected = (
            sign_v4(access_key, canonical, match["date"], match["region"])
            if match["date"]
            else sign_v2(access_key, canonical)
        )
        if hmac.compare_digest(expected.encode(), match["signature"].encode()):
            return
    raise ServiceError(403, "SignatureNotMatch", "ODPS-0410042:Invalid signature value - User signature does not match")


def _check_date(text: str, key_date: str, now: datetime) -> None:
    """Check the Date header, and the UTC day of a version 4 signature's key (empty for version 2)."""
    try:
        sent = parsedate_to_datetime(text)
    except ValueError:
        raise ServiceError(
            400, "InvalidArgument", f"expected an RFC 822 time in the Date header, found {text!r}"
        ) from None
    sent = sent if sent.tzinfo else sent.replace(tzinfo=timezone.utc)
    if abs(now - sent) > WINDOW:
        window = int(WINDOW.total_seconds() * 1000)
        raise ServiceError(
            403,
            "RequestTimeTooSkewed",
            "ODPS-0410031:Authentication request expired - "
            f"the expire time interval exceeds the max limitation: {window}, "
            f"max_interval_date:{window},expire_date:{_stamp(sent)},now_date:{_stamp(now)}",
        )
    if key_date and key_date not in {f"{time:%Y%m%d}" for time in (now - WINDOW, now + WINDOW)}:
        raise ServiceError(
            403,
            "SignatureNotMatch",
            f"ODPS-0410042:Invalid signature value - the signature's key is of {key_date}, it is {now:%Y%m%d}",
        )


def _check_token(credential: Credential, token: str, now: datetime) -> None:
    if not hmac.compare_digest(credential.token.encode(), token.encode()):
        raise ServiceError(401, "Unauthorized", "ODPS-0410051:Invalid credentials - the security token does not match")
    if credential.expires is not None and now >= credential.expires:
        raise expired_token()


def _stamp(time: datetime) -> str:
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
