"""Tunnel over HTTP: what is asked, how often, and what becomes of every kind of answer."""

from __future__ import annotations

import json
import logging
import socket
from typing import TYPE_CHECKING

import pytest

from fc_powertools import Credentials, Deadline
from kafka_maxcompute.errors import BatchError, ConfigurationError, DeadlineError, RefusedError, UnavailableError
from kafka_maxcompute.maxcompute import service as maxcompute_service
from kafka_maxcompute.maxcompute import table_definition
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.maxcompute.table import TableDefinition
from kafka_maxcompute.maxcompute.tunnel import TunnelUploadSessions, tunnel_endpoint
from kafka_maxcompute.maxcompute.upload_sessions import SessionState, SessionStatus, UploadSession
from kafka_maxcompute.settings.destinations import Destinations, TrustedAddress
from kafka_maxcompute.settings.settings import Settings
from tests.deadlines import soon
from tests.kafka_events import HOUR_14
from tests.scripted_service import Answer, ScriptedService, refusal, session

if TYPE_CHECKING:
    from collections.abc import Callable

PT = "11-17-2020 14:20"
OPENED = UploadSession("session-1", PT)
SECRET = "payload-that-no-message-may-hold"
DROP = Answer(drop=True)
SETTINGS = Settings.from_mapping(
    {
        "name": "c",
        "source_topic": "orders",
        "delivery": "at-least-once",
        "endpoint": "http://127.0.0.1/api",
        "project": "p",
        "table": "test_kafka",
    }
)


NOTHING_ALLOWED = Destinations.of({})


def service(scripted: ScriptedService, token: str = "") -> Service:
    return Service(TrustedAddress(scripted.endpoint), "p", Credentials("key-id", "key-secret", token))


def sessions(scripted: ScriptedService) -> TunnelUploadSessions:
    return TunnelUploadSessions(service(scripted), SETTINGS)


def test_a_session_is_opened_for_a_partition_that_need_not_be_there() -> None:
    with ScriptedService(session("NORMAL")) as scripted:
        assert sessions(scripted).open(PT, soon()) == OPENED
    (request,) = scripted.requests
    assert (request.method, request.path) == ("POST", "/projects/p/tables/test_kafka")
    assert request.query == {
        "uploads": "1",
        "reload": "False",
        "create_partition": "true",
        "partition": f"pt={PT}",
        "curr_project": "p",
    }
    assert request.headers["authorization"].startswith("ODPS key-id:")
    assert request.headers["x-odps-tunnel-version"] == "6"
    assert "authorization-sts-token" not in request.headers


def test_a_security_token_goes_along() -> None:
    with ScriptedService(session("NORMAL")) as scripted:
        TunnelUploadSessions(service(scripted, "token"), SETTINGS).look(OPENED, soon())
    assert scripted.requests[0].headers["authorization-sts-token"] == "token"


@pytest.mark.parametrize("encoding", ["deflate", "x-odps-lz4-frame", None])
def test_a_block_is_sent_whole_with_its_length_and_encoding(encoding: str | None) -> None:
    body = bytes(range(256)) * 1_000
    with ScriptedService(Answer()) as scripted:
        sessions(scripted).put_block(OPENED, 3, body, encoding, soon())
    (request,) = scripted.requests
    assert (request.method, request.body) == ("PUT", body)
    expected = {"uploadid": "session-1", "blockid": "3", "arrow": "", "partition": f"pt={PT}", "curr_project": "p"}
    assert request.query == expected
    assert request.headers["content-length"] == str(len(body))
    assert "transfer-encoding" not in request.headers
    assert request.headers.get("content-encoding") == encoding


def test_status_and_blocks_are_read() -> None:
    with ScriptedService(session("Committing", 0, 7), session("NEW-WORD")) as scripted:
        assert sessions(scripted).look(OPENED, soon()) == SessionState(SessionStatus.COMMITTING, frozenset({0, 7}))
        assert sessions(scripted).look(OPENED, soon()) == SessionState(SessionStatus.UNKNOWN, frozenset())
    assert scripted.requests[0].query["uploadid"] == "session-1"


