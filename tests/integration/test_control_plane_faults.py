"""Calls of the real SDKs that go wrong on demand."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ram20150501 import models
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.exceptions import ServerException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.exceptions import UnretryableException
from darabonba.policy.retry import RetryOptions

from local_emulator.cli import fault_command
from local_emulator.control_plane import server
from tests.control_plane_clients import OWNER, ram, refused, sts, trust

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATE = models.CreateRoleRequest(role_name="r", assume_role_policy_document=trust(Service=["fc.aliyuncs.com"]))


@pytest.fixture
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start() as running:
        yield running


def set_fault(plane: server.ControlPlaneServer, operation: str, answer: str, **more: object) -> dict[str, Any]:
    return fault_command.call(plane.endpoint, "POST", "faults", {"operation": operation, "answer": answer, **more})


def calls(plane: server.ControlPlaneServer) -> list[tuple[str, int, str]]:
    return [(entry.action, entry.status, entry.code) for entry in plane.log]


def test_a_call_is_throttled_once(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "Ram.CreateRole", "status", status=429)
    with refused(429, "Throttling.User"):
        ram(plane).create_role(CREATE)
    ram(plane).create_role(CREATE)
    assert calls(plane) == [("CreateRole", 429, "Throttling.User"), ("CreateRole", 200, "")]


def test_a_call_fails_with_any_code(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "Sts.*", "status", status=503, code="Rejected.Throttling", times=2)
    for _ in range(2):
        with pytest.raises(ServerException) as caught:
            sts(plane).get_caller_identity()
        assert (caught.value.status_code, caught.value.code) == (503, "Rejected.Throttling")
    sts(plane).get_caller_identity()


def test_the_sdk_retries_what_it_is_told_to(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "Sts.GetCallerIdentity", "status", status=500, times=2)
    condition = {"maxAttempts": 3, "exception": ["InternalError"], "errorCode": ["InternalError"]}
    options = RetryOptions({"retryable": True, "retryCondition": [condition]})
    client = Sts(
        Config(
            access_key_id=OWNER[0],
            access_key_secret=OWNER[1],
            endpoint=plane.endpoint,
            protocol="http",
            region_id="cn-hangzhou",
            retry_options=options,
        )
    )
    assert client.get_caller_identity().status_code == 200
    assert [status for _, status, _ in calls(plane)] == [500, 500, 200]


def test_a_role_is_created_and_the_answer_lost(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "Ram.CreateRole", "reset", applied=True)
    with pytest.raises(UnretryableException):
        ram(plane).create_role(CREATE)
    assert calls(plane) == [("CreateRole", 200, "")]
    with refused(409, "EntityAlreadyExists.Role"):
        ram(plane).create_role(CREATE)
    (fault,) = fault_command.call(plane.endpoint, "GET", "faults")["faults"]
    assert (fault["fired"], fault["applied_count"], fault["spent"]) == (1, 1, True)


def test_a_role_is_not_created_and_nothing_answers(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "Ram.CreateRole", "reset")
    with pytest.raises(UnretryableException):
        ram(plane).create_role(CREATE)
    assert calls(plane) == [("CreateRole", 0, "")]
    ram(plane).create_role(CREATE)


def test_a_call_that_is_refused_anyway_is_not_counted_as_applied(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "Ram.GetRole", "reset", applied=True)
    with pytest.raises(UnretryableException):
        ram(plane).get_role(models.GetRoleRequest(role_name="none"))
    assert fault_command.call(plane.endpoint, "GET", "faults")["faults"][0]["applied_count"] == 0


def test_a_token_is_out_of_date(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "*", "expired-token")
    with refused(400, "InvalidSecurityToken.Expired"):
        sts(plane).get_caller_identity()
    sts(plane).get_caller_identity()


def test_the_clock_is_moved(plane: server.ControlPlaneServer) -> None:
    fault_command.call(plane.endpoint, "PUT", "clock", {"skew_seconds": 3600})
    with refused(400, "InvalidTimeStamp.Expired"):
        sts(plane).get_caller_identity()
    fault_command.call(plane.endpoint, "PUT", "clock", {"skew_seconds": 0})
    sts(plane).get_caller_identity()


def test_a_gateway_s_page(plane: server.ControlPlaneServer) -> None:
    set_fault(plane, "Sts.GetCallerIdentity", "status", status=502)
    with pytest.raises(UnretryableException):
        sts(plane).get_caller_identity()
    assert calls(plane) == [("GetCallerIdentity", 502, "")]


@pytest.mark.parametrize("operation", ["Ram.CreateRol", "sql", "CreateRole"])
def test_what_no_fault_can_be_for(plane: server.ControlPlaneServer, operation: str) -> None:
    with pytest.raises(fault_command.FaultCommandError, match=f"no operation is called '{operation}'"):
        set_fault(plane, operation, "reset")


def test_the_fault_command_serves_both(plane: server.ControlPlaneServer) -> None:
    command = [sys.executable, "-m", "local_emulator", "fault", "--endpoint", plane.url]
    listed = subprocess.run([*command, "operations"], capture_output=True, text=True, check=True, timeout=60)
    assert {"Ram.CreateRole", "Sts.AssumeRole"} <= set(listed.stdout.split())
