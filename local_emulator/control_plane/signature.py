"""The signatures of the control APIs: ACS3-HMAC-SHA256, version 1 (HMAC-SHA1) as RPC and as ROA, and FC 2.0's own.

`read` returns what a request claims about its sender; `authentication` checks the claim.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

from local_emulator.control_plane.errors import Refusal, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACS3 = "ACS3-HMAC-SHA256"
_ACS3 = re.compile(
    rf"{ACS3} Credential=(?P<key>[^,]+),\s*SignedHeaders=(?P<names>[^,]+),\s*Signature=(?P<hex>[0-9a-f]+)"
)
_ACS1 = re.compile(r"acs (?P<key>[^:\s]+):(?P<signature>\S+)")
# Headers that change a request's meaning or sender: if they are present, they must be signed.
_MEANING = ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")
# Parameters of a version 1 RPC request that belong to its signature, not to its action.
SIGNATURE_PARAMETERS = frozenset(
    {
        "Action",
        "Version",
        "Format",
        "Timestamp",
        "SignatureNonce",
        "SignatureMethod",
        "SignatureVersion",
        "SignatureType",
        "AccessKeyId",
        "SecurityToken",
        "Signature",
    }
)


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it was received: ``target`` is the path and query of the request line, still escaped.

    ``headers`` is a mapping with case-insensitive names; ``form`` has the body's fields if the body is a form.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    form: Mapping[str, str] | None = None

    @property
    def path(self) -> str:
        """The path, still escaped."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; if a name has several values, the last."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class SignatureClaim:
    """What a request claims about its sender; ``sign`` computes the request's right signature from a secret.

    ``nonce`` is empty if the signature has none.
    """

    key_id: str
    token: str
    nonce: str
    sent: datetime
    signature: str
    sign: Callable[[str], str]


def read(message: Message) -> SignatureClaim:
    """Return the claim of a request; RefusedError INCOMPLETE or WRONG_SIGNATURE if the request has no valid claim."""
    authorization = message.headers.get("authorization", "")
    if authorization.startswith(ACS3):
        return _read_acs3(message, authorization)
    if authorization.startswith("acs "):
        return _read_roa(message, authorization)
    if authorization.startswith("FC "):
        return _read_fc(message, authorization)
    parameters = {**message.query, **(message.form or {})}
    if "Signature" in parameters:
        return _read_rpc(message, parameters)
    raise _incomplete(f"an Authorization header with {ACS3}, or a Signature parameter")


def _read_acs3(message: Message, authorization: str) -> SignatureClaim:
    match = _ACS3.fullmatch(authorization)
    if not match:
        raise _incomplete(f"Authorization: {ACS3} Credential=..,SignedHeaders=..,Signature=..")
    headers, names = message.headers, match["names"].split(";")
    token = headers.get("x-acs-security-token", "")
    for name in (*_MEANING, "x-acs-security-token") if token else _MEANING:
        if name in headers and name not in names:
            raise _incomplete(f"the header {name} among the signed ones")
    for name in names:
        if name not in headers:
            raise _incomplete(f"the header {name}, which is said to be signed")
    payload = headers.get("x-acs-content-sha256", "")
    if payload != hashlib.sha256(message.body).hexdigest():
        raise RefusedError(
            Refusal.WRONG_SIGNATURE, "The header x-acs-content-sha256 is not the hash of the body that was received."
        )
    canonical = "\n".join(
        [
            message.method,
            message.path,
            _escaped_pairs(message.query),
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            match["names"],
            payload,
        ]
    )
    text = f"{ACS3}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return SignatureClaim(
        match["key"],
        token,
        _needed(headers, "x-acs-signature-nonce"),
        _iso_time(_needed(headers, "x-acs-date")),
        match["hex"],
        lambda secret: hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
    )


def _read_rpc(message: Message, parameters: Mapping[str, str]) -> SignatureClaim:
    signed = {name: value for name, value in parameters.items() if name != "Signature"}
    if signed.get("SignatureMethod") != "HMAC-SHA1":
        raise _incomplete("SignatureMethod=HMAC-SHA1")
    text = f"{message.method}&%2F&{_escaped(_escaped_pairs(signed))}"
    return SignatureClaim(
        _needed(signed, "AccessKeyId"),
        signed.get("SecurityToken", ""),
        _needed(signed, "SignatureNonce"),
        _iso_time(_needed(signed, "Timestamp")),
        parameters["Signature"],
        lambda secret: _hmac_sha1(f"{secret}&", text),
    )


def _read_roa(message: Message, authorization: str) -> SignatureClaim:
    match = _ACS1.fullmatch(authorization)
    if not match:
        raise _incomplete("Authorization: acs <access key id>:<signature>")
    headers = message.headers
    md5 = headers.get("content-md5", "")
    if md5 and md5 != base64.b64encode(hashlib.md5(message.body, usedforsecurity=False).digest()).decode():
        raise RefusedError(
            Refusal.WRONG_SIGNATURE, "The header content-md5 is not the hash of the body that was received."
        )
    own = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-acs-"))
    pairs = "&".join(f"{name}={value}" if value else name for name, value in sorted(message.query.items()))
    path = unquote(message.path)
    text = "\n".join(
        [
            message.method,
            *(headers.get(name, "") for name in ("accept", "content-md5", "content-type", "date")),
            *(f"{name}:{value}" for name, value in own),
            f"{path}?{pairs}" if pairs else path,
        ]
    )
    return SignatureClaim(
        match["key"],
        headers.get("x-acs-security-token", ""),
        _needed(headers, "x-acs-signature-nonce"),
        _http_time(_needed(headers, "date")),
        match["signature"],
        lambda secret: _hmac_sha1(secret, text),
    )


def _read_fc(message: Message, authorization: str) -> SignatureClaim:
    """Read Function Compute 2.0's signature, which has no nonce and doesn't cover the body."""
    key, _, signature = authorization[len("FC ") :].partition(":")
    headers = message.headers
    own = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-fc-"))
    text = "\n".join(
        [
            message.method,
            *(headers.get(name, "") for name in ("content-md5", "content-type", "date")),
            *(f"{name}:{value}" for name, value in own),
            unquote(message.path),
        ]
    )
    return SignatureClaim(
        key,
        headers.get("x-fc-security-token", ""),
        "",
        _http_time(_needed(headers, "date")),
        signature,
        lambda secret: base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha256)).decode(),
    )


def _hmac_sha1(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _escaped(text: str) -> str:
    return quote(text, safe="~")


def _escaped_pairs(pairs: Mapping[str, str]) -> str:
    return "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in sorted(pairs.items()))


def _needed(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "")
    if not value:
        raise _incomplete(name)
    return value


def _iso_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise RefusedError(
            Refusal.WRONG_TIME, f"Expected a UTC time like 2026-11-22T08:00:00Z, found {text!r}."
        ) from None


def _http_time(text: str) -> datetime:
    try:
        sent = parsedate_to_datetime(text)
    except ValueError:
        raise RefusedError(Refusal.WRONG_TIME, f"Expected an RFC 822 time in Date, found {text!r}.") from None
    return sent if sent.tzinfo else sent.replace(tzinfo=timezone.utc)


def _incomplete(expected: str) -> RefusedError:
    return RefusedError(
        Refusal.INCOMPLETE, f"The request signature does not conform to Aliyun standards: expected {expected}."
    )
