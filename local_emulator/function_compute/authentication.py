"""Checks who calls: by the signature of the FC 2.0 API, or by the key id in an FC 3.0 request."""

from __future__ import annotations

import hmac
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.signature import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.function_compute.instances import Credentials

_CLOCK_SECONDS = 15 * 60  # the service's page on HTTP triggers: a signature expires after 15 minutes
_ACS3_KEY = re.compile(r"\bCredential=([^,\s]+)")


def check(method: str, path: str, headers: Mapping[str, str], credentials: Credentials) -> None:
    """Raise FunctionComputeError if a request isn't signed with the key; `path` is unescaped and has no query.

    Of the 3.0 API's ACS3-HMAC-SHA256 only the key id is checked, not the signature.
    """
    authorization = headers.get("authorization", "")
    if authorization.startswith("FC "):
        _check_fc(method, path, headers, credentials, authorization)
    elif authorization.startswith("ACS3-HMAC-SHA256 "):
        match = _ACS3_KEY.search(authorization)
        _check_key(match[1] if match else "", credentials)
    else:
        raise FunctionComputeError(400, "MissingRequiredHeader", "required HTTP header Authorization was not specified")


def _check_fc(method: str, path: str, headers: Mapping[str, str], credentials: Credentials, authorization: str) -> None:
    key, _, signature = authorization[len("FC ") :].partition(":")
    _check_key(key, credentials)
    try:
        sent = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        raise FunctionComputeError(
            400, "MissingRequiredHeader", "required HTTP header Date was not specified"
        ) from None
    if abs(time.time() - sent) > _CLOCK_SECONDS:
        raise FunctionComputeError(
            403, "AccessDenied", "the Date header is more than 15 minutes from the service's clock"
        )
    if not hmac.compare_digest(signature.encode(), sign(method, path, headers, credentials.access_key_secret).encode()):
        raise FunctionComputeError(
            403,
            "SignatureNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your access key and signing method",
        )


def _check_key(key: str, credentials: Credentials) -> None:
    if key != credentials.access_key_id:
        raise FunctionComputeError(403, "InvalidAccessKeyID", f"invalid access key ID '{key}'")
