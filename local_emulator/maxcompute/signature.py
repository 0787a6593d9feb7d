"""MaxCompute's request signatures, versions 2 and 4: the signed text, and the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_V4_PREFIX = "aliyun_v4"


def canonical_strings(method: str, target: str, headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the texts that a client may have signed for a request, likeliest first.

    Args:
        method: GET, POST, ...
        target: path and query of the request line without the endpoint's path, still escaped.
        headers: names in any case.

    Java signs values that it decoded once. PyODPS decodes the target, splits it, and decodes the values again.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    path, _, query = target.partition("?")
    yield _canonical(method, unquote(path), query, lowered)
    path, _, query = unquote(target).partition("?")
    yield _canonical(method, path, query, lowered)
    yield _canonical(method, unquote(path), query, lowered)


def sign_v2(access_key: str, canonical: str) -> str:
    """Return the signature in ``Authorization: ODPS <access id>:<signature>``."""
    return _hmac_sha1(access_key.encode(), canonical)


def sign_v4(access_key: str, canonical: str, date: str, region: str) -> str:
    """Return the signature of ``Authorization: ODPS <id>/<date>/<region>/odps/aliyun_v4_request:<signature>``."""
    key = (_V4_PREFIX + access_key).encode()
    for part in (date, region, "odps", f"{_V4_PREFIX}_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return _hmac_sha1(key, canonical)


def _canonical(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    signed = {name: headers.get(name, "") for name in ("content-md5", "content-type", "date")}
    signed.update((name, value) for name, value in headers.items() if name.startswith("x-odps-"))
    signed.update((name, value) for name, value in parameters.items() if name.startswith("x-odps-"))
    lines = [f"{name}:{signed[name]}" if name.startswith("x-odps-") else signed[name] for name in sorted(signed)]
    pairs = "&".join(f"{name}={value}" if value else name for name, value in sorted(parameters.items()))
    return "\n".join([method, *lines, f"{path}?{pairs}" if pairs else path])


def _hmac_sha1(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode("ascii")
