"""What becomes of the services' answers, and what is sent again."""

from __future__ import annotations

import json

import pytest

from fc_powertools import Credentials, Deadline
from kafka_maxcompute.control.control_plane import ControlPlane
from kafka_maxcompute.errors import DeadlineError, RefusedError, UnavailableError
from kafka_maxcompute.settings.destinations import TrustedAddress
from provisioning.operations import (
    CREATE_STREAM,
    CREATE_TOPIC,
    GET_ROLE,
    GET_STREAM,
    OPERATIONS,
    UPDATE_TRIGGER,
    policy,
)
from tests.scripted_service import Answer, ScriptedService

NAMES = {"account": "1880", "region": "cn-hangzhou", "role": "Writer", "instance": "alikafka_x"}
FINE = Answer(body=b'{"Code": 200, "Success": true, "RequestId": "R"}')


def refused(status: int, code: str, **more: object) -> Answer:
    said = {"Code": code, "Message": "because", "RequestId": "R7", **more}
    return Answer(status, json.dumps(said).encode())


def client(service: ScriptedService, seconds: float = 30.0) -> ControlPlane:
    keys = Credentials("ak", "sk")
    return ControlPlane("cn-hangzhou", keys, Deadline.after(seconds), NAMES, TrustedAddress(service.endpoint))


@pytest.mark.parametrize(
    "first",
    [
        refused(400, "Throttling.User"),
        refused(429, "TooManyRequests"),
        refused(503, "ResourceThrottled"),
        refused(500, "InternalError"),
        refused(400, "ONS_SYSTEM_FLOW_CONTROL"),
        refused(200, "ONS_SYSTEM_FLOW_CONTROL", Success=False),
        refused(409, "ConcurrentUpdateError"),
        Answer(502, b"<html>bad gateway</html>"),
        Answer(200, b"no JSON"),
        Answer(200, b"[]"),
        Answer(drop=True),
    ],
)
def test_what_can_pass_is_sent_again_under_another_nonce(first: Answer) -> None:
    with ScriptedService(first, FINE) as service:
        assert client(service).call(CREATE_TOPIC, {"Topic": "t"})["Success"] is True
    nonces = [request.headers["x-acs-signature-nonce"] for request in service.requests]
    assert len(set(nonces)) == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused(409, "EntityAlreadyExists.Role"), "EntityAlreadyExists.Role"),
        (refused(400, "BIZ_FIELD_CHECK_INVALID"), "BIZ_FIELD_CHECK_INVALID"),
        (refused(200, "EventStreamingNotExisted", Success=False), "EventStreamingNotExisted"),
        (refused(200, "Whatever", Success="false"), "Whatever"),
        (Answer(302, b"{}", {"Location": "http://127.0.0.1:1/"}), "302"),
    ],
)
def test_what_is_refused_is_sent_once(answer: Answer, code: str) -> None:
    with ScriptedService(answer) as service, pytest.raises(RefusedError) as caught:
        client(service).call(GET_ROLE, {"RoleName": "Writer"})
    assert caught.value.code == code
    assert len(service.requests) == 1


def test_a_missing_permission_is_named_with_its_resource() -> None:
    with ScriptedService(refused(403, "NoPermission")) as service, pytest.raises(RefusedError) as caught:
        client(service).call(GET_ROLE, {"RoleName": "Writer"})
    assert "grant ram:GetRole on acs:ram:*:1880:role/Writer to the provisioning identity" in str(caught.value)
    assert "R7" in str(caught.value)


def test_what_was_signed_is_not_repeated() -> None:
    answer = refused(400, "SignatureDoesNotMatch", Message="string to sign: x-acs-security-token:secret")
    with ScriptedService(answer) as service, pytest.raises(RefusedError) as caught:
        client(service).call(GET_ROLE, {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        refused(404, "EntityNotExist.Role"),
        refused(400, "BIZ_TOPIC_NOT_FOUND"),
        refused(200, "EventStreamingNotExisted", Success=False),
        refused(404, "TriggerNotFound"),
    ],
)
def test_what_is_not_there_is_none(answer: Answer) -> None:
    with ScriptedService(answer) as service:
        assert client(service).find(GET_STREAM, {"EventStreamingName": "s"}) is None


def test_an_unknown_key_is_no_missing_thing() -> None:
    with ScriptedService(refused(404, "InvalidAccessKeyId.NotFound")) as service, pytest.raises(RefusedError):
        client(service).find(GET_ROLE, {"RoleName": "Writer"})


def test_it_ends_with_the_time() -> None:
    with ScriptedService(refused(503, "ServiceUnavailable")) as service, pytest.raises(UnavailableError):
        client(service, seconds=1.0).call(GET_ROLE, {})
    with ScriptedService(FINE) as service, pytest.raises(DeadlineError):
        client(service, seconds=0.0).call(GET_ROLE, {})
    assert service.requests == []


def test_parameters_go_where_the_product_wants_them() -> None:
    with ScriptedService(FINE) as service:
        at = client(service)
        at.call(CREATE_TOPIC, {"Topic": "a b", "LocalTopic": True, "PartitionNum": 6, "Remark": None})
        at.call(CREATE_STREAM, {"EventStreamingName": "s", "Source": {"a": [1]}})
        at.call(UPDATE_TRIGGER, {"function": "f/g", "trigger": "t"}, triggerConfig="{}")
    topic, stream, trigger = service.requests
    assert topic.query == {"Topic": "a b", "LocalTopic": "true", "PartitionNum": "6"}
    assert topic.headers["x-acs-action"] == "CreateTopic"
    assert stream.query == {}
    assert stream.body == b"EventStreamingName=s&Source=%7B%22a%22%3A%5B1%5D%7D"
    assert (trigger.method, trigger.path) == ("PUT", "/2023-03-30/functions/f%2Fg/triggers/t")
    assert json.loads(trigger.body) == {"triggerConfig": "{}"}


@pytest.mark.quick
def test_the_least_policy_has_every_permission_once() -> None:
    document = policy(OPERATIONS, NAMES)
    listed = [(action, one["Resource"][0]) for one in document["Statement"] for action in one["Action"]]
    assert len(listed) == len(set(listed))
    assert ("ram:GetRole", "acs:ram:*:1880:role/Writer") in listed
    assert ("alikafka:CreateTopic", "acs:alikafka:cn-hangzhou:1880:alikafka_x") in listed
    assert {action for action, _ in listed} == {one.permission for one in OPERATIONS if one.permission}
