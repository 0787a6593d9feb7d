"""The sink's own code against the MaxCompute emulator over HTTP, its rows read back with real PyODPS."""

from __future__ import annotations

import base64
import itertools
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from odps import ODPS

from fc_powertools import Credentials, Deadline
from fc_powertools.decorators import opened
from kafka_maxcompute.errors import ConfigurationError, RefusedError, RejectedRecordsError
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.maxcompute.tunnel import TunnelUploadSessions, tunnel_endpoint
from kafka_maxcompute.maxcompute.upload_sessions import SessionStatus, commit
from kafka_maxcompute.settings.destinations import Destinations, TrustedAddress
from kafka_maxcompute.settings.settings import Settings
from local_emulator.maxcompute import server
from maxcompute_sink.framing import block_body
from maxcompute_sink.instance import Instance
from tests.kafka_events import HOUR_14, element, payload
from tests.maxcompute_sql import NANOSECOND_TYPES
from tests.upload_sessions_contract import PT, UploadSessionsContract, body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_emulator.maxcompute.server import MaxComputeServer

PROJECT = "connector_test"
HOUR = 3_600_000
KEYS = Credentials("ak", "sk")
# As in the connector document, where partition and offset are reserved words and not quoted.
DOCUMENT_TABLE = (
    "CREATE TABLE IF NOT EXISTS {name}(topic STRING,partition BIGINT,offset BIGINT,key STRING,value STRING) "
    "PARTITIONED by (pt STRING);"
)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start(project=PROJECT, access_id="ak", access_key="sk") as running:
        yield running


@pytest.fixture(scope="module")
def odps(emulator: MaxComputeServer) -> ODPS:
    return ODPS("ak", "sk", PROJECT, endpoint=emulator.endpoint, logview_host="http://127.0.0.1")


@pytest.fixture
def make_table(odps: ODPS) -> Callable[[str], str]:
    def make(statement: str) -> str:
        name = f"t{next(_numbers)}"
        odps.execute_sql(statement.format(name=name))
        return name

    return make


@pytest.fixture
def table(make_table: Callable[[str], str]) -> str:
    return make_table(DOCUMENT_TABLE)


def settings_of(emulator: MaxComputeServer, table: str, **settings: str) -> dict[str, str]:
    given = {
        "name": "orders-sink",
        "source_topic": "orders",
        "delivery": "at-least-once",
        "endpoint": emulator.endpoint,
        "project": PROJECT,
        "table": table,
    } | settings
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "ak", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "sk"}
    return keys | {f"CONNECTOR_{name.upper()}": value for name, value in given.items()}


def handle(environment: dict[str, str], *batches: bytes) -> list[dict[str, Any]]:
    instance = Instance(environment)
    context = SimpleNamespace(request_id="r1", function=SimpleNamespace(name="sink", timeout=60))
    replies = []
    for batch in batches:
        with opened(context, environment=environment) as invocation:
            replies.append(instance.handle(batch, invocation))
    return replies


def rows(odps: ODPS, table: str, partition_value: str) -> list[list[Any]]:
    """All columns but the partition column, in the table's order."""
    with odps.get_table(table).open_reader(partition={"pt": partition_value}, arrow=False) as reader:
        return [list(record.values)[:-1] for record in reader]


def partitions(odps: ODPS, table: str) -> set[str]:
    return {partition.partition_spec.kv["pt"] for partition in odps.get_table(table).partitions}


