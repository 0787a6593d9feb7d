"""The parameter `code` of functions and layers: a zip in the request, or an uploaded object."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.errors import invalid_argument
from local_emulator.function_compute.archive import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.function_compute.content import Content

_MOST_INLINE_BYTES = 100 * 1024**2  # of a zip in the request (the service's quotas, April 2026)


def read(call: Call, body: Mapping[str, Any]) -> Content:
    """Unpack the zip that a request carries or names; ApiError InvalidArgument if there is none, or it can't be used.

    Unpacking may take seconds, so call this without the state's lock.
    """
    code = body.get("code")
    if not isinstance(code, dict):
        raise invalid_argument(f"code: expected zipFile, or ossBucketName and ossObjectName, found {code!r:.60}")
    text, bucket, name = code.get("zipFile"), code.get("ossBucketName"), code.get("ossObjectName")
    if bool(text) == bool(bucket and name):
        raise invalid_argument("code: Either ossBucketName/ossObjectName or zipFile must be set")
    try:
        content = _inline(call, text) if text else _uploaded(call, str(bucket), str(name))
    except ArchiveError as error:
        raise invalid_argument(f"code: {error}") from error
    checksum = code.get("checksum")
    if checksum and checksum != content.checksum:
        raise invalid_argument(f"code.checksum: expected {content.checksum}, the zip's CRC-64, found {checksum}")
    return content


def _inline(call: Call, text: object) -> Content:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        data = b""
    if not data:
        raise invalid_argument("code.zipFile: expected a zip in base64, found other text")
    if len(data) > _MOST_INLINE_BYTES:
        raise invalid_argument(f"code.zipFile: expected at most {_MOST_INLINE_BYTES} bytes, found {len(data)}")
    return call.surroundings.functions.contents.add_bytes(data)


def _uploaded(call: Call, bucket: str, name: str) -> Content:
    functions = call.surroundings.functions
    file = functions.uploads.find(bucket, name)
    if file is None:
        raise invalid_argument(f"code: expected an uploaded object, found none called {name} in the bucket {bucket}")
    return functions.contents.add(file)