CALLS: list[Callable[[TunnelUploadSessions, Deadline], object]] = [
    lambda tunnel, deadline: tunnel.open(PT, deadline),
    lambda tunnel, deadline: tunnel.put_block(OPENED, 0, SECRET.encode(), None, deadline),
    lambda tunnel, deadline: tunnel.look(OPENED, deadline),
]
NOT_NOW = [
    refusal(429, "FlowExceeded"),
    refusal(400, "SlotExceeded"),
    refusal(500, "InternalServerError"),
    refusal(503, "ServiceUnavailable"),
    Answer(502, b"<html>bad gateway</html>"),
    Answer(408),
    DROP,
]


def again(call: Callable[[TunnelUploadSessions, Deadline], object], fault: Answer) -> None:
    with ScriptedService(fault, fault, session("NORMAL", 0)) as scripted:
        call(sessions(scripted), soon())
    assert len(scripted.requests) == 3
    assert len({request.body for request in scripted.requests}) == 1


@pytest.mark.parametrize("fault", NOT_NOW, ids=lambda answer: f"{answer.status}{'-drop' * answer.drop}")
def test_not_now_is_asked_again(fault: Answer) -> None:
    again(CALLS[1], fault)


@pytest.mark.parametrize("call", CALLS, ids=["open", "block", "look"])
def test_whatever_can_be_repeated_is(call: Callable[[TunnelUploadSessions, Deadline], object]) -> None:
    again(call, DROP)


@pytest.mark.parametrize("fault", NOT_NOW, ids=lambda answer: f"{answer.status}{'-drop' * answer.drop}")
def test_a_commit_is_asked_for_once(fault: Answer) -> None:
    with ScriptedService(fault, session("CLOSED")) as scripted, pytest.raises(UnavailableError):
        sessions(scripted).commit(OPENED, soon())
    assert [(request.method, request.query["uploadid"]) for request in scripted.requests] == [("POST", "session-1")]


@pytest.mark.parametrize("fault", [refusal(429, "FlowExceeded"), DROP], ids=["429", "drop"])
@pytest.mark.parametrize("call", CALLS, ids=["open", "block", "look"])
def test_nothing_is_asked_for_ever(call: Callable[[TunnelUploadSessions, Deadline], object], fault: Answer) -> None:
    """PyODPS itself waits without end for a service that answers 429."""
    with ScriptedService(fault) as scripted, pytest.raises(UnavailableError) as caught:
        call(sessions(scripted), Deadline.after(0.4))
    assert scripted.requests
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("call", CALLS, ids=["open", "block", "look"])
def test_without_time_nothing_is_asked(call: Callable[[TunnelUploadSessions, Deadline], object]) -> None:
    with ScriptedService(session("NORMAL")) as scripted, pytest.raises(DeadlineError, match="expected time left to"):
        call(sessions(scripted), Deadline.after(0))
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(404, "NoSuchTable"), "NoSuchTable"),
        (refusal(403, "NoPermission"), "NoPermission"),
        (refusal(400, "StatusConflict"), "StatusConflict"),
        (Answer(404), "404"),
        (Answer(401), "401"),
    ],
)
@pytest.mark.parametrize("call", CALLS, ids=["open", "block", "look"])
def test_a_no_is_a_no_and_keeps_the_services_word(
    call: Callable[[TunnelUploadSessions, Deadline], object], answer: Answer, code: str
) -> None:
    with ScriptedService(answer) as scripted, pytest.raises(RefusedError) as caught:
        call(sessions(scripted), soon())
    assert len(scripted.requests) == 1
    assert caught.value.code == code
    assert f": {code} (HTTP" in str(caught.value)