class TestTunnel(UploadSessionsContract):
    @pytest.fixture
    def sessions(self, emulator: MaxComputeServer, table: str) -> TunnelUploadSessions:
        given = {name.removeprefix("CONNECTOR_").lower(): v for name, v in settings_of(emulator, table).items()}
        settings = Settings.from_mapping({name: v for name, v in given.items() if not name.startswith("alibaba")})
        service = Service(TrustedAddress(emulator.endpoint), PROJECT, KEYS)
        return TunnelUploadSessions(
            service.at(tunnel_endpoint(service, Destinations.of({}), Deadline.after(20))), settings
        )

    @pytest.fixture
    def visible(self, odps: ODPS, table: str) -> Callable[[str], list[str]]:
        return lambda value: [row[4] for row in rows(odps, table, value)]

    def test_another_process_sees_nothing_before_the_commit(
        self, sessions: TunnelUploadSessions, emulator: MaxComputeServer, table: str
    ) -> None:
        program = (
            "import sys; from odps import ODPS; endpoint, table, pt = sys.argv[1:];"
            f"odps = ODPS('ak', 'sk', '{PROJECT}', endpoint=endpoint, logview_host='http://127.0.0.1');"
            "print(sum(1 for _ in odps.get_table(table).open_reader(partition={'pt': pt}, arrow=False)))"
        )

        def seen() -> int:
            command = [sys.executable, "-c", program, emulator.endpoint, table, PT]
            return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)

        deadline = Deadline.after(60)
        session = sessions.open(PT, deadline)
        sessions.put_block(session, 0, body("a", "b"), None, deadline)
        assert sessions.look(session, deadline).blocks == {0}
        assert seen() == 0
        assert sessions.commit(session, deadline) is SessionStatus.CLOSED
        assert seen() == 2

    def test_damaged_bytes_are_refused_and_never_seen(
        self, sessions: TunnelUploadSessions, visible: Callable[[str], list[str]]
    ) -> None:
        deadline = Deadline.after(30)
        session = sessions.open(PT, deadline)
        damaged = bytearray(body("a"))
        damaged[100] ^= 1
        with pytest.raises(RefusedError):
            sessions.put_block(session, 0, bytes(damaged), None, deadline)
        commit(sessions, session, deadline)
        assert visible(PT) == []


@pytest.mark.parametrize("compression", ["deflate", "lz4", "zstd", "none"])
def test_what_was_delivered_is_in_the_table(
    emulator: MaxComputeServer, odps: ODPS, table: str, compression: str
) -> None:
    long = "长" * 70_000
    batch = payload(
        element(1),
        element(2, key=None, value=None, timestamp=str(HOUR_14)),
        element(3, key="", value="", timestamp=HOUR_14 + HOUR),
        element(1, partition=1, value='{"订单": "\u0027x\\""}'),
        element(2**62, topic="订单", value=long),
    )
    (reply,) = handle(settings_of(emulator, table, compression=compression), batch)
    assert reply["records"] == 5
    assert {value: found["records"] for value, found in reply["partitions"].items()} == {
        "11-17-2020 14": 4,
        "11-17-2020 15": 1,
    }
    assert partitions(odps, table) == {"11-17-2020 14", "11-17-2020 15"}
    assert rows(odps, table, "11-17-2020 14") == [
        ["orders", 0, 1, "k1", "v1"],
        ["orders", 0, 2, None, None],
        ["orders", 1, 1, "k1", '{"订单": "\u0027x\\""}'],
        ["订单", 0, 2**62, f"k{2**62}", long],
    ]
    assert rows(odps, table, "11-17-2020 15") == [["orders", 0, 3, "", ""]]


def test_batches_add_up_and_a_delivery_that_comes_again_is_written_again(
    emulator: MaxComputeServer, odps: ODPS, table: str
) -> None:
    """At-least-once is what is promised; the ledger will tell the second from the first."""
    handle(settings_of(emulator, table), payload(element(1)), payload(element(2)), payload(element(2)))
    assert [row[2] for row in rows(odps, table, "11-17-2020 14")] == [1, 2, 2]


@pytest.mark.parametrize("window", ["DAY", "HOUR", "MINUTE"])
def test_partitions_are_made_on_the_way(emulator: MaxComputeServer, odps: ODPS, table: str, window: str) -> None:
    batch = payload(*(element(n, timestamp=HOUR_14 + n * 20 * 60_000) for n in range(9)))
    handle(settings_of(emulator, table, partition=window), batch)
    expected = {
        "DAY": {"11-17-2020"},
        "HOUR": {f"11-17-2020 {hour}" for hour in range(14, 18)},
        "MINUTE": {f"11-17-2020 {(860 + n * 20) // 60}:{(860 + n * 20) % 60:02}" for n in range(9)},
    }[window]
    assert partitions(odps, table) == expected
    assert sorted(row[2] for value in expected for row in rows(odps, table, value)) == list(range(9))


def test_hundreds_of_partition_values_are_written_in_one_batch(
    emulator: MaxComputeServer, odps: ODPS, table: str
) -> None:
    batch = payload(*(element(n, timestamp=HOUR_14 + n * 60_000) for n in range(150)))
    (reply,) = handle(settings_of(emulator, table, partition="MINUTE"), batch)
    assert len(reply["partitions"]) == 150
    assert len(partitions(odps, table)) == 150


