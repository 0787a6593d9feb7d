"""Calls the running cloud's control plane as other clients do: signed requests over HTTP (ACS3-HMAC-SHA256)."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests

from local_emulator.function_compute.signature import oss_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local_emulator.endpoints import Endpoints

SECONDS = 300.0
"""The longest that a call may take; a large layer needs seconds to be unpacked."""
_ALGORITHM = "ACS3-HMAC-SHA256"
_FC = "2023-03-30"
_NOT_FOUND = 404
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ManagementError(Exception):
    """A call that the control plane refused; `status` and `code` are the answer's."""

    def __init__(self, call: str, status: int, code: str, message: str) -> None:
        super().__init__(f"{call}: {status} {code}: {message}")
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    version: str
    action: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class ManagementClient:
    """A client with the keys of the account's owner."""

    def __init__(self, at: Endpoints) -> None:
        self._at = at
        self._host = urlsplit(at.control).netloc

    def function_compute(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] = _NOTHING
    ) -> dict[str, Any]:
        """Call Function Compute's API 2023-03-30 at a path below the version; ManagementError if it is refused."""
        return self._call(
            _Request(method, f"/{_FC}/{path}", _FC, "", query, json.dumps(body).encode() if body else b"")
        )

    def find(self, path: str, query: Mapping[str, str] = _NOTHING) -> dict[str, Any] | None:
        """Return what Function Compute has at a path; None if it has nothing there."""
        try:
            return self.function_compute("GET", path, query=query)
        except ManagementError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def rpc(self, version: str, action: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Call an action of a product without paths; ManagementError if it is refused."""
        return self._call(_Request("POST", "/", version, action, parameters))

    def upload(self, file: Path) -> dict[str, str]:
        """Upload a zip to the temporary bucket; return the parameter `code` that names it."""
        token = self._call(_Request("GET", "/2016-08-15/tempBucketToken", "2016-08-15"))
        bucket, name, keys = token["ossBucket"], f"{self._at.account_id}/{token['objectName']}", token["credentials"]
        headers = {
            "Content-Type": "application/zip",
            "x-oss-date": formatdate(usegmt=True),
            "x-oss-security-token": keys["SecurityToken"],
        }
        signature = oss_signature("PUT", f"/{bucket}/{name}", headers, keys["AccessKeySecret"])
        headers["Authorization"] = f"OSS {keys['AccessKeyId']}:{signature}"
        with file.open("rb") as source:
            answer = requests.put(f"{self._at.control}/{bucket}/{name}", source, headers=headers, timeout=SECONDS)
        if not answer.ok:
            raise ManagementError("PutObject", answer.status_code, "", answer.text)
        return {"ossBucketName": bucket, "ossObjectName": name}

    def _call(self, request: _Request) -> dict[str, Any]:
        answer = requests.request(
            request.method,
            self._at.control + request.path,
            params=dict(request.query),
            data=request.body,
            headers=self._signed(request),
            timeout=SECONDS,
        )
        document: dict[str, Any] = answer.json() if answer.content else {}
        if not answer.ok:
            call = request.action or f"{request.method} {request.path}"
            raise ManagementError(call, answer.status_code, str(document.get("Code")), str(document.get("Message")))
        return document

    def _signed(self, request: _Request) -> dict[str, str]:
        payload = hashlib.sha256(request.body).hexdigest()
        headers = {
            "content-type": "application/json",
            "host": self._host,
            "x-acs-action": request.action,
            "x-acs-content-sha256": payload,
            "x-acs-date": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": uuid.uuid4().hex,
            "x-acs-version": request.version,
        }
        names, signed = ";".join(headers), [f"{name}:{value}" for name, value in headers.items()]
        pairs = [f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(request.query.items())]
        canonical = "\n".join([request.method, request.path, "&".join(pairs), *signed, "", names, payload])
        text = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self._at.access_key.encode(), text.encode(), hashlib.sha256).hexdigest()
        authorization = f"{_ALGORITHM} Credential={self._at.access_id},SignedHeaders={names},Signature={signature}"
        return {**headers, "authorization": authorization}
