"""Hostile events of the provisioning function: no key or secret reaches an address of the sender's choice."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools.context import Context, Function
from fc_powertools.decorators import opened
from provisioning.invocation import answer
from provisioning.request import ACTIONS
from tests.provision_cloud import running

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRETS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.role",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "the-roles-secret-key",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "the-roles-token",
    "CONNECTOR_SECRET_KAFKA": "the-brokers-password",
}
LOGIN = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "u"}


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """An address of somebody else's, and the first bytes of each connection to it."""
    heard: list[bytes] = []

    def hear() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                heard.append(connection.recv(4_096))

    with socket.create_server(("127.0.0.1", 0)) as server:
        hearing = threading.Thread(target=hear)
        hearing.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)
    hearing.join(10)


def asked(action: str, settings: dict[str, Any], control: str) -> dict[str, Any]:
    """The reply of a provisioner that is deployed without anything of the event's."""
    environment = SECRETS | {
        "CONNECTOR_NAME": "orders",
        "CONNECTOR_SOURCE_TOPIC": "orders",
        "CONNECTOR_ENDPOINT": "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
        "CONNECTOR_PROJECT": "p",
        "CONNECTOR_TABLE": "t",
        "CONNECTOR_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CONTROL_ENDPOINT": control,
    }
    context = Context(request_id="r", function=Function(timeout=5))
    with opened(context, environment=environment) as current:
        return answer(json.dumps({"action": action, "settings": settings, "confirm": "orders"}).encode(), current)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("reference", ["env:ALIBABA_CLOUD_ACCESS_KEY_SECRET", "env:CONNECTOR_SECRET_KAFKA", "kms:any"])
def test_no_action_connects_to_an_address_that_only_the_event_names(action: str, reference: str) -> None:
    with listening() as (address, heard), listening() as (control, calls):
        for settings in (
            {**LOGIN, "bootstrap_servers": address, "sasl_password": reference},
            {"endpoint": f"http://{address}/api"},
            {"tunnel_endpoint": f"http://{address}"},
        ):
            reply = asked(action, settings, f"http://{control}")
            assert reply["state"] == "refused"
            assert not [value for value in SECRETS.values() if value in json.dumps(reply)]
    assert (heard, calls) == ([], [])


@pytest.mark.parametrize("action", ["plan", "apply", "status", "letters", "redrive", "audit", "destroy"])
def test_foreign_brokers_get_no_connection_once_the_control_plane_doesnt_name_them(action: str) -> None:
    """With or without a login: whether brokers are the account's own is known from the control plane alone."""
    fields = {"confirm": "orders"} if action == "destroy" else {}
    login = {**LOGIN, "sasl_mechanism": "SCRAM-SHA-256", "sasl_password": "env:CONNECTOR_SECRET_KAFKA"}
    with running() as around, listening() as (address, heard):
        for given in ({}, login):
            reply = around.ask(action, {**given, "bootstrap_servers": address}, **fields)
            assert f"the function's keys and secrets don't go to {address}, which an event names" in json.dumps(reply)
    assert heard == []