def test_binary_keeps_every_byte(emulator: MaxComputeServer, odps: ODPS, make_table: Callable[[str], str]) -> None:
    table = make_table(DOCUMENT_TABLE.replace("key STRING,value STRING", "key BINARY,value BINARY"))
    value = bytes(range(256))
    batch = payload(element(1, value=base64.b64encode(value).decode()), element(2, value=None))
    handle(settings_of(emulator, table, format="BINARY", value_type="Binary"), batch)
    assert rows(odps, table, "11-17-2020 14") == [
        ["orders", 0, 1, b"k1", value],
        ["orders", 0, 2, b"k2", None],
    ]


def test_json_values_are_kept_as_text(emulator: MaxComputeServer, odps: ODPS, table: str) -> None:
    batch = payload(element(1, value={"b": [1.50, None], "a": "订单"}), element(2, value=7), element(3, value=None))
    handle(settings_of(emulator, table, value_type="Json"), batch)
    values = [row[4] for row in rows(odps, table, "11-17-2020 14")]
    assert values == ['{"b": [1.5, null], "a": "订单"}', "7", None]


@pytest.mark.parametrize(("mode", "row"), [("KEY", ["k1", None]), ("VALUE", [None, "v1"])])
def test_modes_fill_their_column_of_the_documents_table(
    emulator: MaxComputeServer, odps: ODPS, table: str, mode: str, row: list[str | None]
) -> None:
    handle(settings_of(emulator, table, mode=mode), payload(element(1)))
    assert rows(odps, table, "11-17-2020 14") == [["orders", 0, 1, *row]]


def test_csv_fields_fill_the_columns_after_offset(
    emulator: MaxComputeServer, odps: ODPS, make_table: Callable[[str], str]
) -> None:
    fields = "name STRING, amount BIGINT, price DOUBLE, rate DECIMAL(10,2), paid BOOLEAN, day DATE"
    table = make_table(DOCUMENT_TABLE.replace("key STRING,value STRING", fields))
    lines = ['"茶, green",3,1.5,0.25,true,2020-11-17', ",,,,,", None]
    batch = payload(*(element(n, value=line) for n, line in enumerate(lines)))
    handle(settings_of(emulator, table, mode="VALUE", format="CSV"), batch)
    found = [[str(value) if value is not None else None for value in row] for row in rows(odps, table, "11-17-2020 14")]
    assert found == [
        ["orders", "0", "0", "茶, green", "3", "1.5", "0.25", "True", "2020-11-17"],
        ["orders", "0", "1", "", None, None, None, None, None],
        ["orders", "0", "2", None, None, None, None, None, None],
    ]


@pytest.mark.parametrize("type_", NANOSECOND_TYPES)
def test_other_columns_of_the_table_stay_null(
    emulator: MaxComputeServer, odps: ODPS, make_table: Callable[[str], str], type_: str
) -> None:
    more = f"key STRING, value STRING, a ARRAY<BIGINT>, b DECIMAL(10,2), c DATETIME, d STRUCT<x:INT>, e {type_}"
    table = make_table(DOCUMENT_TABLE.replace("key STRING,value STRING", more))
    handle(settings_of(emulator, table), payload(element(1)))
    assert rows(odps, table, "11-17-2020 14") == [["orders", 0, 1, "k1", "v1", None, None, None, None, None]]


def test_a_table_that_is_not_there_is_named(emulator: MaxComputeServer) -> None:
    with pytest.raises(RefusedError, match="could not read table no_such_table") as caught:
        handle(settings_of(emulator, "no_such_table"), payload(element(1)))
    assert "create the table, or fix CONNECTOR_TABLE" in str(caught.value)


def test_a_table_of_other_columns_is_refused_with_every_difference(
    emulator: MaxComputeServer, make_table: Callable[[str], str]
) -> None:
    table = make_table(
        "CREATE TABLE {name}(topic STRING, offset BIGINT, partition BIGINT, key BIGINT) PARTITIONED BY (dt STRING);"
    )
    with pytest.raises(ConfigurationError) as caught:
        handle(settings_of(emulator, table), payload(element(1)))
    told = "\n".join(caught.value.faults)
    for wanted in (
        "column 2: expected partition BIGINT",
        "column 3",
        "key STRING",
        "value",
        "pt STRING, found dt STRING",
    ):
        assert wanted in told


