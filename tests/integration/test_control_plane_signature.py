"""Who may come in: requests of the real SDKs, and requests that were changed, kept, or signed by somebody else."""

from __future__ import annotations

import json
import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from alibabacloud_ram20150501 import models
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_sts20150401.models import AssumeRoleRequest

from local_emulator.control_plane import server
from tests.control_plane_clients import (
    ACCOUNT,
    config_of,
    policy,
    ram,
    refused,
    send,
    signed_headers,
    signed_parameters,
    sts,
    trust,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alibabacloud_sts20150401.models import AssumeRoleResponseBodyCredentials

VERSIONS = [None, "v2"]


@pytest.fixture
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start() as running:
        yield running


@pytest.fixture
def temporary(plane: server.ControlPlaneServer) -> AssumeRoleResponseBodyCredentials:
    """Keys of a role, as STS gives them to a user."""
    ram(plane).create_role(
        models.CreateRoleRequest(
            role_name="Runner", assume_role_policy_document=trust(RAM=[f"acs:ram::{ACCOUNT}:root"])
        )
    )
    alice = plane.add_user("alice", policy("sts:AssumeRole"))
    request = AssumeRoleRequest(role_arn=f"acs:ram::{ACCOUNT}:role/runner", role_session_name="test")
    return sts(plane, alice).assume_role(request).body.credentials


@pytest.mark.parametrize("version", VERSIONS)
def test_the_owner_is_known(plane: server.ControlPlaneServer, version: str | None) -> None:
    body = sts(plane, version=version).get_caller_identity().body
    assert (body.account_id, body.arn, body.identity_type) == (ACCOUNT, f"acs:ram::{ACCOUNT}:root", "Account")
    assert body.request_id


@pytest.mark.parametrize("version", VERSIONS)
def test_signs_of_all_kinds_arrive_as_they_are(plane: server.ControlPlaneServer, version: str | None) -> None:
    text = "a b+c%20*~/&=é中'\""
    request = models.CreateRoleRequest(
        role_name="r", assume_role_policy_document=trust(Service=["fc.aliyuncs.com"]), description=text
    )
    assert ram(plane, version=version).create_role(request).body.role.description == text


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_key(plane: server.ControlPlaneServer, version: str | None) -> None:
    with refused(404, "InvalidAccessKeyId.NotFound"):
        sts(plane, ("nobody", "sk"), version=version).get_caller_identity()


@pytest.mark.parametrize("version", VERSIONS)
def test_another_secret(plane: server.ControlPlaneServer, version: str | None) -> None:
    with refused(400, "SignatureDoesNotMatch"):
        sts(plane, ("ak", "other"), version=version).get_caller_identity()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_wrong(plane: server.ControlPlaneServer, version: str | None, minutes: int) -> None:
    plane.clock.skew = timedelta(minutes=minutes)
    with refused(400, "InvalidTimeStamp.Expired"):
        sts(plane, version=version).get_caller_identity()
    plane.clock.skew = timedelta(minutes=minutes * 14 / 16)
    sts(plane, version=version).get_caller_identity()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_temporary_key_is_its_role(
    plane: server.ControlPlaneServer, temporary: AssumeRoleResponseBodyCredentials, version: str | None
) -> None:
    body = Sts(config_of(plane, temporary, version)).get_caller_identity().body
    assert (body.identity_type, body.arn) == ("AssumedRoleUser", f"acs:ram::{ACCOUNT}:assumed-role/runner/test")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("token", [None, "other"])
def test_a_temporary_key_needs_its_token(
    plane: server.ControlPlaneServer,
    temporary: AssumeRoleResponseBodyCredentials,
    token: str | None,
    version: str | None,
) -> None:
    key = (temporary.access_key_id, temporary.access_key_secret)
    with refused(400, "InvalidSecurityToken.MismatchWithAccessKey"):
        sts(plane, key, token, version).get_caller_identity()


def test_a_lasting_key_has_no_token(plane: server.ControlPlaneServer) -> None:
    with refused(400, "InvalidSecurityToken.MismatchWithAccessKey"):
        sts(plane, token="other").get_caller_identity()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_temporary_key_ends(
    plane: server.ControlPlaneServer, temporary: AssumeRoleResponseBodyCredentials, version: str | None
) -> None:
    plane.clock.shift = timedelta(minutes=59)
    client = Sts(config_of(plane, temporary, version))
    client.get_caller_identity()
    plane.clock.shift = timedelta(minutes=61)
    with refused(400, "InvalidSecurityToken.Expired"):
        client.get_caller_identity()


def test_keys_are_kept(tmp_path: Path) -> None:
    with server.start(tmp_path) as first:
        alice = first.add_user("alice")
    with server.start(tmp_path) as second:
        assert sts(second, alice).get_caller_identity().body.arn == f"acs:ram::{ACCOUNT}:user/alice"


def test_a_request_counts_once(plane: server.ControlPlaneServer) -> None:
    headers = signed_headers(plane, {})
    assert send(plane, headers)[0] == 200
    status, body = send(plane, headers)
    assert (status, body["Code"]) == (400, "SignatureNonceUsed")
    assert body["HostId"] == plane.endpoint
    assert body["RequestId"]


def test_a_request_that_was_refused_does_not_use_its_nonce_up(plane: server.ControlPlaneServer) -> None:
    headers = signed_headers(plane, {})
    assert send(plane, {**headers, "x-acs-action": "AssumeRole"})[1]["Code"] == "SignatureDoesNotMatch"
    assert send(plane, headers)[0] == 200


def test_a_body_that_was_changed(plane: server.ControlPlaneServer) -> None:
    headers = signed_headers(plane, {}, body=b"a=1")
    status, body = send(plane, headers, body=b"a=2")
    assert (status, body["Code"]) == (400, "SignatureDoesNotMatch")
    assert send(plane, headers, body=b"a=1")[0] == 200


def test_a_query_that_was_changed(plane: server.ControlPlaneServer) -> None:
    headers = signed_headers(plane, {"RoleName": "a"})
    assert send(plane, headers, query={"RoleName": "b"})[1]["Code"] == "SignatureDoesNotMatch"
    assert send(plane, headers, query={"RoleName": "a"})[0] == 200


def test_a_request_without_a_signature(plane: server.ControlPlaneServer) -> None:
    status, body = send(plane, {"x-acs-version": "2015-04-01", "x-acs-action": "GetCallerIdentity"})
    assert (status, body["Code"]) == (400, "IncompleteSignature")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-acs-version": "2015-04-01", "x-acs-action": "Nothing"},
        {"x-acs-version": "1999-01-01", "x-acs-action": "GetRole"},
    ],
)
def test_what_is_not_emulated_says_so(plane: server.ControlPlaneServer, headers: dict[str, str]) -> None:
    status, body = send(plane, headers)
    assert (status, body["Code"]) == (404, "InvalidAction.NotFound")
    assert "is not emulated" in body["Message"]


