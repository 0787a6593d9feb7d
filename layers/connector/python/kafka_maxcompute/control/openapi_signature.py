"""Signs calls to Alibaba Cloud's OpenAPI: ACS3-HMAC-SHA256, the service's "V3 request signature" (2025)."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Credentials

ALGORITHM = "ACS3-HMAC-SHA256"


def encoded(parameters: Mapping[str, str]) -> str:
    """Return parameters as a query or a form, sorted; all bytes are escaped except RFC 3986's unreserved ones."""
    return "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in sorted(parameters.items()))


def signed(  # noqa: D417 # the rest is HTTP's own
    method: str,
    host: str,
    path: str,
    query: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    credentials: Credentials,
    now: datetime | None = None,
    nonce: str = "",
) -> dict[str, str]:
    """Return the headers of a request, including its signature.

    Args:
        host: with its port, unless it's the default port of the scheme
        query: as `encoded` returns it
        headers: with lower-case names; the action, the version and the body's type
        now, nonce: by default the present time and a new random word
    """
    complete = {
        **headers,
        "host": host,
        "x-acs-date": (now or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce or uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    if credentials.security_token:
        complete["x-acs-security-token"] = credentials.security_token
    names = ";".join(sorted(complete))
    lines = "".join(f"{name}:{complete[name].strip()}\n" for name in sorted(complete))
    canonical = "\n".join((method, path, query, lines, names, complete["x-acs-content-sha256"]))
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(credentials.access_key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    complete["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names},Signature={signature}"
    )
    return complete


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")
