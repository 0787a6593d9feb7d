"""AssumeRole: who may, whom the role trusts, and what the keys are good for, also at the local MaxCompute."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from alibabacloud_ram20150501 import models
from alibabacloud_ram20150501.client import Client as Ram
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_sts20150401.models import AssumeRoleRequest
from odps import ODPS
from odps.accounts import CloudAccount, StsAccount

from local_emulator.control_plane import server
from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.maxcompute_keys import registrar
from local_emulator.control_plane.surroundings import Surroundings
from local_emulator.maxcompute import server as maxcompute
from local_emulator.maxcompute.keys import ACCOUNTS
from tests.control_plane_clients import ACCOUNT, config_of, policy, ram, refused, trust
from tests.control_plane_clients import sts as client_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alibabacloud_sts20150401.models import AssumeRoleResponseBody

ROOT = f"acs:ram::{ACCOUNT}:root"
ARN = f"acs:ram::{ACCOUNT}:role/runner"


@pytest.fixture
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start() as running:
        yield running


@pytest.fixture
def alice(plane: server.ControlPlaneServer) -> tuple[str, str]:
    return plane.add_user("alice", policy("sts:AssumeRole", resource=f"acs:ram::{ACCOUNT}:role/*"))


def make_role(plane: server.ControlPlaneServer, document: str, **more: int) -> str:
    """The new role's id."""
    request = models.CreateRoleRequest(role_name="Runner", assume_role_policy_document=document, **more)
    return str(ram(plane).create_role(request).body.role.role_id)


def assume(client: Sts, **changed: object) -> AssumeRoleResponseBody:
    return client.assume_role(AssumeRoleRequest(**{"role_arn": ARN, "role_session_name": "job", **changed})).body


