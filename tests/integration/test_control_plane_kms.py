"""Secrets of KMS: the official SDKs' client and the connector's own read them, with the permission and only with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from fc_powertools import Credentials, Deadline
from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConfigurationError, DeadlineError
from kafka_maxcompute.settings.destinations import CONTROL_VARIABLE
from kafka_maxcompute.settings.settings import Settings
from local_emulator.control_plane import server as control_plane
from local_emulator.control_plane.account_setup import add_secret
from tests.control_plane_clients import ACCOUNT, OWNER, config, policy, refused
from tests.deployed import deployed

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "orders/kafka"
ARN = f"acs:kms:cn-hangzhou:{ACCOUNT}:secret/{NAME}"
SETTINGS = Settings.from_mapping(
    {
        "name": "orders",
        "source_topic": "orders",
        "endpoint": "http://127.0.0.1:1/api",
        "project": "p",
        "table": "t",
        "bootstrap_servers": "127.0.0.1:1",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": "connector",
        "sasl_password": f"kms:{NAME}",
    }
)


@pytest.fixture
def plane() -> Iterator[control_plane.ControlPlaneServer]:
    with control_plane.start() as server:
        add_secret(server, NAME, "first-and-older")
        add_secret(server, NAME, "second-and-newer")
        yield server


def sdk(plane: control_plane.ControlPlaneServer, **query: str) -> dict[str, Any]:
    """GetSecretValue as alibabacloud_kms20160120 calls it: with the client that all the SDKs are made of."""
    call = {"action": "GetSecretValue", "version": "2016-01-20", "protocol": "HTTP", "pathname": "/", "method": "POST"}
    kind = {"auth_type": "AK", "style": "RPC", "req_body_type": "formData", "body_type": "json"}
    answer = Client(config(plane)).call_api(Params(**call, **kind), OpenApiRequest(query=query), RuntimeOptions())
    body: dict[str, Any] = answer["body"]
    return body


def password(
    plane: control_plane.ControlPlaneServer, key: tuple[str, str] = OWNER, deadline: Deadline | None = None
) -> object:
    """What the connector logs in with."""
    environment = deployed(SETTINGS, {CONTROL_VARIABLE: plane.url})
    return clients.configuration(SETTINGS, environment, Credentials(*key), deadline)["sasl.password"]


def fault(plane: control_plane.ControlPlaneServer, key: tuple[str, str] = OWNER) -> str:
    with pytest.raises(ConfigurationError) as raised:
        password(plane, key)
    (only,) = raised.value.faults
    return only


def test_the_sdk_reads_a_secret(plane: control_plane.ControlPlaneServer) -> None:
    found = sdk(plane, SecretName=NAME)
    assert (found["SecretData"], found["SecretDataType"], found["VersionId"]) == ("second-and-newer", "text", "2")
    assert found["VersionStages"] == {"VersionStage": ["ACSCurrent"]}
    assert sdk(plane, SecretName=NAME, VersionStage="ACSPrevious")["SecretData"] == "first-and-older"
    assert sdk(plane, SecretName=NAME, VersionId="1")["VersionStages"] == {"VersionStage": ["ACSPrevious"]}


@pytest.mark.parametrize(
    "query",
    [{"SecretName": "other"}, {"SecretName": NAME, "VersionId": "3"}, {"SecretName": NAME, "VersionStage": "mine"}],
)
def test_the_sdk_is_told_of_what_is_not_there(plane: control_plane.ControlPlaneServer, query: dict[str, str]) -> None:
    with refused(404, "Forbidden.ResourceNotFound"):
        sdk(plane, **query)


def test_the_connector_logs_in_with_the_newest_value(plane: control_plane.ControlPlaneServer) -> None:
    assert password(plane) == "second-and-newer"
    add_secret(plane, NAME, "third")
    assert password(plane) == "third"


def test_one_permission_suffices_and_none_does_not(plane: control_plane.ControlPlaneServer) -> None:
    allowed = plane.add_user("allowed", policy("kms:GetSecretValue", resource=ARN))
    assert password(plane, allowed[:2]) == "second-and-newer"
    denied = plane.add_user("denied", policy("kms:GetSecretValue", resource=ARN.replace("orders", "others")))
    found = fault(plane, denied[:2])
    assert found.startswith("sasl_password: could not GetSecretValue: Forbidden.NoPermission (HTTP 403")
    granted = f"acs:kms:cn-hangzhou:*:secret/{NAME}"
    assert found.endswith(f"; grant kms:GetSecretValue on {granted} to the function's role")


def test_a_secret_that_is_not_there_is_a_fault_of_the_setting() -> None:
    with control_plane.start() as empty:
        found = fault(empty)
    assert found.startswith("sasl_password: could not GetSecretValue: Forbidden.ResourceNotFound")
    assert NAME in found


def test_without_time_nothing_is_asked(plane: control_plane.ControlPlaneServer) -> None:
    with pytest.raises(DeadlineError):
        password(plane, deadline=Deadline.after(0))
    assert plane.log.actions() == []


def test_the_value_is_nowhere_in_the_request_log(plane: control_plane.ControlPlaneServer) -> None:
    password(plane)
    logged = repr(list(plane.log))
    assert "GetSecretValue" in logged
    assert "second-and-newer" not in logged
