"""The temporary OSS bucket for code: the token that Function Compute hands out, uploads (PutObject), downloads.

Clients name the bucket in the host or as the first part of the path. Only OSS's signature of version 1 is emulated.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web
from fastcrc import crc64

from local_emulator.control_plane.authentication import WINDOW
from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.identity import AccessKey, AccessKeys, RamPrincipal
from local_emulator.function_compute.content import MOST_BYTES
from local_emulator.function_compute.signature import oss_signature

if TYPE_CHECKING:
    from pathlib import Path

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.function_compute.entities import Functions
    from local_emulator.control_plane.state import AccountState
    from local_emulator.foundation.clock import Clock

SCHEME = "OSS "
_BUCKET = "fc-code-"
_UPLOADER = "function-compute-upload"
"""The name of the identity whose only permission is to upload code."""
_TOKEN_LIFE = timedelta(hours=1)
_CHUNK = 1 << 20


def token(call: Call) -> dict[str, object]:
    """GetTempBucketToken, of FC 2.0: keys with which the caller may upload the code of one function or layer."""
    principal = RamPrincipal("AssumedRoleUser", call.account, _UPLOADER, _UPLOADER, "upload")
    key_id, key = call.state.part(AccessKeys).issue_temporary(principal, call.now, _TOKEN_LIFE)
    return {
        "credentials": {
            "AccessKeyId": key_id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.token,
            "Expiration": f"{call.now + _TOKEN_LIFE:%Y-%m-%dT%H:%M:%SZ}",
        },
        "ossRegion": f"oss-{call.rules.region}",
        "ossBucket": f"{_BUCKET}{call.account}",
        "objectName": f"{uuid.uuid4()}.zip",
        "codeSizeLimit": MOST_BYTES,
    }


class ObjectStorage:
    """Receives and serves the objects of one account's bucket."""

    def __init__(self, account: str, state: AccountState, clock: Clock, functions: Functions) -> None:
        self._account = account
        self._bucket = f"{_BUCKET}{account}"
        self._state = state
        self._clock = clock
        self._functions = functions

    async def put(self, request: web.Request) -> web.Response:
        """PutObject; the body may come in chunks and without a Content-Length."""
        request_id = uuid.uuid4().hex[:24].upper()
        headers = {"x-oss-request-id": request_id}
        try:
            bucket, name = self._names(request)
            self._check(request, bucket, name)
            file = self._functions.uploads.new_file()
            try:
                checksum, md5 = await _receive(request, file)
            except BaseException:
                self._functions.uploads.discard(file)
                raise
        except ApiError as error:
            text = (
                f"<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>{error.code}</Code>"
                f"<Message>{escape(error.message)}</Message><RequestId>{request_id}</RequestId>"
                f"<HostId>{escape(request.host)}</HostId></Error>"
            )
            return web.Response(status=error.status, text=text, content_type="application/xml", headers=headers)
        self._functions.uploads.add(bucket, name, file)
        return web.Response(headers={**headers, "ETag": f'"{md5}"', "x-oss-hash-crc64ecma": checksum})

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Return the zip of a content, whose address GetFunctionCode and GetLayerVersion return."""
        return web.FileResponse(self._functions.contents.zip_file(request.match_info["name"]))

    def _names(self, request: web.Request) -> tuple[str, str]:
        path = unquote(request.raw_path.partition("?")[0]).lstrip("/")
        first, _, rest = path.partition("/")
        bucket, name = (first, rest) if first == self._bucket else (request.host.partition(".")[0], path)
        if bucket != self._bucket:
            raise ApiError(404, "NoSuchBucket", f"The specified bucket does not exist: {bucket}.")
        return bucket, name

    def _check(self, request: web.Request, bucket: str, name: str) -> None:
        """Check signature, token, date and permission; ApiError."""
        headers = request.headers
        key_id, _, signature = headers.get("Authorization", "").removeprefix(SCHEME).partition(":")
        with self._state.lock:
            key = self._state.part(AccessKeys).keys.get(key_id)
        if key is None:
            raise ApiError(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist.")
        right = oss_signature(request.method, f"/{bucket}/{name}", headers, key.secret)
        if not hmac.compare_digest(right.encode(), signature.encode()):
            raise ApiError(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match the one you provided."
            )
        date: str = headers.get("x-oss-date", "") or headers.get("Date", "")
        self._check_key(key, headers.get("x-oss-security-token", ""), date)
        may = key.principal.kind == "Account" or (
            key.principal.name == _UPLOADER and name.startswith(f"{self._account}/")
        )
        if not may:
            raise ApiError(403, "AccessDenied", f"You have no right to put the object {name} into this bucket.")

    def _check_key(self, key: AccessKey, token: str, date: str) -> None:
        if not hmac.compare_digest(key.token.encode(), token.encode()) or (
            key.expires and self._clock.now() >= key.expires
        ):
            raise ApiError(403, "InvalidSecurityToken", "The security token isn't the access key's, or has expired.")
        try:
            sent = parsedate_to_datetime(date)
        except ValueError:
            raise ApiError(403, "AccessDenied", f"Expected a date of RFC 822, found {date!r}.") from None
        if abs(self._clock.wire_now() - sent) > WINDOW:
            raise ApiError(403, "RequestTimeTooSkewed", "The request's time is too far from the service's.")


async def _receive(request: web.Request, file: Path) -> tuple[str, str]:
    """Write a body to a file; return its CRC-64 and MD5. ApiError EntityTooLarge."""
    checksum, md5, size = 0, hashlib.md5(usedforsecurity=False), 0
    with file.open("wb") as target:
        async for chunk in request.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > MOST_BYTES:
                raise ApiError(400, "EntityTooLarge", f"Expected at most {MOST_BYTES} bytes.")
            checksum = crc64.xz(chunk, checksum)
            md5.update(chunk)
            target.write(chunk)
    return str(checksum), md5.hexdigest().upper()
