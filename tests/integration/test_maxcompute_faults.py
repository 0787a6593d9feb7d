"""Faults of the local MaxCompute as clients meet them: plain HTTP for what comes over the wire, PyODPS for the rest."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
import requests
from odps import ODPS
from odps.accounts import CredentialProviderAccount
from odps.errors import ODPSError
from odps.tunnel import TableTunnel

from local_emulator.foundation.faults import FAULTS, Fault, SetFault
from local_emulator.maxcompute import server
from local_emulator.maxcompute.keys import STORE
from tests.access_clients import PROJECT, ROLE, issue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odps.tunnel.tabletunnel import TableUploadSession

    from local_emulator.maxcompute.authentication import TemporaryKey

TABLE = f"/projects/{PROJECT}/tables/t"
PROJECT_PATH = f"/api/projects/{PROJECT}"
# A record stream that ends at once is not one; any bytes will do where nothing reads them.
BLOCK = bytes(8 << 20)


@pytest.fixture
def local() -> Iterator[server.MaxComputeServer]:
    """An emulator that wants no signatures, with a table."""
    with server.start(PROJECT, insecure=True) as running:
        client(running).execute_sql("create table t (a bigint)")
        yield running


def client(local: server.MaxComputeServer, **more: Any) -> ODPS:
    return ODPS("ak", "sk", PROJECT, endpoint=local.endpoint, **more)


def arm(local: server.MaxComputeServer, operation: str, answer: Any, **more: Any) -> SetFault:
    return local.app[FAULTS].set(Fault(operation=operation, answer=answer, **more))


def call(
    local: server.MaxComputeServer, method: str, path: str, body: bytes | None = None, seconds: float = 30
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(local.address, timeout=seconds)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def upload(local: server.MaxComputeServer) -> TableUploadSession:
    """A session with one block of two rows."""
    session = TableTunnel(client(local)).create_upload_session("t")
    with session.open_record_writer(0) as writer:
        for value in (1, 2):
            writer.write(session.new_record([value]))
    return session


def blocks(local: server.MaxComputeServer, session_id: str) -> list[int]:
    _, body = call(local, "GET", f"{TABLE}?uploadid={session_id}")
    return [block["BlockID"] for block in json.loads(body)["UploadedBlockList"]]


def rows(local: server.MaxComputeServer) -> int:
    with client(local).get_table("t").open_reader() as reader:
        return int(reader.count)


@pytest.mark.parametrize(
    ("status", "code"),
    [(408, "RequestTimeOut"), (429, "FlowExceeded"), (500, "InternalServerError"), (503, "ServiceUnavailable")],
)
def test_a_status_comes_with_the_services_code(local: server.MaxComputeServer, status: int, code: str) -> None:
    arm(local, "upload.create", "status", status=status)
    arm(local, "table.get", "status", status=status)
    answer, body = call(local, "POST", f"{TABLE}?uploads")
    assert (answer.status, json.loads(body)["Code"]) == (status, code)
    answer, body = call(local, "GET", f"{PROJECT_PATH}/tables/t")
    error = ET.fromstring(body)  # noqa: S314 - from the emulator
    assert (answer.status, error.findtext("Code")) == (status, code)
    assert answer.getheader("x-odps-request-id") == error.findtext("RequestId")
    assert call(local, "POST", f"{TABLE}?uploads")[0].status == 200


@pytest.mark.parametrize(("status", "title"), [(502, "Bad Gateway"), (504, "Gateway Time-out")])
def test_a_gateway_answers_with_a_page_of_its_own(local: server.MaxComputeServer, status: int, title: str) -> None:
    arm(local, "project.get", "status", status=status)
    answer, body = call(local, "GET", PROJECT_PATH)
    assert (answer.status, answer.getheader("Content-Type")) == (status, "text/html; charset=utf-8")
    assert title in body.decode()


def test_a_chosen_code_and_message_are_what_the_client_gets(local: server.MaxComputeServer) -> None:
    made = arm(local, "sql", "status", status=400, code="MetaTransactionFailed", message="two at once")
    with pytest.raises(ODPSError, match="two at once") as caught:
        client(local).execute_sql("select 1")
    assert (caught.value.code, caught.value.status_code) == ("MetaTransactionFailed", 400)
    assert (made.fired, made.applied) == (1, 0)


def test_a_client_that_is_sending_a_block_sees_the_answer_and_nothing_is_stored(local: server.MaxComputeServer) -> None:
    session = upload(local)
    made = arm(local, "upload.block", "status", status=503)
    answer, body = call(local, "PUT", f"{TABLE}?uploadid={session.id}&blockid=1", BLOCK)
    assert (answer.status, json.loads(body)["Code"]) == (503, "ServiceUnavailable")
    assert answer.getheader("x-emulator-fault") == str(made.number)
    assert blocks(local, session.id) == [0]


@pytest.mark.parametrize("applied", [False, True])
def test_a_reset_comes_before_or_after_the_commit(local: server.MaxComputeServer, *, applied: bool) -> None:
    session = upload(local)
    made = arm(local, "upload.commit", "reset", applied=applied)
    with pytest.raises(ConnectionResetError):
        call(local, "POST", f"{TABLE}?uploadid={session.id}")
    assert rows(local) == (2 if applied else 0)
    assert (made.hits, made.applied) == ({"upload.commit": 1}, int(applied))


def test_a_reset_of_a_block_leaves_none(local: server.MaxComputeServer) -> None:
    session = upload(local)
    arm(local, "upload.block", "reset")
    with pytest.raises(ConnectionResetError):
        call(local, "PUT", f"{TABLE}?uploadid={session.id}&blockid=1", BLOCK)
    assert blocks(local, session.id) == [0]


def test_an_applied_commit_that_is_answered_500_is_sent_again_by_pyodps_and_counts_once(
    local: server.MaxComputeServer,
) -> None:
    session = upload(local)
    made = arm(local, "upload.commit", "status", status=500, applied=True)
    session.commit([0])
    assert (made.fired, made.applied) == (1, 1)
    assert rows(local) == 2


@pytest.mark.parametrize(
    ("operation", "method", "path"),
    [
        ("upload.status", "GET", f"{TABLE}?uploadid={{session}}"),
        ("table.get", "GET", f"{PROJECT_PATH}/tables/t"),
        ("download.create", "POST", f"{TABLE}?downloads"),
    ],
)
def test_a_truncated_answer_ends_in_the_middle(
    local: server.MaxComputeServer, operation: str, method: str, path: str
) -> None:
    path = path.format(session=upload(local).id)
    whole = call(local, method, path)[1]
    made = arm(local, operation, "truncate")
    with pytest.raises(IncompleteRead) as caught:
        call(local, method, path)
    assert 0 < len(caught.value.partial) < len(whole)
    assert (made.fired, made.applied) == (1, 1)


def test_an_answer_without_a_body_is_truncated_too_and_was_applied(local: server.MaxComputeServer) -> None:
    session = upload(local)
    block = call(local, "GET", f"{TABLE}?data&downloadid={download(local)}&rowrange=(0,0)")[1]
    arm(local, "upload.block", "truncate")
    with pytest.raises(IncompleteRead):
        call(local, "PUT", f"{TABLE}?uploadid={session.id}&blockid=1", block)
    assert blocks(local, session.id) == [0, 1]


def download(local: server.MaxComputeServer) -> str:
    return str(json.loads(call(local, "POST", f"{TABLE}?downloads")[1])["DownloadID"])


@pytest.mark.parametrize("answer", ["truncate", "reset"])
def test_an_answer_that_would_be_sent_piece_by_piece_is_lost_as_others_are(
    local: server.MaxComputeServer, answer: str
) -> None:
    count, store = 2_000_000, local.app[STORE]
    rows = pa.record_batch([pa.array(range(count), pa.int64())], names=["a"])
    store.append(store.table(PROJECT, "", "t"), (), [rows])
    path = f"{TABLE}?data&downloadid={download(local)}&rowrange=(0,{count})"
    whole, body = call(local, "GET", path)
    assert whole.getheader("Transfer-Encoding") == "chunked"
    arm(local, "download.data", answer, applied=True)
    with pytest.raises((IncompleteRead, ConnectionResetError)) as caught:
        call(local, "GET", path)
    if answer == "truncate":
        assert isinstance(caught.value, IncompleteRead)
        assert caught.value.partial == body[: len(body) // 2]


def test_an_error_is_truncated_as_well_and_counts_as_not_applied(local: server.MaxComputeServer) -> None:
    made = arm(local, "upload.commit", "truncate")
    with pytest.raises(IncompleteRead):
        call(local, "POST", f"{TABLE}?uploadid=none")
    assert (made.fired, made.applied) == (1, 0)


def test_a_client_times_out_before_anything_is_applied(local: server.MaxComputeServer) -> None:
    session = upload(local)
    arm(local, "upload.commit", "reset", delay_seconds=1)
    with pytest.raises(TimeoutError):
        call(local, "POST", f"{TABLE}?uploadid={session.id}", seconds=0.2)
    assert json.loads(call(local, "GET", f"{TABLE}?uploadid={session.id}")[1])["Status"] == "NORMAL"


@pytest.mark.parametrize("applied", [False, True])
def test_a_delayed_commit_is_done_though_the_client_has_gone(local: server.MaxComputeServer, *, applied: bool) -> None:
    session = upload(local)
    made = arm(local, "upload.commit", "delay", delay_seconds=0.5, applied=applied)
    with pytest.raises(TimeoutError):
        call(local, "POST", f"{TABLE}?uploadid={session.id}", seconds=0.2)
    end = time.monotonic() + 20
    while not made.applied and time.monotonic() < end:
        time.sleep(0.05)
    assert (made.applied, rows(local)) == (1, 2)


def test_an_emulator_that_stops_waits_for_no_delay() -> None:
    running = server.start(PROJECT, insecure=True)
    with ThreadPoolExecutor(1) as threads:
        made = arm(running, "project.get", "delay", delay_seconds=600)
        asked = threads.submit(call, running, "GET", PROJECT_PATH)
        while not made.fired:
            time.sleep(0.01)
        running.stop()
        # Not cut off after the time that requests are given to end, which would be an end without a reset.
        assert isinstance(asked.exception(30), ConnectionResetError)


def test_a_fault_of_one_session_leaves_the_other_alone(local: server.MaxComputeServer) -> None:
    mine, other = upload(local), upload(local)
    made = arm(local, "upload.*", "status", status=404, code="NoSuchUpload", session=mine.id, times=None)
    assert call(local, "POST", f"{TABLE}?uploadid={other.id}")[0].status == 200
    assert call(local, "POST", f"{TABLE}?uploadid={mine.id}")[0].status == 404
    assert call(local, "GET", f"{TABLE}?uploadid={mine.id}")[0].status == 404
    assert made.hits == {"upload.commit": 1, "upload.status": 1}


def test_an_instance_is_a_session_as_well(local: server.MaxComputeServer) -> None:
    odps = client(local)
    first, second = odps.execute_sql("select 1"), odps.execute_sql("select 2")
    arm(local, "instance.*", "status", status=404, code="NoSuchObject", session=first.id, times=None)
    assert second.is_successful(retry=False)
    with pytest.raises(ODPSError):
        first.is_successful(retry=False)


def test_the_answer_of_a_statement_is_lost_after_it_was_taken(local: server.MaxComputeServer) -> None:
    made = arm(local, "sql", "reset", applied=True)
    with pytest.raises(requests.exceptions.ConnectionError):
        client(local).execute_sql("insert into t values (1)")
    assert made.applied == 1
    end = time.monotonic() + 20
    while not rows(local) and time.monotonic() < end:
        time.sleep(0.05)
    assert rows(local) == 1


def test_pyodps_asks_again_for_a_table_after_503(local: server.MaxComputeServer) -> None:
    made = arm(local, "table.get", "status", status=503, times=2)
    assert client(local).exist_table("t")
    assert made.fired == 2


class Credentials:
    """As PyODPS wants them of a provider."""

    def __init__(self, key: TemporaryKey) -> None:
        self._key = key

    def get_access_key_id(self) -> str:
        return self._key.access_id

    def get_access_key_secret(self) -> str:
        return self._key.access_key

    def get_security_token(self) -> str:
        return self._key.token


def test_an_expired_token_is_refused_until_the_client_has_another(
    emulator: server.MaxComputeServer, owner: ODPS
) -> None:
    owner.execute_security_query(f"add user `{ROLE}`")
    asked: list[Credentials] = []

    class Provider:
        def get_credentials(self) -> Credentials:
            asked.append(Credentials(issue(emulator, ROLE)))
            return asked[-1]

    role = ODPS(account=CredentialProviderAccount(Provider()), project=PROJECT, endpoint=emulator.endpoint)
    made = arm(emulator, "*", "expired-token", times=1)
    call(emulator, "GET", "/api/logview/host")  # isn't signed, and so isn't hit
    assert not made.fired
    assert role.get_project(PROJECT).owner
    assert made.hits == {"project.get": 1}
    assert len(asked) > 1


def test_a_session_expires_when_the_time_is_shifted(local: server.MaxComputeServer) -> None:
    session = upload(local)
    assert control(local, "PUT", "clock", {"shift_seconds": 86_401})["shift_seconds"] == 86_401
    answer, body = call(local, "POST", f"{TABLE}?uploadid={session.id}")
    assert (answer.status, json.loads(body)["Code"]) == (409, "StatusConflict")
    control(local, "PUT", "clock", {"shift_seconds": 0})
    assert call(local, "POST", f"{TABLE}?uploadid={session.id}")[0].status == 200


def test_requests_are_too_skewed_when_the_time_of_the_front_door_is(emulator: server.MaxComputeServer) -> None:
    control(emulator, "PUT", "clock", {"skew_seconds": -1000})
    with pytest.raises(ODPSError) as caught:
        client(emulator).get_project(PROJECT).reload()
    assert caught.value.code == "RequestTimeTooSkewed"
    assert control(emulator, "GET", "clock")["shift_seconds"] == 0


def control(local: server.MaxComputeServer, method: str, path: str, body: object = None) -> dict[str, Any]:
    """The emulator's own API."""
    answer, text = call(local, method, f"/emulator/{path}", None if body is None else json.dumps(body).encode())
    value: dict[str, Any] = json.loads(text)
    return {**value, "http": answer.status}


