"""Who may speak to the emulator: access keys, and the check of a request's signature and date against them."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.signature import canonical_strings, sign_v2, sign_v4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The service's own window (control plane facts, ODPS-0410031): 900,000 ms each way.
WINDOW = timedelta(minutes=15)
_AUTHORIZATION = re.compile(
    r"ODPS (?P<id>[^:/\s]+)(?:/(?P<date>\d{8})/(?P<region>[^/:]+)/odps/aliyun_v4_request)?:(?P<signature>\S+)\Z"
)


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity: ``id`` is a number, ``name`` is like ``ALIYUN$...`` or ``RAM$<account>:role/<role>``."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; a temporary one has a token and an end."""

    access_key: str
    principal: Principal
    token: str = ""
    expires: datetime | None = None


class Accounts:
    """The access keys that are known; ``insecure`` takes every request as the owner's."""

    def __init__(self, owner: Principal, *, insecure: bool = False) -> None:
        self.owner = owner
        self.insecure = insecure
        self._credentials: dict[str, Credential] = {}

    def add(self, access_id: str, credential: Credential) -> None:
        """Know one more access key."""
        self._credentials[access_id] = credential

    def authenticate(self, method: str, target: str, headers: Mapping[str, str], now: datetime) -> Principal:
        """Who sent a request; ServiceError, with the service's codes, if that can't be told.

        Args:
            method: GET, POST, ...
            target: path and query below the endpoint's own path, still escaped.
            headers: of the request, names in any case of letters (a case-insensitive mapping).
            now: the emulator's time.
        """
        if self.insecure:
            return self.owner
        header = headers.get("Authorization")
        if not header:
            raise ServiceError(401, "AuthorizationRequired", "ODPS-0410011:Missing Authorization header in the request")
        match = _AUTHORIZATION.match(header)
        if not match:
            raise ServiceError(
                401, "AuthorizationRequired", "ODPS-0410021:Malformed Authorization header - expected ODPS id:signature"
            )
        credential = self._credentials.get(match["id"])
        if credential is None:
            raise ServiceError(
                400, "InvalidParameter", f"ODPS-0410051:Invalid credentials - accessKeyId not found: {match['id']}"
            )
        _check_signature(credential.access_key, match, canonical_strings(method, target, headers))
        _check_date(headers.get("Date", ""), now)
        _check_token(credential, headers.get("authorization-sts-token", ""), now)
        return credential.principal


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


def _check_date(text: str, now: datetime) -> None:
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


def _check_token(credential: Credential, token: str, now: datetime) -> None:
    if not hmac.compare_digest(credential.token.encode(), token.encode()):
        raise ServiceError(401, "Unauthorized", "ODPS-0410051:Invalid credentials - the security token does not match")
    if credential.expires is not None and now >= credential.expires:
        raise ServiceError(
            403, "AuthenticationRequestExpired", "ODPS-0410031:Authentication request expired - the token has expired"
        )


def _stamp(time: datetime) -> str:
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
