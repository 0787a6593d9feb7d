"""An instance of the sink: settings once, the table's shape when it's new, one log line and one reply a batch."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from odps.tunnel import retry

from fc_powertools import Credentials, CredentialsError, logger
from fc_powertools.decorators import opened
from kafka_maxcompute.errors import (
    ConfigurationError,
    DeadlineError,
    MalformedBatchError,
    RefusedError,
    RejectedRecordsError,
    TableChangedError,
    UnavailableError,
)
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.settings.destinations import TrustedAddress
from maxcompute_sink import rejected as rejected_module
from maxcompute_sink.instance import Instance
from tests.deadlines import soon
from tests.kafka_events import HOUR_14, element, payload
from tests.scripted_service import TABLE_COLUMNS, Answer, ScriptedService, refusal, session

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "payload-that-no-message-may-hold"


def table(*columns: tuple[str, str]) -> Answer:
    described = [{"name": name, "type": type_, "isNullable": True} for name, type_ in columns]
    schema = json.dumps({"columns": described, "partitionKeys": [{"name": "pt", "type": "string"}]})
    return Answer(body=f"<Table><Schema><![CDATA[{schema}]]></Schema></Table>".encode())


TABLE = table(*TABLE_COLUMNS)
TUNNEL = Answer(body=b"HERE")  # replaced by the server's own address
WRITTEN = (session("NORMAL"), Answer(), session("NORMAL", 0), session("CLOSED", 0))


def scripted(*script: Answer) -> ScriptedService:
    service = ScriptedService(*script)
    service.aside["extended"] = Answer(body=b"<Table><Schema>{}</Schema></Table>")  # a table without a primary key
    here = Answer(body=service.endpoint.partition("//")[2].encode())
    service._script = [here if answer is TUNNEL else answer for answer in service._script]
    return service


def environment(service: ScriptedService, **settings: str) -> dict[str, str]:
    return {
        "CONNECTOR_NAME": "orders-sink",
        "CONNECTOR_SOURCE_TOPIC": "orders",
        "CONNECTOR_ENDPOINT": f"{service.endpoint}/api",
        "CONNECTOR_PROJECT": "p",
        "CONNECTOR_TABLE": "t",
        "CONNECTOR_DELIVERY": "at-least-once",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "key-id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "key-secret",
    } | {f"CONNECTOR_{name.upper()}": value for name, value in settings.items()}


def handle(instance: Instance, batch: bytes, given: dict[str, str], timeout: int = 60) -> dict[str, Any]:
    context = SimpleNamespace(request_id="r1", function=SimpleNamespace(name="sink", timeout=timeout))
    with opened(context, namespace="kafka_maxcompute", environment=given) as invocation:
        return instance.handle(batch, invocation)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """The log as JSON, a line each, as they are when it's called."""
    caplog.set_level(logging.DEBUG)
    formatter, logged = logger.JsonFormatter(), []

    class Written(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(json.loads(formatter.format(record)))

    handler = Written()
    logging.getLogger().addHandler(handler)
    yield lambda: [line for line in logged if not line["logger"].startswith("urllib3")]
    logging.getLogger().removeHandler(handler)


def paths(service: ScriptedService) -> list[str]:
    return [f"{request.method} {request.path.removeprefix('/api')}" for request in service.requests]


def test_a_batch_is_written_and_the_reply_says_where(lines: Any) -> None:
    batch = payload(element(7), element(8, value=SECRET), element(3, partition=1))
    with scripted(TABLE, TUNNEL, *WRITTEN) as service:
        given = environment(service)
        reply = handle(Instance(given), batch, given)
    assert reply == {
        "connector": "orders-sink",
        "records": 3,
        "partitions": {"11-17-2020 14": {"records": 3, "upload_session": "session-1"}},
        "offsets": {"orders-0": ((7, 8),), "orders-1": ((3, 3),)},
    }
    assert paths(service) == [
        "GET /projects/p/tables/t",
        "GET /projects/p/tunnel",
        "POST /projects/p/tables/t",
        "PUT /projects/p/tables/t",
        "GET /projects/p/tables/t",
        "POST /projects/p/tables/t",
    ]
    committed, metrics = lines()
    assert {name: committed[name] for name in ("message", "connector", "request_id", "records", "offsets")} == {
        "message": "batch committed",
        "connector": "orders-sink",
        "request_id": "r1",
        "records": 3,
        "offsets": {"orders-0": [[7, 8]], "orders-1": [[3, 3]]},
    }
    counted = metrics["metrics"]
    assert counted["dimensions"] == {"connector": "orders-sink"}
    assert counted["counters"]["records"] == 3
    assert counted["counters"]["payload"] == len(batch)
    assert set(counted["timings"]) == {"prepare", "stage", "commit"}
    for secret in (SECRET, "key-secret"):
        assert secret not in json.dumps(lines())


def test_table_and_tunnel_are_looked_at_once() -> None:
    with scripted(TABLE, TUNNEL, *WRITTEN, *WRITTEN) as service:
        given = environment(service)
        instance = Instance(given)
        for _ in range(2):
            handle(instance, payload(element(1)), given)
    assert paths(service).count("GET /projects/p/tunnel") == 1
    assert len(service.requests) == 2 + 2 * len(WRITTEN)


def test_a_tunnel_endpoint_that_is_set_is_not_asked_for() -> None:
    with scripted(TABLE, *WRITTEN) as service:
        given = environment(service, tunnel_endpoint=service.endpoint)
        handle(Instance(given), payload(element(1)), given)
    assert "GET /projects/p/tunnel" not in paths(service)


def test_an_empty_batch_is_written_by_doing_nothing() -> None:
    with scripted(TABLE, TUNNEL) as service:
        given = environment(service)
        reply = handle(Instance(given), b"[]", given)
    assert reply == {"connector": "orders-sink", "records": 0, "partitions": {}, "offsets": {}}


def test_records_that_cannot_be_written_are_all_named_and_nothing_is_opened(
    lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejected_module, "LOGGED_TOGETHER", 2)
    bad = [element(number, value={SECRET: SECRET}) for number in range(3)]
    batch = payload(element(9), *bad, element(4, timestamp=-1, value=SECRET))
    with scripted(TABLE) as service:
        given = environment(service)
        with pytest.raises(RejectedRecordsError, match="4 of 5 records"):
            handle(Instance(given), batch, given)
    assert paths(service) == ["GET /projects/p/tables/t"]
    named = [(line["reason"], line["path"], line["records"]) for line in lines() if "reason" in line]
    assert named == [
        ("unexpected-event", "$.data.value", ["orders-0-0", "orders-0-1"]),
        ("unexpected-event", "$.data.value", ["orders-0-2"]),
        ("timestamp-absent", "$.data.timestamp", ["orders-0-4"]),
    ]
    (counted,) = [line["metrics"]["counters"] for line in lines() if "metrics" in line]
    assert counted["rejected:unexpected-event"] == 3
    assert counted["rejected:timestamp-absent"] == 1
    assert "records" not in counted
    (failed,) = [line for line in lines() if line["message"] == "invocation failed"]
    assert (failed["error"]["type"], failed["connector"]) == ("RejectedRecordsError", "orders-sink")
    assert SECRET not in json.dumps(lines())


def test_bytes_that_are_no_batch_fail_without_a_request_to_tunnel() -> None:
    with scripted(TABLE) as service:
        given = environment(service)
        with pytest.raises(MalformedBatchError):
            handle(Instance(given), b"nonsense", given)
    assert len(service.requests) == 1


WIDER = (*TABLE_COLUMNS, ("extra", "bigint"))
WIDER_WRITTEN = (session("NORMAL", columns=WIDER), Answer(), session("NORMAL", 0), session("CLOSED", 0))


def test_after_a_refusal_the_next_delivery_reads_the_table_again() -> None:
    with scripted(TABLE, TUNNEL, refusal(400, "TableModified"), table(*WIDER), TUNNEL, *WIDER_WRITTEN) as service:
        given = environment(service)
        instance = Instance(given)
        with pytest.raises(RefusedError) as caught:
            handle(instance, payload(element(1)), given)
        handle(instance, payload(element(1)), given)
    assert caught.value.code == "TableModified"
    assert paths(service).count("GET /projects/p/tables/t") == 3


@pytest.mark.parametrize(
    "columns",
    [
        WIDER,
        (*TABLE_COLUMNS[:3], ("value", "string"), ("key", "string")),
        (*TABLE_COLUMNS, ("extra", "json")),
        (*TABLE_COLUMNS[:4], ("value", "double")),
    ],
)
def test_a_session_with_other_columns_gets_no_rows(
    columns: tuple[tuple[str, str], ...],
) -> None:
    """A block's bytes don't name their columns: a key would land in the value."""
    with scripted(TABLE, TUNNEL, *WRITTEN, session("NORMAL", columns=columns), TABLE) as service:
        given = environment(service)
        instance = Instance(given)
        handle(instance, payload(element(1)), given)
        with pytest.raises(TableChangedError, match="other columns"):
            handle(instance, payload(element(2)), given)
    assert [request.method for request in service.requests].count("PUT") == 1


def test_a_table_that_was_altered_is_read_again_in_the_same_delivery() -> None:
    found = session("NORMAL", columns=WIDER)
    with scripted(TABLE, TUNNEL, *WRITTEN, found, table(*WIDER), *WIDER_WRITTEN) as service:
        given = environment(service)
        instance = Instance(given)
        for offset in (1, 2):
            assert handle(instance, payload(element(offset)), given)["records"] == 1
    assert [request.method for request in service.requests].count("PUT") == 2


CSV = {"mode": "VALUE", "format": "CSV"}
NARROW = (*TABLE_COLUMNS[:3], ("a", "varchar(4)"))
WIDE = (*TABLE_COLUMNS[:3], ("a", "varchar(10)"))


def test_records_are_judged_by_the_newest_definition_of_the_table() -> None:
    def written(columns: tuple[tuple[str, str], ...]) -> tuple[Answer, ...]:
        return (session("NORMAL", columns=columns), *WRITTEN[1:])

    script = (table(*NARROW), TUNNEL, *written(NARROW), table(*WIDE), *written(WIDE))
    with scripted(*script) as service:
        given = environment(service, **CSV)
        instance = Instance(given)
        handle(instance, payload(element(1, value="abcd")), given)
        assert handle(instance, payload(element(2, value="abcdefg")), given)["records"] == 1
    assert len(service.requests) == len(script)


def test_bad_records_cost_one_look_at_the_table_a_delivery() -> None:
    with scripted(table(*NARROW)) as service:
        given = environment(service, **CSV)
        instance = Instance(given)
        for looks in (1, 2, 3):
            with pytest.raises(RejectedRecordsError, match="3 of 3 records"):
                handle(instance, payload(*(element(offset, value="abcdefg") for offset in range(3))), given)
            assert len(service.requests) == looks


def test_without_the_newest_definition_nothing_is_set_aside() -> None:
    busy = refusal(503, "ServiceUnavailable")
    written = (session("NORMAL", columns=NARROW), *WRITTEN[1:])
    with scripted(table(*NARROW), TUNNEL, *written, busy) as service:
        given = environment(service, **CSV)
        instance = Instance(given)
        handle(instance, payload(element(1, value="abcd")), given, timeout=60)
        with pytest.raises(UnavailableError, match="could not read table t"):
            handle(instance, payload(element(2, value="abcdefg")), given, timeout=3)


def test_a_table_that_lost_a_column_stops_the_stream_with_what_to_do() -> None:
    fewer = table(*TABLE_COLUMNS[:4])
    found = session("NORMAL", columns=TABLE_COLUMNS[:4])
    with scripted(TABLE, TUNNEL, *WRITTEN, found, fewer, TABLE, *WRITTEN) as service:
        given = environment(service)
        instance = Instance(given)
        handle(instance, payload(element(1)), given)
        with pytest.raises(ConfigurationError, match="expected a column value STRING"):
            handle(instance, payload(element(2)), given)
        assert handle(instance, payload(element(2)), given)["records"] == 1


def test_a_table_that_was_created_again_fails_the_delivery_so_that_the_next_one_compares_it() -> None:
    def created(minute: int, columns: tuple[tuple[str, str], ...]) -> Answer:
        time = f"<CreationTime>Tue, 17 Nov 2020 06:{minute}:00 GMT</CreationTime></Table>".encode()
        return Answer(body=table(*columns).body.replace(b"</Table>", time))

    with scripted(created(20, TABLE_COLUMNS), TUNNEL, session("NORMAL", columns=WIDER), created(21, WIDER)) as service:
        given = environment(service)
        instance = Instance(given)
        instance._table.known(Service(TrustedAddress(given["CONNECTOR_ENDPOINT"]), "p", Credentials("a", "b")), soon())
        with pytest.raises(TableChangedError, match="dropped and created again"):
            handle(instance, payload(element(1)), given)


def test_after_a_failure_the_address_of_tunnel_is_asked_for_again() -> None:
    with scripted(TABLE, TUNNEL, refusal(404, "NoSuchEndpoint"), TABLE, TUNNEL, *WRITTEN) as service:
        given = environment(service)
        instance = Instance(given)
        with pytest.raises(RefusedError):
            handle(instance, payload(element(1)), given)
        assert handle(instance, payload(element(1)), given)["records"] == 1
    assert paths(service).count("GET /projects/p/tunnel") == 2


def test_a_table_of_other_columns_is_refused_with_every_difference_until_it_is_mended() -> None:
    wrong = table(("topic", "string"), ("partition", "string"), ("offset", "bigint"), ("key", "binary"))
    with scripted(wrong, TABLE, TUNNEL, *WRITTEN) as service:
        given = environment(service)
        instance = Instance(given)
        with pytest.raises(ConfigurationError) as caught:
            handle(instance, payload(element(1)), given)
        assert len(caught.value.faults) == 3
        assert handle(instance, payload(element(1)), given)["records"] == 1


def test_a_missing_table_is_refused_with_advice() -> None:
    with scripted(refusal(404, "NoSuchTable")) as service:
        given = environment(service)
        with pytest.raises(RefusedError, match="create the table, or fix CONNECTOR_TABLE"):
            handle(Instance(given), payload(element(1)), given)


def test_too_little_time_for_a_commit_fails_before_it() -> None:
    with scripted(TABLE, TUNNEL, *WRITTEN) as service:
        given = environment(service)
        with pytest.raises(DeadlineError, match="nothing was committed"):
            handle(Instance(given), payload(element(1)), given, timeout=8)
    assert paths(service).count("POST /projects/p/tables/t") == 1


def test_without_keys_nothing_is_asked() -> None:
    with scripted(TABLE) as service:
        given = {name: value for name, value in environment(service).items() if "ACCESS" not in name}
        with pytest.raises(CredentialsError):
            handle(Instance(given), payload(element(1)), given)
    assert service.requests == []


def test_all_faults_of_the_settings_are_told_at_once() -> None:
    with scripted(TABLE) as service:
        given = environment(service, mode="BOTH", partition="YEAR", tabel="t")
        with pytest.raises(ConfigurationError) as caught:
            Instance(given)
    assert len(caught.value.faults) == 3
    assert service.requests == []


def test_slow_checksums_are_a_fault_of_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google_crc32c.implementation", "python")
    with scripted(TABLE) as service, pytest.raises(ConfigurationError, match="build the dependencies layer"):
        Instance(environment(service))


def test_the_latest_time_is_told_by_the_clock() -> None:
    far = element(1, timestamp=HOUR_14 * 3)
    with scripted(TABLE) as service:
        given = environment(service)
        with pytest.raises(RejectedRecordsError, match="expected a time from"):
            handle(Instance(given), payload(far), given)


@pytest.mark.parametrize("fault", [refusal(429, "SlotExceeded"), refusal(429, "FlowExceeded")], ids=["slot", "flow"])
def test_a_service_that_has_no_room_is_asked_again_by_us_and_never_by_pyodps(
    fault: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyODPS waits for it without end, by the class that is broken here."""

    def reached(*_: object, **__: object) -> None:
        raise AssertionError("PyODPS retries by itself")

    for name in ("should_retry", "get_retry_wait_time"):
        monkeypatch.setattr(retry.InfiniteExponentialWaitRetryPolicy, name, reached)
    monkeypatch.setattr(retry.TunnelRetryHandler, "_after_exception", reached)
    with scripted(TABLE, TUNNEL, fault, fault, WRITTEN[0], fault, *WRITTEN[1:]) as service:
        given = environment(service)
        assert handle(Instance(given), payload(element(1)), given)["records"] == 1
    with scripted(TABLE, TUNNEL, fault) as service:
        given = environment(service)
        with pytest.raises(UnavailableError, match="HTTP 429"):
            handle(Instance(given), payload(element(1)), given, timeout=2)