def test_what_is_issued(plane: server.ControlPlaneServer, alice: tuple[str, str]) -> None:
    role = make_role(plane, trust(RAM=[ROOT]))
    before = datetime.now(timezone.utc)
    body = assume(client_of(plane, alice))
    assert body.assumed_role_user.arn == f"acs:ram::{ACCOUNT}:assumed-role/runner/job"
    assert body.assumed_role_user.assumed_role_id == f"{role}:job"
    ends = datetime.strptime(body.credentials.expiration, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert timedelta(minutes=59) < ends - before < timedelta(minutes=61)
    me = Sts(config_of(plane, body.credentials)).get_caller_identity().body
    assert (me.identity_type, me.role_id, me.principal_id, me.user_id) == (
        "AssumedRoleUser", role, f"{role}:job", None,
    )  # fmt: skip


def test_a_user_is_known_by_name(plane: server.ControlPlaneServer, alice: tuple[str, str]) -> None:
    body = client_of(plane, alice).get_caller_identity().body
    assert (body.identity_type, body.arn) == ("RAMUser", f"acs:ram::{ACCOUNT}:user/alice")
    assert body.user_id == body.principal_id != ACCOUNT


def test_the_owner_assumes_no_role(plane: server.ControlPlaneServer) -> None:
    make_role(plane, trust(RAM=[ROOT]))
    with refused(403, "NoPermission") as caught:
        assume(client_of(plane))
    assert "Roles may not be assumed by root accounts" in caught.error.message


def test_a_user_needs_the_permission(plane: server.ControlPlaneServer) -> None:
    make_role(plane, trust(RAM=[ROOT]))
    bob = plane.add_user("bob", policy("sts:AssumeRole", resource=f"acs:ram::{ACCOUNT}:role/other"))
    with refused(403, "NoPermission") as caught:
        assume(client_of(plane, bob))
    assert f"sts:AssumeRole on acs:ram:*:{ACCOUNT}:role/runner" in caught.error.message


def test_a_role_that_trusts_services_only(plane: server.ControlPlaneServer, alice: tuple[str, str]) -> None:
    make_role(plane, trust(Service=["fc.aliyuncs.com", "alikafka.aliyuncs.com"]))
    with refused(403, "NoPermission") as caught:
        assume(client_of(plane, alice))
    assert "trust policy" in caught.error.message


def test_a_role_that_trusts_one_user(plane: server.ControlPlaneServer, alice: tuple[str, str]) -> None:
    make_role(plane, trust(RAM=[f"acs:ram::{ACCOUNT}:user/alice"]))
    assume(client_of(plane, alice))
    bob = plane.add_user("bob", policy("sts:AssumeRole"))
    with refused(403, "NoPermission"):
        assume(client_of(plane, bob))


def test_a_role_that_trusts_a_role(plane: server.ControlPlaneServer, alice: tuple[str, str]) -> None:
    make_role(plane, trust(RAM=[ROOT]))
    second = trust(RAM=[ARN])
    ram(plane).create_role(models.CreateRoleRequest(role_name="Second", assume_role_policy_document=second))
    create = models.CreatePolicyRequest(policy_name="assume", policy_document=policy("sts:AssumeRole"))
    ram(plane).create_policy(create)
    ram(plane).attach_policy_to_role(
        models.AttachPolicyToRoleRequest(policy_type="Custom", policy_name="assume", role_name="Runner")
    )
    arn = f"acs:ram::{ACCOUNT}:role/second"
    with refused(403, "NoPermission"):
        assume(client_of(plane, alice), role_arn=arn)
    first = assume(client_of(plane, alice)).credentials
    assume(Sts(config_of(plane, first)), role_arn=arn)


@pytest.mark.parametrize("arn", [f"acs:ram::{ACCOUNT}:role/none", "acs:ram::1000000000000002:role/runner"])
def test_a_role_that_is_not_there(plane: server.ControlPlaneServer, arn: str) -> None:
    bob = plane.add_user("bob", policy("sts:AssumeRole"))
    make_role(plane, trust(RAM=[ROOT]))
    with refused(404, "EntityNotExist.Role"):
        assume(client_of(plane, bob), role_arn=arn)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"role_arn": None}, "MissingRoleArn"),
        ({"role_arn": "runner"}, "InvalidParameter.RoleArn"),
        ({"role_session_name": None}, "MissingRoleSessionName"),
        ({"role_session_name": "x"}, "InvalidParameter.RoleSessionName"),
        ({"role_session_name": "x" * 65}, "InvalidParameter.RoleSessionName"),
        ({"role_session_name": "a b"}, "InvalidParameter.RoleSessionName"),
        ({"duration_seconds": 899}, "InvalidParameter.DurationSeconds"),
        ({"duration_seconds": 7201}, "InvalidParameter.DurationSeconds"),
        ({"policy": "{}"}, "InvalidParameter.PolicyGrammar"),
        ({"policy": " " * 2049}, "InvalidParameter.Policy.Length"),
        ({"external_id": "x"}, "InvalidParameter.ExternalId"),
    ],
)
def test_parameters(
    plane: server.ControlPlaneServer, alice: tuple[str, str], changed: dict[str, object], code: str
) -> None:
    make_role(plane, trust(RAM=[ROOT]), max_session_duration=7200)
    with refused(400, code):
        assume(client_of(plane, alice), **changed)


def test_a_session_as_long_as_the_role_allows(plane: server.ControlPlaneServer, alice: tuple[str, str]) -> None:
    make_role(plane, trust(RAM=[ROOT]), max_session_duration=7200)
    keys = assume(client_of(plane, alice), duration_seconds=7200).credentials
    plane.clock.shift = timedelta(minutes=119)
    Sts(config_of(plane, keys)).get_caller_identity()


def test_the_policy_of_a_session_narrows_it(plane: server.ControlPlaneServer, alice: tuple[str, str]) -> None:
    make_role(plane, trust(RAM=[ROOT]))
    ram(plane).attach_policy_to_role(
        models.AttachPolicyToRoleRequest(policy_type="System", policy_name="AliyunRAMFullAccess", role_name="Runner")
    )
    keys = assume(client_of(plane, alice), policy=policy("ram:GetRole")).credentials
    narrow, wide = Ram(config_of(plane, keys)), Ram(config_of(plane, assume(client_of(plane, alice)).credentials))
    narrow.get_role(models.GetRoleRequest(role_name="Runner"))
    wide.list_roles(models.ListRolesRequest())
    with refused(403, "NoPermission") as caught:
        narrow.list_roles(models.ListRolesRequest())
    assert caught.error.access_denied_detail["PolicyType"] == "SessionPolicy"


