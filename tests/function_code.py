"""Zips with the code of small functions, and clients that deploy them as the component fc3 does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import zipfile
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import requests
from alibabacloud_fc20230330 import models
from fc2.auth import Auth

from tests.control_plane_clients import OWNER
from tests.stream_clients import function_compute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.control_plane.server import ControlPlaneServer

ECHO = "def handler(event, context):\n    return event\n"


def zipped(**files: str) -> bytes:
    """A zip; in a file's name `__` stands for `/`, and its end is .py."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{name.replace('__', '/')}.py", text)
    return file.getvalue()


def inline(data: bytes) -> models.InputCodeLocation:
    return models.InputCodeLocation(zip_file=base64.b64encode(data).decode())


def configuration(**changes: Any) -> dict[str, Any]:
    """What a CreateFunction sends beside the code."""
    return {"function_name": "demo", "runtime": "python3.10", "handler": "index.handler", "timeout": 20, **changes}


def create(plane: ControlPlaneServer, code: bytes | models.InputCodeLocation, **changes: Any) -> models.Function:
    location = inline(code) if isinstance(code, bytes) else code
    body = models.CreateFunctionInput(code=location, **configuration(**changes))
    return function_compute(plane).create_function(models.CreateFunctionRequest(body=body)).body


def update(plane: ControlPlaneServer, name: str = "demo", **changes: Any) -> models.Function:
    request = models.UpdateFunctionRequest(body=models.UpdateFunctionInput(**changes))
    return function_compute(plane).update_function(name, request).body


def invoke(plane: ControlPlaneServer, event: bytes = b"", name: str = "demo", **query: str) -> Any:
    """The answer to an invocation by FC 3.0's SDK."""
    request = models.InvokeFunctionRequest(body=io.BytesIO(event), **query)
    return function_compute(plane).invoke_function(name, request)


def result(plane: ControlPlaneServer, event: bytes = b"", name: str = "demo", **query: str) -> bytes:
    answer = invoke(plane, event, name, **query)
    body: bytes = answer.body.read()
    assert "x-fc-error-type" not in answer.headers, body
    return body


def upload(
    plane: ControlPlaneServer, data: bytes, *, chunked: bool = False, key: tuple[str, str] = OWNER
) -> models.InputCodeLocation:
    """Upload a zip with the keys of a token, as fc3 does: to the bucket's host, with OSS's signature."""
    path, signed = "/2016-08-15/tempBucketToken", {"date": formatdate(usegmt=True)}
    signed["authorization"] = Auth(*key, "").sign_request("GET", path, signed)
    token = requests.get(plane.url + path, headers=signed, timeout=60).json()
    bucket, name = token["ossBucket"], f"{plane.account_id}/{token['objectName']}"
    headers = oss_headers(token["credentials"], f"/{bucket}/{name}")
    headers["Host"] = f"{bucket}.oss-cn-hangzhou.aliyuncs.com"

    def pieces() -> Iterator[bytes]:
        yield data[: len(data) // 2]
        yield data[len(data) // 2 :]

    answer = requests.put(f"{plane.url}/{name}", data=pieces() if chunked else data, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return models.InputCodeLocation(oss_bucket_name=bucket, oss_object_name=name)


def oss_headers(keys: dict[str, str], resource: str) -> dict[str, str]:
    """The headers of a PutObject."""
    date, kind = formatdate(usegmt=True), "application/zip"
    signed = {"x-oss-date": date, "x-oss-security-token": keys["SecurityToken"]}
    text = "\n".join(["PUT", "", kind, date, *(f"{name}:{value}" for name, value in sorted(signed.items())), resource])
    digest = hmac.digest(keys["AccessKeySecret"].encode(), text.encode(), hashlib.sha1)
    signature = base64.b64encode(digest).decode()
    return {**signed, "Content-Type": kind, "Authorization": f"OSS {keys['AccessKeyId']}:{signature}"}
