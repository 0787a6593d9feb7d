"""OSS's signature of version 1, with which code is uploaded."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def oss_signature(method: str, resource: str, headers: Mapping[str, str], secret: str) -> str:
    """Return the signature of a request; `resource` is /BUCKET/OBJECT, unescaped."""
    own = sorted((name.lower(), value.strip()) for name, value in headers.items() if name.lower().startswith("x-oss-"))
    known = {name.lower(): value for name, value in headers.items()}
    date = known.get("x-oss-date") or known.get("date", "")
    lines = [method, known.get("content-md5", ""), known.get("content-type", ""), date]
    lines += [*(f"{name}:{value}" for name, value in own), resource]
    return base64.b64encode(hmac.digest(secret.encode(), "\n".join(lines).encode(), hashlib.sha1)).decode()