def test_the_log_tells_who_called_what_without_secrets(plane: server.ControlPlaneServer) -> None:
    sts(plane, version="v2").get_caller_identity()
    with refused(404, "InvalidAccessKeyId.NotFound"):
        sts(plane, ("nobody", "sk")).get_caller_identity()
    entries = [(one.principal, one.product, one.action, one.parameters, one.status, one.code) for one in plane.log]
    assert entries == [
        (f"acs:ram::{ACCOUNT}:root", "Sts", "GetCallerIdentity", {}, 200, ""),
        ("", "Sts", "GetCallerIdentity", {}, 404, "InvalidAccessKeyId.NotFound"),
    ]


FORM = {"content-type": "application/x-www-form-urlencoded"}
ROLE = {
    "Version": "2015-05-01",
    "Action": "CreateRole",
    "RoleName": "r",
    "Description": "a b+é",
    "AssumeRolePolicyDocument": trust(Service=["fc.aliyuncs.com"]),
    "AllowConsoleLogin": "1",
}


def test_parameters_may_be_in_the_query_of_a_get(plane: server.ControlPlaneServer) -> None:
    status, body = send(plane, {}, query=signed_parameters(ROLE, "GET"), method="GET")
    assert (status, body["Role"]["Description"], body["Role"]["AllowConsoleLogin"]) == (200, "a b+é", True)


def test_parameters_may_be_in_a_form_or_in_both(plane: server.ControlPlaneServer) -> None:
    """Terraform's way: the signature's in the query, the action's in the form."""
    signed = signed_parameters(ROLE, "POST")
    form = {name: signed.pop(name) for name in ("RoleName", "Description", "AssumeRolePolicyDocument")}
    status, body = send(plane, FORM, query=signed, body=urlencode(form).encode())
    assert (status, body["Role"]["Description"], body["Role"]["AllowConsoleLogin"]) == (200, "a b+é", True)
    every = signed_parameters({**ROLE, "RoleName": "second"}, "POST")
    assert send(plane, FORM, body=urlencode(every).encode())[0] == 200


def test_a_form_that_was_changed(plane: server.ControlPlaneServer) -> None:
    signed = {**signed_parameters(ROLE, "POST"), "RoleName": "other"}
    assert send(plane, FORM, body=urlencode(signed).encode())[1]["Code"] == "SignatureDoesNotMatch"


def test_a_version_1_request_counts_once(plane: server.ControlPlaneServer) -> None:
    signed = signed_parameters({"Version": "2015-04-01", "Action": "GetCallerIdentity"}, "GET")
    assert send(plane, {}, query=signed, method="GET")[0] == 200
    assert send(plane, {}, query=signed, method="GET")[1]["Code"] == "SignatureNonceUsed"


def test_the_log_is_read_and_cleared_from_outside(plane: server.ControlPlaneServer) -> None:
    def ask(method: str) -> bytes:
        request = urllib.request.Request(f"{plane.url}/emulator/requests", method=method)  # noqa: S310 - local
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - local
            return bytes(answer.read())

    sts(plane).get_caller_identity()
    (entry,) = json.loads(ask("GET"))
    assert (entry["action"], entry["status"], entry["code"]) == ("GetCallerIdentity", 200, "")
    ask("DELETE")
    assert (json.loads(ask("GET")), plane.log.actions()) == ([], [])
