"""What policy documents allow, and which texts are none."""

from __future__ import annotations

import json

import pytest

from local_emulator.control_plane.ram.policy_language import PolicyError, Verdict, judge, parse, parse_trust, trusts

pytestmark = pytest.mark.quick

ROLE = "acs:ram:*:123:role/AliyunKafkaMaxComputeUser1"
ACCOUNT_TRUST = "acs:ram::123:root"


def document(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "1", "Statement": statements})


def rule(actions: object, resources: object = "*", effect: str = "Allow", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Action": actions, "Resource": resources, **more}


@pytest.mark.parametrize(
    "statement",
    [
        rule("*"),
        rule("ram:*"),
        rule(["oss:*", "ram:GetRole"]),
        rule("RAM:getrole"),
        rule("ram:Get????"),
        rule("ram:GetRole", ROLE),
        rule("ram:GetRole", ROLE.lower()),
        rule("ram:GetRole", "acs:ram::123:role/*"),
        rule("ram:GetRole", ["acs:oss:*:*:x", "acs:ram:*:*:role/aliyun*"]),
        {"Effect": "Allow", "NotAction": "oss:*", "NotResource": "acs:oss:*:*:*"},
    ],
)
def test_allowed(statement: dict[str, object]) -> None:
    assert judge([document(statement)], "ram:GetRole", ROLE, {}) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "statement",
    [
        rule("ram:GetRoles"),
        rule("ram:Get"),
        rule("sts:*"),
        rule("ram:Get???"),
        rule("ram:GetRole", "acs:ram:*:124:role/*"),
        rule("ram:GetRole", "acs:ram:*:123:user/*"),
        rule("ram:GetRole", "acs:ram:*:123:role/[A-Z]*"),
        {"Effect": "Allow", "NotAction": "ram:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "NotResource": "acs:ram:*:*:role/*"},
    ],
)
def test_not_allowed(statement: dict[str, object]) -> None:
    assert judge([document(statement)], "ram:GetRole", ROLE, {}) is Verdict.IMPLICIT_DENY


def test_nothing_allows_nothing() -> None:
    assert judge([], "ram:GetRole", ROLE, {}) is Verdict.IMPLICIT_DENY


def test_a_deny_is_stronger_in_whatever_document_it_is() -> None:
    allowing, denying = document(rule("*")), document(rule("ram:Get*", effect="Deny"))
    assert judge([denying, allowing], "ram:GetRole", ROLE, {}) is Verdict.EXPLICIT_DENY
    assert judge([allowing, denying], "ram:GetRole", ROLE, {}) is Verdict.EXPLICIT_DENY
    assert judge([allowing, denying], "ram:CreateRole", ROLE, {}) is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("operator", "named", "found", "expected"),
    [
        ("StringEquals", "a.b", "a.b", True),
        ("StringEquals", ["x", "a.b"], "a.b", True),
        ("StringEquals", "a.b", "A.b", False),
        ("StringEquals", "a.b", None, False),
        ("StringNotEquals", "a.b", "a.b", False),
        ("StringNotEquals", ["x", "a.b"], "a.b", False),
        ("StringNotEquals", "x", "a.b", True),
        ("StringNotEquals", "x", None, True),
        ("StringEqualsIgnoreCase", "a.b", "A.B", True),
        ("StringNotEqualsIgnoreCase", "a.b", "A.B", False),
        ("StringLike", "*.b", "a.b", True),
        ("StringLike", "*.c", "a.b", False),
        ("StringNotLike", "*.b", "a.b", False),
    ],
)
def test_conditions(operator: str, named: object, found: str | None, *, expected: bool) -> None:
    text = document(rule("ram:CreateServiceLinkedRole", Condition={operator: {"ram:ServiceName": named}}))
    context = {} if found is None else {"ram:servicename": found}
    assert (judge([text], "ram:CreateServiceLinkedRole", "*", context) is Verdict.ALLOWED) == expected


def test_all_conditions_must_hold() -> None:
    text = document(rule("*", Condition={"StringEquals": {"a:x": "1", "a:y": "2"}}))
    assert judge([text], "ram:GetRole", "*", {"a:x": "1", "a:y": "2"}) is Verdict.ALLOWED
    assert judge([text], "ram:GetRole", "*", {"a:x": "1", "a:y": "3"}) is Verdict.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected an object with Version and Statement"),
        ('{"Version": "1", "Statement": [{}], "Id": "x"}', "nothing else"),
        ('{"Version": 1, "Statement": [{}]}', 'expected Version "1", found 1'),
        ('{"Version": "1", "Statement": []}', "list of objects"),
        ('{"Version": "1", "Statement": {}}', "list of objects"),
        (document(rule("*", effect="allow")), r"Statement\[0\].Effect: expected Allow or Deny"),
        (document(rule("*"), rule("getrole")), r"Statement\[1\].Action: expected product:Action"),
        (document(rule([])), r"Statement\[0\].Action: expected a text or a list"),
        (document(rule("*", "role/x")), r"Statement\[0\].Resource: expected acs:product"),
        (document({"Effect": "Allow", "Action": "*"}), "expected one of Resource and NotResource"),
        (document(rule("*", NotAction="ram:*")), "expected one of Action and NotAction"),
        (document(rule("*", Principal={})), "found Principal"),
        (document(rule("*", Condition={"IpAddress": {"acs:SourceIp": "10.0.0.1"}})), "IpAddress: not emulated"),
        (document(rule("*", Condition={"StringEquals": "x"})), "StringEquals: expected an object"),
        (document(rule("*", Condition=["x"])), "Condition: expected an object"),
    ],
)
def test_what_is_no_policy(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse(text)


def trust(effect: str = "Allow", **principal: object) -> dict[str, object]:
    return {"Effect": effect, "Action": "sts:AssumeRole", "Principal": principal}


def test_whom_a_role_trusts() -> None:
    text = document(trust(Service=["fc.aliyuncs.com", "alikafka.aliyuncs.com"], RAM=[ACCOUNT_TRUST]))
    assert trusts(text, services=["alikafka.aliyuncs.com"])
    assert trusts(text, identities=[ACCOUNT_TRUST, "acs:ram::123:user/alice"])
    assert not trusts(text, services=["eventbridge.aliyuncs.com"])
    assert not trusts(text, identities=["acs:ram::124:root"])
    assert not trusts(document(trust(Service="fc.aliyuncs.com")), identities=[ACCOUNT_TRUST])


def test_a_role_may_be_trusted_in_any_case_and_with_a_region() -> None:
    assert trusts(document(trust(RAM="acs:ram:*:123:role/Runner")), identities=["acs:ram::123:role/runner"])


def test_who_is_denied_is_not_trusted() -> None:
    text = document(trust(RAM=[ACCOUNT_TRUST]), trust("Deny", RAM=["acs:ram::123:user/eve"]))
    assert trusts(text, identities=[ACCOUNT_TRUST, "acs:ram::123:user/alice"])
    assert not trusts(text, identities=[ACCOUNT_TRUST, "acs:ram::123:user/eve"])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({**trust(Service="x"), "Action": "sts:*"}, "Action: expected sts:AssumeRole"),
        (trust(), "Principal: expected an object"),
        (trust(Federated="x"), "found Federated, expected only RAM, Service"),
        (trust(RAM="alice"), r"expected acs:ram::<account>:root"),
        ({**trust(Service="x"), "Resource": "*"}, "found Resource"),
        ({**trust(Service="x"), "Condition": {"StringEquals": {}}}, "not emulated in a trust document"),
    ],
)
def test_what_is_no_trust(statement: dict[str, object], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_trust(document(statement))