def test_a_table_that_is_altered_between_batches_is_written_as_it_is_now(
    emulator: MaxComputeServer, odps: ODPS, table: str
) -> None:
    environment = settings_of(emulator, table)
    instance = Instance(environment)
    context = SimpleNamespace(request_id="r1", function=SimpleNamespace(name="sink", timeout=60))

    def deliver(number: int) -> None:
        with opened(context, environment=environment) as invocation:
            instance.handle(payload(element(number)), invocation)

    deliver(1)
    odps.execute_sql(f"ALTER TABLE {table} ADD COLUMNS (extra STRING)")
    for number in (2, 3):
        deliver(number)
    assert [row[2:] for row in rows(odps, table, "11-17-2020 14")] == [
        [1, "k1", "v1", None],
        [2, "k2", "v2", None],
        [3, "k3", "v3", None],
    ]


def test_wrong_keys_are_refused_without_showing_them(emulator: MaxComputeServer, table: str) -> None:
    environment = settings_of(emulator, table) | {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong-secret"}
    with pytest.raises(RefusedError) as caught:
        handle(environment, payload(element(1)))
    assert "wrong-secret" not in str(caught.value)


TIMES = [
    "1988-07-01 12:00:00",
    "1940-07-01 12:00:00",
    "1900-01-01 00:00:00",
    "9999-12-31 23:59:59",
    "0001-01-01 00:00:00",
]


@pytest.mark.parametrize(
    ("zone", "first"),
    [("", "1988-07-01 12:00:00"), ("GMT 08:00", "1988-07-01 13:00:00"), ("UTC", "1988-07-01 21:00:00")],
)
def test_times_of_csv_are_those_that_sql_shows(
    emulator: MaxComputeServer, odps: ODPS, make_table: Callable[[str], str], zone: str, first: str
) -> None:
    table = make_table(DOCUMENT_TABLE.replace("key STRING,value STRING", "at DATETIME"))
    batch = payload(*(element(n, value=text) for n, text in enumerate(TIMES[: 1 if zone else None])))
    handle(settings_of(emulator, table, mode="VALUE", format="CSV", value_time_zone=zone), batch)
    select = f"SELECT cast(at AS string) AS text FROM {table} WHERE pt > '' ORDER BY offset LIMIT 10"  # noqa: S608
    with odps.execute_sql(select).open_reader(tunnel=True) as reader:
        assert [record.text for record in reader] == [first, *(TIMES[1:] if not zone else [])]


def test_a_field_of_nine_megabytes_in_three_million_characters_is_found_by_its_bytes(
    emulator: MaxComputeServer, make_table: Callable[[str], str]
) -> None:
    table = make_table(DOCUMENT_TABLE.replace("key STRING,value STRING", "a STRING, n INT"))
    batch = payload(element(1, value="good,1"), element(2, value="\u4e2d" * 3_000_000 + ",2"))
    with pytest.raises(
        RejectedRecordsError, match=r"1 of 2 records.*\n.*orders-0-2: column a \(STRING\): .* found 9000000"
    ):
        handle(settings_of(emulator, table, mode="VALUE", format="CSV"), batch)


def test_the_emulator_refuses_what_no_calendar_has_and_no_bigint_is(
    emulator: MaxComputeServer, make_table: Callable[[str], str]
) -> None:
    table = make_table(DOCUMENT_TABLE.replace("key STRING,value STRING", "at DATETIME, day DATE"))
    given = {name.removeprefix("CONNECTOR_").lower(): v for name, v in settings_of(emulator, table).items()}
    settings = Settings.from_mapping({name: v for name, v in given.items() if not name.startswith("alibaba")})
    sessions = TunnelUploadSessions(
        Service(TrustedAddress(emulator.endpoint.removesuffix("/api")), PROJECT, KEYS), settings
    )
    least = -(2**63) + 1
    for at, day, offset, taken in (
        (253_402_271_999_999, 2_932_896, 2**63 - 1, True),
        (253_402_272_000_000, 0, 0, False),
        (-62_135_625_943_000, -719_162, least, True),
        (-62_135_625_943_001, 0, 0, False),
        (0, 2_932_897, 0, False),
        (0, -719_163, 0, False),
        (0, 0, least - 1, False),
    ):
        schema = pa.schema(
            [
                ("topic", "string"),
                ("partition", "int64"),
                ("offset", "int64"),
                ("at", "timestamp[ms]"),
                ("day", "date32"),
            ]
        )
        values = (["t"], [0], [offset], [at], [day])
        arrays = [pa.array(column, field.type) for column, field in zip(values, schema, strict=True)]
        session = sessions.open(PT, Deadline.after(20))
        block = block_body([pa.RecordBatch.from_arrays(arrays, schema=schema)], "none")
        with nullcontext() if taken else pytest.raises(RefusedError, match="MalformedDataStream"):
            sessions.put_block(session, 0, block, None, Deadline.after(20))
