"""Statements of access control over REST, and the collections of users and roles, with PyODPS as the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from odps import ODPS, errors

from local_emulator.maxcompute import server
from local_emulator.maxcompute.keys import QUERIES
from tests.access_clients import ALICE, CREATE, DOCUMENTED, PROJECT, ROLE, SELECT, client_of, issue, run, user

if TYPE_CHECKING:
    from pathlib import Path


def test_the_documents_statements(owner: ODPS) -> None:
    for statement in DOCUMENTED:
        assert owner.execute_security_query(statement) == "OK"
    assert owner.execute_security_query("list users") == [
        {"ID": owner.get_project().users[ROLE].id, "DisplayName": ROLE}
    ]
    shown = owner.execute_security_query(f"show grants for `{ROLE}`")
    assert shown["Roles"] == []
    assert shown["ACL"][f"user/{ROLE}"] == [
        {
            "Effect": "Allow",
            "Action": ["odps:CreateInstance"],
            "Resource": ["acs:odps:*:projects/connector_test"],
        },
        {
            "Effect": "Allow",
            "Action": ["odps:Alter", "odps:Describe", "odps:Update"],
            "Resource": ["acs:odps:*:projects/connector_test/tables/test_kafka"],
        },
    ]


def test_whoami(owner: ODPS, role: ODPS) -> None:
    assert owner.execute_security_query("whoami") == {
        "ID": "1000000000000001",
        "DisplayName": "ALIYUN$1000000000000001",
    }
    assert role.execute_security_query("whoami")["DisplayName"] == ROLE
    assert owner.get_project().current_user.display_name == "ALIYUN$1000000000000001"


def test_text_results_are_the_documented_layout(owner: ODPS, role: ODPS) -> None:
    statement = f"show grants for `{ROLE}`"
    body = f"<Authorization><Query>{statement}</Query></Authorization>"
    response = owner.rest.post(f"{owner.endpoint}/projects/{PROJECT}/authorization", body)
    assert "Authorization Type: ACL" in response.text
    assert "A\tprojects/connector_test/tables/test_kafka: Alter | Describe | Update" in response.text
    assert role.execute_security_query("whoami", output_json=False).startswith("{")


@pytest.mark.usefixtures("role")
def test_a_grant_is_a_set_and_a_revoke_takes_from_it(owner: ODPS) -> None:
    def actions() -> list[str]:
        shown = owner.execute_security_query("show acl for test_kafka")["ACL"]
        return [action for entries in shown.values() for entry in entries for action in entry["Action"]]

    owner.execute_security_query(f"grant Alter, Select on table {PROJECT}.test_kafka to `{ROLE}`")
    assert actions() == ["odps:Alter", "odps:Describe", "odps:Select", "odps:Update"]
    owner.execute_security_query(f"revoke Select, Alter on table test_kafka from user `{ROLE}`")
    assert actions() == ["odps:Describe", "odps:Update"]
    owner.execute_security_query(f"revoke All on table test_kafka from user `{ROLE}`")
    assert actions() == []


def test_names_are_the_same_by_account_id_and_name_and_in_any_case(owner: ODPS) -> None:
    owner.execute_security_query("add user `RAM$me@example.com:role/Sink`")
    for name in ("RAM$1000000000000001:role/sink", "ram$ME@example.com:role/SINK"):
        with pytest.raises(errors.ObjectAlreadyExists):
            owner.execute_security_query(f"add user `{name}`")
        assert name in owner.get_project().users
    owner.execute_security_query("remove user `RAM$1000000000000001:role/SINK`")
    assert list(owner.get_project().users) == []


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ("show me", errors.ParseError, r"ODPS-0130161:\[1,1\]"),
        (f"add user {ROLE}", errors.ParseError, "back quotes"),
        ("add user alice", errors.InvalidArgument, "lack of account provider"),
        ("add user `RAM$99:role/other`", errors.InvalidArgument, "account 1000000000000001"),
        (f"remove user `{ROLE}`", errors.NoSuchObject, "does not exist"),
        (f"grant Select on table test_kafka to `{ROLE}`", errors.NoSuchObject, "does not exist"),
        (f"grant Select on table nothing to `{ROLE}`", errors.NoSuchTable, "nothing"),
        (f"grant Read on instance 2026g1 to `{ROLE}`", errors.NoSuchObject, "2026g1"),
        (f"grant Select on table other.test_kafka to `{ROLE}`", errors.InvalidArgument, "current project"),
        (f"grant List on project other to `{ROLE}`", errors.InvalidArgument, "current project"),
        (f"grant Read on table test_kafka to `{ROLE}`", errors.InvalidArgument, "odps:Read"),
        ("show grants for role nobody", errors.NoSuchObject, "nobody"),
        ("drop role admin", errors.InvalidArgument, "built in"),
        ("create role Admin", errors.ObjectAlreadyExists, "already exists"),
    ],
)
def test_what_is_refused(owner: ODPS, statement: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        owner.execute_security_query(statement)


def test_a_removed_users_grants_sleep_until_it_is_added_again(owner: ODPS, role: ODPS) -> None:
    owner.execute_security_query(f"remove user `{ROLE}`")
    with pytest.raises(errors.NoPermission, match=r"\[4002\], You don't exist in project connector_test"):
        role.get_table("test_kafka").reload()
    owner.execute_security_query(f"add user `{ROLE}`")
    role.get_table("test_kafka").reload()


def test_grants_end_with_the_table(owner: ODPS, role: ODPS) -> None:
    owner.execute_sql("drop table test_kafka")
    owner.execute_sql(CREATE)
    with pytest.raises(errors.NoPermission):
        role.get_table("test_kafka").reload()
    assert len(owner.execute_security_query(f"show grants for `{ROLE}`")["ACL"][f"user/{ROLE}"]) == 1


def test_grants_follow_a_renamed_table(owner: ODPS, role: ODPS) -> None:
    owner.execute_sql("alter table test_kafka rename to test_renamed")
    role.get_table("test_renamed").reload()
    assert "tables/test_renamed" in str(owner.execute_security_query(f"show grants for `{ROLE}`"))


def test_answers_may_come_later(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    emulator.app[QUERIES].later = True
    emulator.app[QUERIES].running_polls = 2
    pending = owner.run_security_query("whoami")
    assert [pending.is_terminated for _ in range(3)] == [False, False, True]
    assert pending.wait_for_success(interval=0)["ID"] == "1000000000000001"
    emulator.app[QUERIES].running_polls = 0
    assert owner.execute_security_query(f"add user `{ROLE}`") == "OK"
    with pytest.raises(errors.SecurityQueryError, match="already exists"):
        owner.execute_security_query(f"add user `{ROLE}`")
    with pytest.raises(errors.ParseError):
        owner.execute_security_query("no statement")


def test_packages_are_answered_later_and_there_are_none(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    emulator.app[QUERIES].running_polls = 0
    pending = owner.run_security_query("install package other.shared")
    with pytest.raises(errors.SecurityQueryError, match=r"other\.shared does not exist"):
        pending.wait_for_success()


@pytest.mark.parametrize("text", ["", "OK"])
def test_a_change_may_answer_no_json(emulator: server.MaxComputeServer, owner: ODPS, text: str) -> None:
    emulator.app[QUERIES].done = text
    assert (owner.execute_security_query(f"add user `{ROLE}`", output_json=False) or "") == text
    with pytest.raises((ValueError, TypeError)):
        owner.execute_security_query(f"remove user `{ROLE}`")
    assert ROLE not in owner.get_project().users


def test_the_users_collection(owner: ODPS) -> None:
    project = owner.get_project()
    project.users.create(ALICE)
    assert ALICE in project.users
    assert [known.display_name for known in project.users] == [ALICE]
    assert project.users[ALICE].id.isdecimal()
    assert "RAM$1000000000000001:bob" not in project.users
    assert "nobody" not in project.users
    project.users.delete(ALICE)
    assert ALICE not in project.users


def test_the_roles_collection(owner: ODPS) -> None:
    project = owner.get_project()
    role, member = project.roles.create("writers"), project.users.create(ALICE)
    assert [known.name for known in project.roles] == ["admin", "super_administrator", "writers"]
    assert role in project.roles
    assert "nothing" not in project.roles
    role.grant_to(member)
    assert member in role.users
    assert role in member.roles
    with pytest.raises(errors.ODPSError, match="still has roles"):
        project.users.delete(member)
    with pytest.raises(errors.ODPSError, match="still has users"):
        owner.execute_security_query("drop role writers")
    member.revoke_role(role)
    assert member not in role.users
    assert role not in member.roles
    owner.execute_security_query("drop role writers")
    assert "writers" not in project.roles


def test_a_roles_grants_are_its_users(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    alice = user(emulator, owner)
    for statement in (
        "create role readers",
        f"grant CreateInstance on project {PROJECT} to role readers",
        "grant Select on table test_kafka to role readers",
        f"grant readers to {ALICE}",
    ):
        owner.execute_security_query(statement)
    assert run(alice, SELECT) == []
    assert owner.execute_security_query("describe role readers")["Users"] == [ALICE]
    assert owner.execute_security_query(f"show grants for {ALICE}")["Roles"] == ["readers"]
    owner.execute_security_query(f"revoke readers from {ALICE}")
    with pytest.raises(errors.NoPermission):
        run(alice, SELECT)
    owner.execute_security_query("drop role readers")
    owner.execute_security_query("create role readers")
    assert owner.execute_security_query("describe role readers")["ACL"] == {"role/readers": []}


def test_an_admin_manages_all_but_admins(emulator: server.MaxComputeServer, owner: ODPS) -> None:
    alice = user(emulator, owner)
    owner.execute_security_query(f"grant admin to {ALICE}")
    alice.execute_security_query(f"add user `{ROLE}`")
    alice.execute_security_query(f"grant Select on table test_kafka to `{ROLE}`")
    alice.execute_sql("drop table test_kafka")
    with pytest.raises(errors.NoPermission, match="admin"):
        alice.execute_security_query(f"grant admin to `{ROLE}`")
    owner.execute_security_query(f"grant super_administrator to {ALICE}")
    alice.execute_security_query(f"grant admin to `{ROLE}`")


@pytest.mark.parametrize(
    "statement",
    [
        "list users",
        "list roles",
        "add user RAM$1000000000000001:bob",
        f"remove user `{ROLE}`",
        f"grant Select on table test_kafka to `{ROLE}`",
        f"grant CreateTable on project {PROJECT} to `{ROLE}`",
        f"grant admin to `{ROLE}`",
        "show acl for test_kafka",
        "show grants for role admin",
        "show grants for ALIYUN$1000000000000001",
        "create role mine",
    ],
)
def test_the_role_manages_nothing(role: ODPS, statement: str) -> None:
    with pytest.raises(errors.NoPermission, match="ODPS-0420095:Access Denied"):
        role.execute_security_query(statement)


def test_a_user_sees_its_own_grants_only(role: ODPS) -> None:
    assert len(role.execute_security_query("show grants")["ACL"][f"user/{ROLE}"]) == 2
    assert role.execute_security_query("show grants") == role.execute_security_query(f"show grants for `{ROLE}`")
    with pytest.raises(errors.NoPermission):
        list(role.get_project().users)


def test_grants_survive_with_a_data_directory(tmp_path: Path) -> None:
    with server.start(PROJECT, data_dir=tmp_path) as first:
        client = ODPS("ak", "sk", PROJECT, endpoint=first.endpoint)
        client.execute_sql(CREATE)
        for statement in (*DOCUMENTED, "create role readers", f"grant readers to `{ROLE}`"):
            client.execute_security_query(statement)
        client.execute_security_query(f"revoke Alter on table test_kafka from `{ROLE}`")
        before = client.execute_security_query(f"show grants for `{ROLE}`")
    with server.start(PROJECT, data_dir=tmp_path) as second:
        client = ODPS("ak", "sk", PROJECT, endpoint=second.endpoint)
        assert client.execute_security_query(f"show grants for `{ROLE}`") == before
        assert before["Roles"] == ["readers"]
        client_of(second, issue(second, ROLE)).get_table("test_kafka").reload()
