"""Alibaba Cloud's own SDKs, pointed at a local control plane."""

from __future__ import annotations

import http.client
import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from alibabacloud_ram20150501.client import Client as Ram
from alibabacloud_resourcemanager20200331.client import Client as ResourceManager
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.request import DaraRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alibabacloud_sts20150401.models import AssumeRoleResponseBodyCredentials

    from local_emulator.control_plane.server import ControlPlaneServer

ACCOUNT = "1000000000000001"
OWNER = ("ak", "sk")


def config(
    server: ControlPlaneServer, key: tuple[str, str] = OWNER, token: str | None = None, version: str | None = None
) -> Config:
    """Of any SDK's client; `version` v2 is the SDK's name of signature version 1."""
    return Config(
        access_key_id=key[0],
        access_key_secret=key[1],
        security_token=token,
        endpoint=server.endpoint,
        protocol="http",
        region_id="cn-hangzhou",
        signature_algorithm=version,
        read_timeout=60_000,  # milliseconds; the SDK's own ten seconds are short for a cold start on a busy machine
    )


def ram(
    server: ControlPlaneServer, key: tuple[str, str] = OWNER, token: str | None = None, version: str | None = None
) -> Ram:
    return Ram(config(server, key, token, version))


def sts(
    server: ControlPlaneServer, key: tuple[str, str] = OWNER, token: str | None = None, version: str | None = None
) -> Sts:
    return Sts(config(server, key, token, version))


def resource_manager(server: ControlPlaneServer, key: tuple[str, str] = OWNER) -> ResourceManager:
    return ResourceManager(config(server, key))


def config_of(
    server: ControlPlaneServer, issued: AssumeRoleResponseBodyCredentials, version: str | None = None
) -> Config:
    """Of a client with temporary keys."""
    return config(server, (issued.access_key_id, issued.access_key_secret), issued.security_token, version)


def policy(*actions: str, resource: str | list[str] = "*", effect: str = "Allow", **more: object) -> str:
    """A document with one statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "1", "Statement": [statement]})


def trust(**principal: list[str]) -> str:
    """A trust document: Service=[...], RAM=[...]."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return json.dumps({"Version": "1", "Statement": [statement]})


@dataclass
class Refused:
    """What the SDK raised in a block that `refused` guards, once it's left."""

    error: ClientException = field(init=False)


@contextmanager
def refused(status: int, code: str) -> Iterator[Refused]:
    """A block whose SDK call must fail so."""
    found = Refused()
    with pytest.raises(ClientException) as caught:
        yield found
    found.error = caught.value
    assert (found.error.status_code, found.error.code) == (status, code), found.error.message


def signed_headers(
    server: ControlPlaneServer, query: Mapping[str, str], *, body: bytes = b"", **headers: str
) -> dict[str, str]:
    """The headers of a GetCallerIdentity, signed by the SDK's own code; more of them may be given, `_` for `-`."""
    request = DaraRequest()
    request.method, request.pathname, request.query = "POST", "/", dict(query)
    payload = Utils.hex_encode(Utils.hash(body, "ACS3-HMAC-SHA256"))
    request.headers = {
        "host": server.endpoint,
        "x-acs-action": "GetCallerIdentity",
        "x-acs-version": "2015-04-01",
        "x-acs-date": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": payload,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    request.headers["Authorization"] = Utils.get_authorization(request, "ACS3-HMAC-SHA256", payload, *OWNER)
    return dict(request.headers)


def send(
    server: ControlPlaneServer,
    headers: Mapping[str, str],
    *,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
    method: str = "POST",
) -> tuple[int, dict[str, Any]]:
    """A request as it is; the status and the JSON of the answer."""
    connection = http.client.HTTPConnection(server.endpoint, timeout=30)
    try:
        connection.request(method, f"/?{urlencode(query)}" if query else "/", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def signed_parameters(parameters: Mapping[str, str], method: str) -> dict[str, str]:
    """A version 1 request of RPC, signed by the SDK's own code."""
    signed = {
        "Format": "json",
        "Timestamp": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "SignatureNonce": uuid.uuid4().hex,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "AccessKeyId": OWNER[0],
        **parameters,
    }
    return {**signed, "Signature": Utils.get_rpcsignature(signed, method, OWNER[1])}
