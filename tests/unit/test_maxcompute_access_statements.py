"""Statements of access control and names of identities, read from text."""

from __future__ import annotations

import pytest

from local_emulator.maxcompute.access.names import Account, parse_name
from local_emulator.maxcompute.access.statements import (
    AclChange,
    HolderChange,
    Listing,
    PackageChange,
    Place,
    RoleChange,
    ShowAcl,
    ShowGrants,
    Statement,
    UserChange,
    WhoAmI,
    parse,
)
from local_emulator.maxcompute.errors import ServiceError

pytestmark = pytest.mark.quick

ROLE = "RAM$1234:role/aliyunkafkamaxcomputeuser1"
TABLE, PROJECT = Place("table", "test_kafka"), Place("project", "connector_test")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("whoami", WhoAmI()),
        ("WhoAmI;", WhoAmI()),
        ("list users", Listing("users")),
        ("LIST ACCOUNTPROVIDERS", Listing("accountproviders")),
        (f"add user `{ROLE}`;", UserChange(add=True, user=ROLE)),
        ("ADD  USER\n ALIYUN$me@example.com", UserChange(add=True, user="ALIYUN$me@example.com")),
        (f"remove user `{ROLE}`", UserChange(add=False, user=ROLE)),
        (
            f"grant CreateInstance on project connector_test to user `{ROLE}`;",
            AclChange(add=True, actions=("CreateInstance",), place=PROJECT, grantee=ROLE, to_role=False),
        ),
        (
            f"grant Describe, Alter, Update on table test_kafka to user `{ROLE}`;",
            AclChange(add=True, actions=("Describe", "Alter", "Update"), place=TABLE, grantee=ROLE, to_role=False),
        ),
        (
            "GRANT select,SELECT, all ON TABLE test_kafka TO RAM$1234:alice",
            AclChange(add=True, actions=("Select", "All"), place=TABLE, grantee="RAM$1234:alice", to_role=False),
        ),
        (
            "revoke Alter on table `test_kafka` from role writers",
            AclChange(add=False, actions=("Alter",), place=TABLE, grantee="writers", to_role=True),
        ),
        ("create role writers", RoleChange(add=True, role="writers")),
        ("drop role writers", RoleChange(add=False, role="writers")),
        ("grant admin, writers to RAM$1:a", HolderChange(add=True, roles=("admin", "writers"), user="RAM$1:a")),
        ("revoke role admin from user RAM$1:a", HolderChange(add=False, roles=("admin",), user="RAM$1:a")),
        ("show grants", ShowGrants()),
        ("show grants;", ShowGrants()),
        (f"show grants for `{ROLE}`", ShowGrants(ROLE)),
        ("show grants for user RAM$1:a", ShowGrants("RAM$1:a")),
        ("show grants RAM$1:a", ShowGrants("RAM$1:a")),
        ("show grants for role writers", ShowGrants("writers", of_role=True)),
        ("describe role writers", ShowGrants("writers", of_role=True)),
        ("show acl for test_kafka", ShowAcl(TABLE)),
        ("show acl for connector_test on type project", ShowAcl(PROJECT)),
        ("show grants on table test_kafka", ShowAcl(TABLE)),
        ("install package other.shared", PackageChange("other.shared")),
    ],
)
def test_statements(text: str, expected: Statement) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", "[1,1]", "a statement of access control"),
        ("select 1", "[1,1]", "a statement of access control"),
        ("list tables", "[1,6]", "USERS, ROLES or ACCOUNTPROVIDERS"),
        ("add user", "[1,9]", "a user"),
        ("add user ;", "[1,10]", "a user"),
        (f"add user {ROLE}", "[1,10]", "back quotes"),
        ("add user `RAM$1:a", "[1,10]", "invalid token"),
        ("add user a b", "[1,12]", "the end of the statement"),
        ("grant Select on table t\nfrom RAM$1:a", "[2,1]", "TO"),
        ("grant Select on tables t to RAM$1:a", "[1,17]", "one of project, table, instance"),
        ('grant Select on table t to RAM$1:a privilegeproperties("expires"="3")', "[1,36]", "the end"),
        ("grant Select, on table t to RAM$1:a", "[1,18]", "TO"),
        ("whoami; list users", "[1,9]", "the end of the statement"),
    ],
)
def test_parse_errors_say_where(text: str, place: str, expected: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse(text)
    assert (caught.value.status, caught.value.code) == (400, "ParseError")
    assert caught.value.message.startswith(f"ODPS-0130161:{place} Parse exception")
    assert expected in caught.value.message


@pytest.mark.parametrize("action", ["CreateTable", "Selects"])
def test_a_table_has_only_its_own_actions(action: str) -> None:
    with pytest.raises(ServiceError, match=f"invalid Action value - odps:{action}") as caught:
        parse(f"grant {action} on table t to RAM$1:a")
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ALIYUN$1234", "aliyun$1234"),
        ("aliyun$Me@Example.com", "aliyun$1234"),
        ("ALIYUN$other@example.com", "aliyun$other@example.com"),
        ("RAM$1234:Alice", "ram$1234:alice"),
        ("RAM$Alice", "ram$1234:alice"),
        ("RAM$me@example.com:role/Sink", "ram$1234:role/sink"),
        ("RAM$1234:role/sink", "ram$1234:role/sink"),
        ("RAM$99:role/sink", "ram$99:role/sink"),
    ],
)
def test_names_are_compared_by_account_and_without_case(text: str, key: str) -> None:
    assert parse_name(text, Account("1234", "me@example.com")).key == key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alice", "lack of account provider"),
        ("", "lack of account provider"),
        ("GOOGLE$alice", "Invalid account Name"),
        ("RAM$", "Invalid account Name"),
        ("RAM$:alice", "Invalid account Name"),
        ("RAM$1234:", "Invalid account Name"),
        ("RAM$1234:role/", "Invalid account Name"),
        ("ALIYUN$1234:alice", "Invalid account Name"),
    ],
)
def test_what_is_no_name(text: str, message: str) -> None:
    with pytest.raises(ServiceError, match=message) as caught:
        parse_name(text, Account("1234"))
    assert caught.value.code == "InvalidArgument"


def test_identities_have_numbers_of_their_own() -> None:
    account = Account("1234", "me@example.com")
    names = ["ALIYUN$1234", "RAM$1234:alice", "RAM$1234:role/alice", "RAM$1234:role/sink", "ALIYUN$x@example.com"]
    ids = [parse_name(name, account).id for name in names]
    assert ids[0] == "1234"
    assert len(set(ids)) == len(ids)
    assert all(found.isdecimal() for found in ids)
    assert parse_name("RAM$me@example.com:ALICE", account).id == ids[1]