def test_keys_of_a_role_that_was_made_anew_are_good_for_nothing(
    plane: server.ControlPlaneServer, alice: tuple[str, str]
) -> None:
    attach = models.AttachPolicyToRoleRequest(
        policy_type="System", policy_name="AliyunRAMFullAccess", role_name="Runner"
    )
    detach = models.DetachPolicyFromRoleRequest(
        policy_type="System", policy_name="AliyunRAMFullAccess", role_name="Runner"
    )
    make_role(plane, trust(RAM=[ROOT]))
    ram(plane).attach_policy_to_role(attach)
    old = Ram(config_of(plane, assume(client_of(plane, alice)).credentials))
    old.list_roles(models.ListRolesRequest())
    ram(plane).detach_policy_from_role(detach)
    ram(plane).delete_role(models.DeleteRoleRequest(role_name="Runner"))
    make_role(plane, trust(RAM=[ROOT]))
    ram(plane).attach_policy_to_role(attach)
    with refused(403, "NoPermission"):
        old.list_roles(models.ListRolesRequest())


def test_a_service_acts_as_a_role_that_trusts_it(plane: server.ControlPlaneServer) -> None:
    make_role(plane, trust(Service=["fc.aliyuncs.com"]))
    life = timedelta(hours=36)
    key_id, key = plane.plane.issue_to_service("runner", "fc.aliyuncs.com", life)
    body = client_of(plane, (key_id, key.secret), key.token).get_caller_identity().body
    assert body.arn == f"acs:ram::{ACCOUNT}:assumed-role/runner/fc"
    with pytest.raises(ApiError, match="trust policy of the role Runner does not name alikafka"):
        plane.plane.issue_to_service("Runner", "alikafka.aliyuncs.com", life)
    with pytest.raises(ApiError, match=r"EntityNotExist\.Role"):
        plane.plane.issue_to_service("none", "fc.aliyuncs.com", life)


def test_maxcompute_takes_the_keys_also_after_a_restart(tmp_path: Path) -> None:
    def whoami(*keys: str) -> str:
        account = StsAccount(*keys) if len(keys) == 3 else CloudAccount(*keys)
        client = ODPS(account=account, project="connector_test", endpoint=tables.endpoint)
        return str(client.execute_security_query("whoami")["DisplayName"])

    with maxcompute.start(account_id=ACCOUNT) as tables:
        around = Surroundings(register_key=registrar(tables.app[ACCOUNTS]))
        with server.start(tmp_path, surroundings=around) as plane:
            make_role(plane, trust(RAM=[ROOT]))
            alice = plane.add_user("alice", policy("sts:AssumeRole"))
            issued = assume(client_of(plane, alice)).credentials
            ram(plane).update_role(
                models.UpdateRoleRequest(
                    role_name="Runner", new_assume_role_policy_document=trust(Service=["fc.aliyuncs.com"])
                )
            )
            service_id, service = plane.plane.issue_to_service("Runner", "fc.aliyuncs.com", timedelta(hours=36))
        assert whoami(service_id, service.secret, service.token) == f"RAM${ACCOUNT}:role/runner"
        keys = (issued.access_key_id, issued.access_key_secret, issued.security_token)
        assert whoami(*keys) == f"RAM${ACCOUNT}:role/runner"
        assert whoami(*alice) == f"RAM${ACCOUNT}:alice"
    with maxcompute.start(account_id=ACCOUNT) as tables:
        around = Surroundings(register_key=registrar(tables.app[ACCOUNTS]))
        with server.start(tmp_path, surroundings=around):
            assert whoami(*keys) == f"RAM${ACCOUNT}:role/runner"
            assert whoami(*alice) == f"RAM${ACCOUNT}:alice"
