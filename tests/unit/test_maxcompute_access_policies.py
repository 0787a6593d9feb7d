"""Policies of projects and roles, and what malformed ones are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.maxcompute.access.names import Account
from local_emulator.maxcompute.access.objects import PROJECT, TABLE, Securable
from local_emulator.maxcompute.access.policies import Policies
from local_emulator.maxcompute.database import Database
from local_emulator.maxcompute.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = Securable("p", PROJECT, "", "projects/p", "ALIYUN$1")
ORDERS = Securable("p", TABLE, "1", "projects/p/tables/orders", "ALIYUN$1")
OLD = Securable("p", TABLE, "2", "projects/p/tables/old_orders", "ALIYUN$1")
ALICE, SINK = "ram$1:alice", "ram$1:role/sink"


@pytest.fixture
def policies() -> Iterator[Policies]:
    database = Database()
    yield Policies(database, Account("1", "me@example.com"))
    database.close()


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "1", "Statement": list(statements)})


def rule(effect: str = "Allow", action: Any = "odps:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def test_patterns_of_actions_and_resources(policies: Policies) -> None:
    policies.write("p", policy(rule(action="odps:s?lect", resource="acs:odps:*:projects/p/tables/ord*", Principal="*")))
    assert policies.verdict(ORDERS, "Select", ALICE, []) is True
    assert policies.verdict(ORDERS, "Update", ALICE, []) is None
    assert policies.verdict(OLD, "Select", ALICE, []) is None
    assert policies.verdict(WHOLE, "Select", ALICE, []) is None


def test_deny_is_stronger(policies: Policies) -> None:
    allow, deny = rule(Principal=["*"]), rule("Deny", ["odps:Drop", "odps:Alter"], Principal="*")
    policies.write("p", policy(deny, allow))
    assert policies.verdict(ORDERS, "Select", ALICE, []) is True
    assert policies.verdict(ORDERS, "Drop", ALICE, []) is False


def test_principals_are_names_in_any_spelling(policies: Policies) -> None:
    policies.write("p", policy(rule(Principal=["RAM$me@example.com:role/SINK", "ALIYUN$other@example.com"])))
    assert policies.verdict(ORDERS, "Select", SINK, []) is True
    assert policies.verdict(ORDERS, "Select", "aliyun$other@example.com", []) is True
    assert policies.verdict(ORDERS, "Select", ALICE, []) is None


def test_a_roles_policy_is_about_its_users(policies: Policies) -> None:
    policies.write("p", policy(rule("Deny", "odps:Select")), "readers")
    assert policies.verdict(ORDERS, "Select", ALICE, []) is None
    assert policies.verdict(ORDERS, "Select", ALICE, ["readers"]) is False
    policies.write("p", policy(rule(Principal="*")))
    assert policies.verdict(ORDERS, "Select", ALICE, ["readers"]) is False
    assert policies.verdict(ORDERS, "Update", ALICE, ["readers"]) is True


def test_another_projects_policy_says_nothing(policies: Policies) -> None:
    policies.write("q", policy(rule("Deny", Principal="*")))
    assert policies.verdict(ORDERS, "Select", ALICE, []) is None


def test_an_empty_text_takes_it_away(policies: Policies) -> None:
    text = policy(rule(Principal="*"))
    policies.write("p", text)
    assert policies.text("p") == text
    policies.write("p", " ")
    assert policies.text("p") == ""
    assert policies.verdict(ORDERS, "Select", ALICE, []) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object with a list Statement"),
        ('{"Version": "1", "Statement": {}}', "expected an object with a list Statement"),
        ('{"Version": "2", "Statement": []}', "Version"),
        (policy("text"), "expected an object as a statement"),  # type: ignore[arg-type] # the fault
        (policy(rule("Maybe", Principal="*")), "Effect"),
        (policy(rule(action="Select", Principal="*")), "invalid Action value - Select"),
        (policy(rule(action=[], Principal="*")), "list of texts in Action"),
        (policy(rule(resource=None, Principal="*")), "list of texts in Resource"),
        (policy(rule(Principal=[1])), "list of texts in Principal"),
        (policy(rule()), "needs a Principal"),
        (policy(rule(Principal="*", Condition={"IpAddress": {}})), "Condition in a statement is not emulated"),
    ],
)
def test_malformed_policies_change_nothing(policies: Policies, text: str, message: str) -> None:
    before = policy(rule(Principal="*"))
    policies.write("p", before)
    with pytest.raises(ServiceError, match="failed to check policy format") as caught:
        policies.write("p", text)
    assert message in caught.value.message
    assert policies.text("p") == before


def test_a_roles_policy_names_nobody(policies: Policies) -> None:
    with pytest.raises(ServiceError, match="only a project's policy has a Principal"):
        policies.write("p", policy(rule(Principal="*")), "readers")


def test_a_principal_has_to_be_a_name(policies: Policies) -> None:
    with pytest.raises(ServiceError, match="lack of account provider"):
        policies.write("p", policy(rule(Principal="alice")))
