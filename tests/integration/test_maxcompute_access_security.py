"""Policies and security parameters of the local MaxCompute, enforced, with PyODPS as the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from odps import ODPS, errors
from odps.models import TableSchema

from local_emulator.maxcompute import server
from tests.access_clients import ALICE, PROJECT, ROLE, SELECT, run, user

if TYPE_CHECKING:
    from pathlib import Path

TABLES = f"acs:odps:*:projects/{PROJECT}/tables/*"


def document(effect: str, *actions: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": [f"odps:{action}" for action in actions], "Resource": [TABLES], **more}
    return {"Version": "1", "Statement": [statement]}


def test_a_project_policy_is_kept_as_written(owner: ODPS) -> None:
    project = owner.get_project()
    assert project.policy is None
    project.policy = document("Allow", "Select", Principal=["*"])
    project.reload()
    fresh = ODPS("ak", "sk", PROJECT, endpoint=owner.endpoint).get_project()
    assert fresh.policy == document("Allow", "Select", Principal=["*"])
    fresh.policy = None
    assert ODPS("ak", "sk", PROJECT, endpoint=owner.endpoint).get_project().policy is None


def test_a_project_policy_allows_and_denies(owner: ODPS, role: ODPS) -> None:
    project = owner.get_project()
    project.policy = document("Allow", "Select", Principal=[ROLE])
    assert run(role, SELECT) == []
    project.policy = document("Deny", "Select", "Describe", Principal=["*"])
    with pytest.raises(errors.NoPermission, match=r"\[4011\].*Explicitly denied by policy"):
        role.get_table("test_kafka").reload()
    owner.get_table("test_kafka").reload()
    change(owner, check_permission_using_policy=False)
    role.get_table("test_kafka").reload()


def test_a_roles_policy_is_about_its_users(owner: ODPS, role: ODPS) -> None:
    readers = owner.get_project().roles.create("readers")
    readers.policy = document("Allow", "Select")
    assert readers.policy == document("Allow", "Select")
    with pytest.raises(errors.NoPermission):
        run(role, SELECT)
    owner.execute_security_query(f"grant readers to `{ROLE}`")
    assert run(role, SELECT) == []


def test_a_dropped_roles_policy_is_gone(owner: ODPS) -> None:
    project = owner.get_project()
    project.roles.create("readers").policy = document("Allow", "Select")
    owner.execute_security_query("drop role readers")
    project.roles.create("readers")
    response = owner.rest.get(f"{project.resource()}/roles/readers", params={"policy": ""})
    assert response.text == ""


def test_a_malformed_policy_is_refused(owner: ODPS) -> None:
    with pytest.raises(errors.InvalidArgument, match="failed to check policy format"):
        owner.get_project().policy = {"Version": "1"}
    with pytest.raises(errors.NoSuchObject):
        owner.rest.put(f"{owner.get_project().resource()}/roles/nobody", data="{}", params={"policy": ""})


def test_only_owners_and_super_administrators_change_them(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    alice = user(emulator, owner)
    owner.execute_security_query(f"grant admin to {ALICE}")
    options = alice.get_project().security_options
    options.reload()
    options.label_security = True
    with pytest.raises(errors.NoPermission):
        options.update()
    with pytest.raises(errors.NoPermission):
        alice.get_project().policy = document("Allow", "Select", Principal=["*"])
    owner.execute_security_query(f"grant super_administrator to {ALICE}")
    options.update()
    alice.get_project().policy = document("Allow", "Select", Principal=["*"])


def test_the_role_reads_none_of_them(role: ODPS) -> None:
    with pytest.raises(errors.NoPermission):
        role.get_project().security_options.reload()
    with pytest.raises(errors.NoPermission):
        role.rest.get(role.get_project().resource(), params={"policy": ""})


def test_security_parameters_have_the_documented_defaults(owner: ODPS) -> None:
    options = owner.get_project().security_options
    options.reload()
    assert options.check_permission_using_acl is True
    assert options.check_permission_using_policy is True
    assert options.object_creator_has_access_permission is True
    assert options.object_creator_has_grant_permission is True
    assert options.label_security is False
    assert options.project_protection.protected is False


def change(client: ODPS, **values: bool) -> None:
    options = client.get_project().security_options
    options.reload()
    for name, value in values.items():
        setattr(options, name, value)
    options.update()
    options.reload()
    assert {name: getattr(options, name) for name in values} == values


def test_without_acl_grants_count_for_nothing(owner: ODPS, role: ODPS) -> None:
    change(owner, check_permission_using_acl=False)
    with pytest.raises(errors.NoPermission):
        role.get_table("test_kafka").reload()
    change(owner, check_permission_using_acl=True)
    role.get_table("test_kafka").reload()


def test_makers_rights_can_be_taken_away(emulator: server.MaxComputeServer, owner: ODPS, role: ODPS) -> None:
    alice = user(emulator, owner)
    owner.execute_security_query(f"grant CreateInstance, CreateTable on project {PROJECT} to {ALICE}")
    alice.create_table("mine", TableSchema.from_lists(["a"], ["bigint"]))
    change(owner, object_creator_has_grant_permission=False)
    with pytest.raises(errors.NoPermission):
        alice.execute_security_query(f"grant Describe on table mine to `{ROLE}`")
    assert run(alice, "select * from mine") == []
    change(owner, object_creator_has_access_permission=False)
    with pytest.raises(errors.NoPermission):
        run(alice, "select * from mine")
    with pytest.raises(errors.NoPermission):
        role.get_table("mine").reload()


@pytest.mark.parametrize(
    "body",
    [
        "<SecurityConfiguration><SupportACLV2>true</SupportACLV2></SecurityConfiguration>",
        "<SecurityConfiguration><LabelSecurity>perhaps</LabelSecurity></SecurityConfiguration>",
        '<SecurityConfiguration><ProjectProtection Protected="true"/></SecurityConfiguration>',
        "<Configuration/>",
        "no XML",
    ],
)
def test_parameters_that_are_not_emulated_are_refused(owner: ODPS, body: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        owner.rest.put(owner.get_project().resource(), data=body, params={"security_configuration": ""})


def test_both_survive_with_a_data_directory(tmp_path: Path) -> None:
    with server.start(PROJECT, data_dir=tmp_path) as first:
        client = ODPS("ak", "sk", PROJECT, endpoint=first.endpoint)
        change(client, label_security=True)
        client.get_project().policy = document("Deny", "Select", Principal=["*"])
    with server.start(PROJECT, data_dir=tmp_path) as second:
        client = ODPS("ak", "sk", PROJECT, endpoint=second.endpoint)
        options = client.get_project().security_options
        options.reload()
        assert options.label_security is True
        assert client.get_project().policy == document("Deny", "Select", Principal=["*"])