def test_messages_say_what_to_do_and_keep_secrets() -> None:
    answers = (refusal(403, "NoPermission", "no Update"), refusal(401, "SignatureNotMatch", SECRET))
    with ScriptedService(*answers) as scripted:
        with pytest.raises(RefusedError, match=r"could not open an upload session for .*: no Update; grant the caller"):
            sessions(scripted).open(PT, soon())
        with pytest.raises(RefusedError) as caught:
            sessions(scripted).open(PT, soon())
    assert SECRET not in str(caught.value)
    with (
        ScriptedService(refusal(400, "MalformedDataStream", SECRET)) as scripted,
        pytest.raises(RefusedError) as caught,
    ):
        sessions(scripted).put_block(OPENED, 0, b"", None, soon())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"nonsense"),
        Answer(body=b"\xff"),
        Answer(body=b"[]"),
        Answer(body=b'{"Status": "NORMAL"}'),
        Answer(),
    ],
)
def test_an_answer_that_cannot_be_read_is_no_answer(answer: Answer) -> None:
    with ScriptedService(answer, session("NORMAL")) as scripted:
        assert sessions(scripted).look(OPENED, soon()).status is SessionStatus.NORMAL
    assert len(scripted.requests) == 2
    with ScriptedService(answer) as scripted, pytest.raises(UnavailableError, match="expected JSON of a session"):
        sessions(scripted).commit(OPENED, soon())


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    cut = Answer(body=session("NORMAL").body, cut=True)
    with ScriptedService(cut, session("NORMAL")) as scripted:
        assert sessions(scripted).look(OPENED, soon()).status is SessionStatus.NORMAL
    assert len(scripted.requests) == 2


def test_a_service_that_is_silent_or_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tunnel = TunnelUploadSessions(
            Service(TrustedAddress(endpoint), "p", Credentials("key-id", "key-secret")), SETTINGS
        )
        with pytest.raises(UnavailableError, match=r"no answer from .*ReadTimeout"):
            tunnel.commit(OPENED, Deadline.after(0.2))
    with pytest.raises(UnavailableError, match=r"no answer from .*ConnectionError"):
        tunnel.commit(OPENED, Deadline.after(0.5))


def test_a_long_body_may_take_longer_than_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maxcompute_service, "CONNECT_SECONDS", 0.2)
    with ScriptedService(Answer()) as scripted:
        scripted.seconds_before_reading = 0.5
        # More than the sockets' buffers hold.
        sessions(scripted).put_block(OPENED, 0, bytes(32 * 1024 * 1024), None, soon())
    assert len(scripted.requests) == 1


def test_no_body_signature_or_key_comes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedService(Answer()) as scripted:
        tunnel = TunnelUploadSessions(service(scripted, "token-secret"), SETTINGS)
        tunnel.put_block(OPENED, 0, SECRET.encode(), None, soon())
    signature = scripted.requests[0].headers["authorization"].partition(":")[2]
    for secret in (SECRET, "key-secret", "token-secret", signature):
        assert secret not in caplog.text


def test_the_tunnel_endpoint_is_asked_of_the_service() -> None:
    host = b"dt.cn-hangzhou.maxcompute.aliyun-inc.com"
    with ScriptedService(DROP, Answer(body=b"not an address"), Answer(body=host)) as scripted:
        assert tunnel_endpoint(service(scripted), NOTHING_ALLOWED, soon()) == f"http://{host.decode()}"
    assert [(request.method, request.path) for request in scripted.requests] == [("GET", "/projects/p/tunnel")] * 3
    assert scripted.requests[0].query == {"service": "", "curr_project": "p"}


@pytest.mark.parametrize("told", [b"dt.example.com:80", b"dt.cn-hangzhou.maxcompute.aliyun.com:8443", b"127.0.0.2:80"])
def test_a_tunnel_endpoint_on_a_foreign_host_gets_no_keys(told: bytes) -> None:
    with ScriptedService(Answer(body=told)) as scripted:
        with pytest.raises(ConfigurationError, match=r"isn't a host of MaxCompute; .*set CONNECTOR_TUNNEL_ENDPOINT"):
            tunnel_endpoint(service(scripted), NOTHING_ALLOWED, soon())
        allowed = Destinations.of({"ALLOWED_ADDRESSES": told.decode()})
        assert tunnel_endpoint(service(scripted), allowed, soon()) == f"http://{told.decode()}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_keys_anywhere(status: int) -> None:
    with ScriptedService(Answer()) as foreign:
        there = Answer(status, headers={"Location": f"{foreign.endpoint}/projects/p/tables/t"})
        with ScriptedService(there) as scripted, pytest.raises(UnavailableError, match="TooManyRedirects"):
            sessions(scripted).open("2020", Deadline.after(1))
    assert foreign.requests == []


