"""Requests to the local cloud's services that no client would send, and those that a web page could."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from local_emulator.control_plane import server as control_plane
from local_emulator.maxcompute import server as maxcompute

if TYPE_CHECKING:
    from collections.abc import Iterator

    Place = tuple[str, int]

HOSTILE = (b"\xff", b"\xc3\xa9", "\N{FULLWIDTH DIGIT ONE}".encode(), b"9" * 400, b"", b"%", b"a:b:c", b"=" * 50)
AUTHORIZATION = (
    b"ODPS %b:c2lnbmF0dXJl",
    b"ODPS ak:%b",
    b"ODPS ak/20260101/cn/odps/aliyun_v4_request:%b",
    b"FC %b:c2lnbmF0dXJl",
    b"FC ak:%b",
    b"acs %b:c2lnbmF0dXJl",
    b"acs ak:%b",
    b"ACS3-HMAC-SHA256 Credential=%b,SignedHeaders=host,Signature=00",
    b"ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=%b,Signature=00",
    b"ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=host,Signature=%b",
    b"%b",
)
HEADERS = (
    b"date",
    b"content-md5",
    b"content-type",
    b"content-encoding",
    b"x-odps-bearer-token",
    b"x-odps-tunnel-version",
    b"authorization-sts-token",
    b"x-acs-date",
    b"x-acs-action",
    b"x-acs-version",
    b"x-acs-security-token",
    b"x-acs-signature-nonce",
    b"x-acs-content-sha256",
    b"x-fc-invocation-type",
    b"x-fc-log-type",
    b"range",
)
REQUESTS = (
    b"GET /",
    b"GET /api/projects/p/tables",
    b"GET /projects/p/tables/t?uploads",
    b"GET /2016-08-15/services",
    b"GET /%FF%C3?%FF=%ED%A0%80",
    b"GET /emulator/faults",
    b"POST /2016-08-15/services/s/functions/f/invocations",
    b"POST /projects/p/tables/t?uploads",
)


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Place]]:
    """Where the services listen."""
    with ExitStack() as parts:
        urls = {
            "control": parts.enter_context(control_plane.start()).url,
            "maxcompute": parts.enter_context(maxcompute.start()).endpoint,
        }
        yield {name: (str(urlsplit(url).hostname), int(urlsplit(url).port or 0)) for name, url in urls.items()}


def status(place: Place, request: bytes, *lines: bytes, host: bytes = b"127.0.0.1") -> int:
    """The status that is answered to a request with these header lines and no body."""
    always = (b"Host: " + host, b"Content-Length: 0", b"Connection: close")
    with socket.create_connection(place, timeout=20) as connection:
        connection.sendall(b"\r\n".join([request + b" HTTP/1.1", *always, *lines, b"", b""]))
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["control", "maxcompute"])
def test_no_header_breaks_a_service(places: dict[str, Place], name: str, value: bytes) -> None:
    lines = [b"Authorization: " + form.replace(b"%b", value) for form in AUTHORIZATION]
    for header in HEADERS:
        lines += [
            b"%b: %b\r\nAuthorization: %b" % (header, value, known)
            for known in (b"ODPS ak:c2ln", b"FC ak:c2ln", b"acs ak:c2ln\r\nx-acs-signature-nonce: n")
        ]
    broken = [(request, line) for request in REQUESTS for line in lines if status(places[name], request, line) >= 500]
    assert broken == []


@pytest.mark.parametrize("name", ["control", "maxcompute"])
def test_a_web_page_can_not_use_the_emulators_own_paths(places: dict[str, Place], name: str) -> None:
    place, request = places[name], b"DELETE /emulator/faults"
    assert status(place, request) == 200
    assert status(place, request, host=b"localhost:80") == status(place, request, host=b"[::1]") == 200
    assert status(place, request, b"Origin: http://example.com") == 403
    assert status(place, request, b"Origin: null") == 403
    assert status(place, b"GET /emulator/faults", b"Sec-Fetch-Site: cross-site") == 403
    for rebound in (b"example.com", b"127.0.0.1.example.com", b"", b"[::1"):
        assert status(place, request, host=rebound) in {400, 403}