def test_the_state_can_be_seen_and_cleared_without_a_signature(emulator: server.MaxComputeServer) -> None:
    made = control(emulator, "POST", "faults", {"operation": "project.get", "answer": "status", "status": 500})
    assert (made["http"], made["id"], made["fired"], made["spent"]) == (201, 1, 0, False)
    control(emulator, "POST", "faults", {"operation": "sql", "answer": "reset", "times": None})
    call(emulator, "GET", PROJECT_PATH)
    first, second = control(emulator, "GET", "faults")["faults"]
    assert (first["fired"], first["hits"], first["spent"]) == (1, {"project.get": 1}, True)
    assert (second["fired"], second["times"]) == (0, None)
    assert control(emulator, "GET", "faults/1")["spent"]
    assert [one["id"] for one in control(emulator, "DELETE", "faults/1")["faults"]] == [1]
    assert [one["id"] for one in control(emulator, "DELETE", "faults")["faults"]] == [2]
    assert control(emulator, "GET", "faults")["faults"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "faults", {"operation": "nothing", "answer": "reset"}, 400, "no operation is called 'nothing'"),
        ("POST", "faults", None, 400, "truncated"),
        ("GET", "faults/7", None, 404, "there is no fault 7"),
        ("DELETE", "faults/7", None, 404, "there is no fault 7"),
        ("PUT", "clock", {"shift": 1}, 400, "unknown field `shift`"),
        ("PUT", "clock", {"skew_seconds": 1e12}, 400, "$.skew_seconds"),
        ("GET", "else", None, 404, "is not emulated"),
    ],
)
def test_what_is_wrong_is_said(
    emulator: server.MaxComputeServer, *, method: str, path: str, body: object, status: int, message: str
) -> None:
    answer = control(emulator, method, path, body)
    assert answer["http"] == status
    assert message in answer["Message"]


def test_a_fault_at_everything_spares_the_emulators_own_paths(local: server.MaxComputeServer) -> None:
    arm(local, "*", "reset", times=None)
    with suppress(ConnectionResetError):
        call(local, "GET", PROJECT_PATH)
    assert control(local, "DELETE", "faults")["faults"][0]["hits"] == {"project.get": 1}
    assert call(local, "GET", PROJECT_PATH)[0].status == 200
