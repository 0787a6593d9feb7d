"""Signatures against the service's own examples, and against openssl for the form that no example is of."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timezone
from typing import Any

import pytest

from local_emulator.control_plane.errors import Refusal, RefusedError
from local_emulator.control_plane.signature import Message, read

pytestmark = pytest.mark.quick

EMPTY = hashlib.sha256(b"").hexdigest()
# The example of the page "V3 request structure and signature".
QUERY = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
HEADERS = {
    "host": "ecs.cn-shanghai.aliyuncs.com",
    "x-acs-action": "RunInstances",
    "x-acs-content-sha256": EMPTY,
    "x-acs-date": "2023-10-26T10:22:32Z",
    "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    "x-acs-version": "2014-05-26",
}
NAMES = ";".join(HEADERS)
SIGNATURE = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"


def acs3(names: str = NAMES, signature: str = SIGNATURE) -> str:
    return f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={names},Signature={signature}"


def message(target: str = f"/?{QUERY}", body: bytes = b"", headers: dict[str, str] | None = None) -> Message:
    return Message("POST", target, {"authorization": acs3(), **HEADERS, **(headers or {})}, body)


def test_acs3_signs_the_example_as_its_page_does() -> None:
    claim = read(message())
    assert claim.key_id == "YourAccessKeyId"
    assert claim.sent == datetime(2023, 10, 26, 10, 22, 32, tzinfo=timezone.utc)
    assert claim.signature == claim.sign("YourAccessKeySecret") == SIGNATURE
    assert claim.sign("another") != SIGNATURE


@pytest.mark.parametrize("change", [{"target": "/?RegionId=cn-shanghai"}, {"target": f"/x?{QUERY}"}])
def test_acs3_signs_path_and_query(change: dict[str, Any]) -> None:
    assert read(message(**change)).sign("YourAccessKeySecret") != SIGNATURE


@pytest.mark.parametrize("name", [name for name in HEADERS if name != "x-acs-content-sha256"])
def test_acs3_signs_each_header(name: str) -> None:
    changed = {**HEADERS, name: "2023-10-26T10:22:33Z", "authorization": acs3()}
    assert read(Message("POST", f"/?{QUERY}", changed)).sign("YourAccessKeySecret") != SIGNATURE


@pytest.mark.parametrize("name", HEADERS)
def test_acs3_needs_each_header_signed(name: str) -> None:
    names = ";".join(other for other in HEADERS if other != name)
    with pytest.raises(RefusedError, match=f"the header {name} among the signed ones") as caught:
        read(message(headers={"authorization": acs3(names)}))
    assert caught.value.refusal is Refusal.INCOMPLETE


@pytest.mark.parametrize("name", [name for name in HEADERS if name != "x-acs-content-sha256"])
def test_acs3_needs_each_header_there(name: str) -> None:
    headers = {**HEADERS, "authorization": acs3()}
    del headers[name]
    with pytest.raises(RefusedError, match=name) as caught:
        read(Message("POST", f"/?{QUERY}", headers))
    assert caught.value.refusal is Refusal.INCOMPLETE


def test_acs3_needs_a_token_signed() -> None:
    with pytest.raises(RefusedError, match="x-acs-security-token among the signed ones"):
        read(message(headers={"x-acs-security-token": "t"}))


def test_acs3_takes_no_other_body() -> None:
    with pytest.raises(RefusedError, match="x-acs-content-sha256") as caught:
        read(message(body=b"x"))
    assert caught.value.refusal is Refusal.WRONG_SIGNATURE


def test_acs3_takes_no_body_without_its_hash() -> None:
    headers = {name: value for name, value in HEADERS.items() if name != "x-acs-content-sha256"}
    headers["authorization"] = acs3(";".join(headers))
    with pytest.raises(RefusedError):
        read(Message("POST", f"/?{QUERY}", headers))


@pytest.mark.parametrize("text", ["2023-10-26 10:22:32", "Thu, 26 Oct 2023 10:22:32 GMT", "x"])
def test_acs3_takes_no_other_time(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read(message(headers={"x-acs-date": text}))
    assert caught.value.refusal is Refusal.WRONG_TIME


# The example of the page "Request signatures" of version 1.
RPC = {
    "AccessKeyId": "testid",
    "Action": "DescribeRegions",
    "Format": "XML",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
    "SignatureVersion": "1.0",
    "Timestamp": "2016-02-23T12%3A46%3A24Z",
    "Version": "2014-05-26",
}
RPC_SIGNATURE = "OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D"


def rpc(**changed: str) -> Message:
    pairs = {**RPC, "Signature": RPC_SIGNATURE, **changed}
    return Message("GET", "/?" + "&".join(f"{name}={value}" for name, value in pairs.items()), {})


def test_version_1_signs_the_example_as_its_page_does() -> None:
    claim = read(rpc())
    assert claim.signature == claim.sign("testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="
    assert (claim.key_id, claim.nonce) == ("testid", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf")


@pytest.mark.parametrize("name", [name for name in RPC if name not in {"Timestamp", "SignatureMethod"}])
def test_version_1_signs_each_parameter(name: str) -> None:
    claim = read(rpc(**{name: "x"}))
    assert claim.sign("testsecret") != claim.signature


def test_version_1_signs_the_fields_of_a_form() -> None:
    claim = read(rpc())
    with_form = Message("GET", rpc().target, {}, b"a=1", {"a": "1"})
    assert read(with_form).sign("testsecret") != claim.signature


def test_version_1_takes_hmac_sha1_only() -> None:
    with pytest.raises(RefusedError, match="SignatureMethod=HMAC-SHA1"):
        read(rpc(SignatureMethod="HMAC-SHA256"))


@pytest.mark.parametrize("header", ["", "Bearer x", "ACS3-HMAC-SHA256 x", "acs x", "FC a:b"])
def test_a_request_without_a_signature(header: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read(Message("GET", "/?Action=GetRole", {"authorization": header} if header else {}))
    assert caught.value.refusal is Refusal.INCOMPLETE


ROA = {
    "accept": "application/json",
    "content-type": "application/json",
    "date": "Thu, 26 Oct 2023 10:22:32 GMT",
    "x-acs-action": "GetFunction",
    "x-acs-signature-nonce": "n",
    "authorization": "acs id:signature",
}


def test_version_1_of_paths_names_what_it_signs() -> None:
    claim = read(Message("GET", "/2023-03-30/functions/a%20b?qualifier=L&empty=", ROA))
    assert (claim.key_id, claim.signature, claim.nonce) == ("id", "signature", "n")
    assert claim.sent == datetime(2023, 10, 26, 10, 22, 32, tzinfo=timezone.utc)
    # HMAC-SHA1 with the key `secret`, made with another program (openssl) over the lines that the page names.
    assert claim.sign("secret") == "gSwXzn6Alhc6AKOEuHT45xDGknA="


def test_version_1_of_paths_takes_no_other_body() -> None:
    right = base64.b64encode(hashlib.md5(b"{}", usedforsecurity=False).digest()).decode()
    read(Message("POST", "/", {**ROA, "content-md5": right}, b"{}"))
    with pytest.raises(RefusedError, match="content-md5"):
        read(Message("POST", "/", {**ROA, "content-md5": right}, b"{ }"))
