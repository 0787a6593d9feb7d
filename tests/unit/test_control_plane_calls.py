"""Parameters of a call, resource names, and what the log shows of both."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from local_emulator.control_plane.dispatch import Call, Rules
from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.identity import AccessKey, RamPrincipal
from local_emulator.control_plane.request_log import without_secrets
from local_emulator.control_plane.state import AccountState
from local_emulator.control_plane.surroundings import Surroundings

pytestmark = pytest.mark.quick

OWNER = AccessKey("sk", RamPrincipal("Account", "123", "123"))
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)


def call(body: bytes = b"", **parameters: str) -> Call:
    return Call("X", parameters, OWNER, "123", NOW, AccountState(), Rules(region="cn-chengdu"), Surroundings(), body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("False", False), ("0", False)],
)
def test_truth_in_all_spellings(text: str, *, expected: bool) -> None:
    assert call(Flag=text).flag("Flag", default=not expected) is expected


def test_what_is_absent_is_as_its_default() -> None:
    assert call().flag("Flag") is False
    assert call(Flag="").flag("Flag", default=True) is True
    assert call(Size="").number("Size", 10, 1, 100) == 10
    assert call(Name="").text("Name", "x") == "x"


@pytest.mark.parametrize("text", ["yes", "2", "TRUE "])
def test_what_is_no_truth(text: str) -> None:
    with pytest.raises(ApiError, match=r"InvalidParameter\.Flag: .*expected true or false"):
        call(Flag=text).flag("Flag")


@pytest.mark.parametrize("text", ["0", "101", "-1", "ten", "1.0", "\u0661"])
def test_what_is_no_number_in_the_bounds(text: str) -> None:
    with pytest.raises(ApiError, match=r"InvalidParameter\.Size: .*from 1 to 100"):
        call(Size=text).number("Size", 10, 1, 100)


def test_lists_come_in_the_order_of_their_numbers() -> None:
    parameters: dict[str, Any] = {"Name.10": "c", "Name.2": "b", "Name.1": "a", "Name.x": "d", "Names.1": "e"}
    assert call(**parameters).items("Name") == ["a", "b", "c"]


def test_a_required_parameter() -> None:
    assert call(RoleName="r").required("RoleName") == "r"
    with pytest.raises(ApiError, match="400 MissingRoleName: RoleName is mandatory"):
        call(RoleName="").required("RoleName")


@pytest.mark.parametrize("body", [b"{", b"[]", b"x"])
def test_a_body_that_is_no_object(body: bytes) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        call(body).json()


def test_a_body_that_is_one() -> None:
    assert call(b'{"a": 1}').json() == {"a": 1}
    assert call().json() == {}


def test_names_of_resources() -> None:
    template = "acs:alikafka:{region}:{account}:{InstanceId}/{Topic}"
    assert call(InstanceId="i").arn(template) == "acs:alikafka:cn-chengdu:123:i/*"


def test_parameters_do_not_change_whose_resource_it_is() -> None:
    assert call(account="999", region="x").arn("acs:ram:{region}:{account}:role/r") == "acs:ram:cn-chengdu:123:role/r"


def test_secrets_are_not_logged() -> None:
    source = {"SourceKafkaParameters": {"Topic": "t", "SaslPassword": "hush", "list": [{"AccessKeySecret": "hush"}]}}
    shown = without_secrets(
        {"RoleName": "r", "SecurityToken": "hush", "Source": json.dumps(source), "Broken": '{"Password": "hush'}
    )
    assert "hush" not in str(shown)
    assert shown["RoleName"] == "r"
    assert json.loads(shown["Source"])["SourceKafkaParameters"]["Topic"] == "t"