def table_xml(schema: str) -> Answer:
    return Answer(body=f"<Table><Name>t</Name><Schema format='Json'><![CDATA[{schema}]]></Schema></Table>".encode())


def test_a_tables_columns_are_read() -> None:
    columns = [
        {"name": "topic", "type": "string", "isNullable": True, "comment": ""},
        {"name": "amount", "type": "decimal(10,2)", "isNullable": False},
    ]
    schema = json.dumps({"columns": columns, "partitionKeys": [{"name": "pt", "type": "string"}]})
    with ScriptedService(refusal(500, "InternalServerError"), table_xml("{}"), *2 * [table_xml(schema)]) as scripted:
        found = table_definition.look(service(scripted), "test_kafka", soon())
    assert found.columns == (Column("topic", "STRING"), Column("amount", "DECIMAL(10,2)", nullable=False))
    assert found.partition_columns == (Column("pt", "STRING"),)
    assert found.primary_key == ()
    assert {request.path for request in scripted.requests} == {"/projects/p/tables/test_kafka"}


def test_a_tables_primary_key_is_read() -> None:
    reserved = json.dumps({"schema_version": "1", "Transactional": "true", "PrimaryKey": ["topic", "offset"]})
    answers = [table_xml('{"columns": []}'), table_xml(json.dumps({"Reserved": reserved}))]
    with ScriptedService(*answers) as scripted:
        found = table_definition.look(service(scripted), "test_kafka", soon())
    assert found.primary_key == ("topic", "offset")
    assert [sorted(one.query) for one in scripted.requests] == [["curr_project"], ["curr_project", "extended"]]


def test_a_tables_key_that_cannot_be_read_is_unavailable() -> None:
    answers = [table_xml('{"columns": []}'), table_xml('{"Reserved": "no JSON"}')]
    with ScriptedService(*answers) as scripted, pytest.raises(UnavailableError, match="expected a JSON document"):
        table_definition.look(service(scripted), "test_kafka", Deadline.after(1))


@pytest.mark.parametrize(
    ("told", "created"),
    [
        ("<CreationTime>Tue, 17 Nov 2020 06:20:00 GMT</CreationTime>", HOUR_14),
        ("<CreationTime>long ago</CreationTime>", None),
        ("", None),
    ],
)
def test_when_a_table_was_made_is_read(told: str, created: int | None) -> None:
    body = f'<Table>{told}<Schema><![CDATA[{{"columns": []}}]]></Schema></Table>'.encode()
    with ScriptedService(*2 * [Answer(body=body)]) as scripted:
        found = table_definition.look(service(scripted), "test_kafka", soon())
    assert found == TableDefinition((), (), created)


@pytest.mark.parametrize("answer", [Answer(body=b"{}"), Answer(body=b"<Table/>"), Answer(body=b"<Table>")])
def test_a_table_that_cannot_be_read_is_unavailable(answer: Answer) -> None:
    with ScriptedService(answer) as scripted, pytest.raises(UnavailableError, match="expected XML with a schema"):
        table_definition.look(service(scripted), "test_kafka", Deadline.after(1))


def test_a_missing_table_is_refused_with_advice() -> None:
    with ScriptedService(refusal(404, "NoSuchTable")) as scripted, pytest.raises(BatchError) as caught:
        table_definition.look(service(scripted), "test_kafka", soon())
    assert isinstance(caught.value, RefusedError)
    assert "create the table, or fix CONNECTOR_TABLE" in str(caught.value)
