"""The signature of the FC 2.0 API."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def sign(method: str, path: str, headers: Mapping[str, str], secret: str) -> str:
    """Return the FC 2.0 signature: base64 of the HMAC-SHA256 of method, MD5, type, date, sorted x-fc- headers, path."""
    named = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-fc-"))
    parts = [method, *(headers.get(name, "") for name in ("content-md5", "content-type", "date"))]
    parts += [*(f"{name}:{value}" for name, value in named), path]
    return base64.b64encode(hmac.digest(secret.encode(), "\n".join(parts).encode(), hashlib.sha256)).decode()
