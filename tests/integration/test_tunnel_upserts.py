"""Upsert sessions of the MaxCompute emulator with unmodified PyODPS: a commit writes by key, the last write wins."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from odps import ODPS, errors
from odps.errors import ODPSError
from odps.tunnel import CompressOption, TableTunnel
from odps.tunnel.tabletunnel import TableUpsertSession

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute import server
from local_emulator.maxcompute.tunnel.slots import SLOTS
from local_emulator.maxcompute.tunnel.upsert_requests import UPSERTS
from tests.access_clients import ALICE, user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from local_emulator.maxcompute.server import MaxComputeServer

KEYED = "(id BIGINT NOT NULL, name STRING, PRIMARY KEY (id))"
DELTA = "TBLPROPERTIES ('transactional'='true', 'write.bucket.num'='4')"
STATUS = TableUpsertSession.Status


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as running:
        yield running


@pytest.fixture(scope="module")
def owner(emulator: MaxComputeServer) -> ODPS:
    return client_of(emulator)


@pytest.fixture
def table(owner: ODPS) -> str:
    return made(owner, f"{KEYED} {DELTA}")


@pytest.fixture
def parted(owner: ODPS) -> str:
    name = made(owner, f"{KEYED} PARTITIONED BY (pt STRING) {DELTA}")
    for value in "ab":
        owner.execute_sql(f"ALTER TABLE {name} ADD PARTITION (pt='{value}')")
    return name


def client_of(emulator: MaxComputeServer) -> ODPS:
    return ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)


def made(owner: ODPS, shape: str) -> str:
    name = f"t_{uuid.uuid4().hex}"
    owner.execute_sql(f"CREATE TABLE {name} {shape}")
    return name


def opened(client: ODPS, table: str, **more: Any) -> TableUpsertSession:
    return TableTunnel(client).create_upsert_session(table, **more)


def write(
    session: TableUpsertSession, rows: Sequence[Sequence[Any]], gone: Sequence[Sequence[Any]] = (), **more: Any
) -> None:
    with session.open_upsert_stream(**more) as stream:
        for row in rows:
            stream.upsert(session.new_record(row))
        for row in gone:
            stream.delete(session.new_record(row))


def read(owner: ODPS, table: str, condition: str = "TRUE") -> list[list[Any]]:
    query = f"SELECT * FROM {table} WHERE {condition} ORDER BY id LIMIT 1000"  # noqa: S608 - the test's own text
    instance = owner.execute_sql(query)
    with instance.open_reader(tunnel=True) as reader:
        return [list(record.values) for record in reader]


def refused(session: TableUpsertSession, method: str, body: bytes = b"", **query: str) -> str:
    """The code that answers a request of our own on the session; empty if it's done."""
    try:
        session._client.request(
            session._get_resource(), method, data=body, params={"upsertid": session.id, **query}, headers={}
        )
    except ODPSError as error:
        return str(error.code)
    return ""


def pack(session: TableUpsertSession, row: Sequence[Any], **changed: Any) -> tuple[bytes, dict[str, str]]:
    """What PyODPS would send for one row, and the query that goes with it."""
    stream = session.open_upsert_stream()
    sent: list[tuple[bytes, dict[str, str]]] = []

    def keep(bucket: int, slot: Any, count: int, data: bytes) -> None:
        sent.append((data, {"bucketid": str(bucket), "slotid": slot.slot, "record_count": str(count)}))

    stream._request_callback = keep
    record = session.new_record(row)
    writers = stream._bucket_writers
    bucket = stream._hasher.hash_record(record) % len(writers)
    record["__operation"] = ord("U")
    for name, value in changed.items():
        record[name] = value
    writers[bucket].write(record)
    stream.flush()
    return sent[0]


def test_nothing_is_seen_before_the_commit(owner: ODPS, table: str) -> None:
    session = opened(owner, table)
    write(session, [[1, "one"], [2, "two"]])
    assert read(owner, table) == []
    session.commit()
    assert session.status == STATUS.Committed
    assert read(owner, table) == [[1, "one"], [2, "two"]]


def test_the_last_write_of_a_key_wins(owner: ODPS, table: str) -> None:
    first = opened(owner, table)
    write(first, [[1, "one"], [2, "two"], [1, "uno"]], gone=[[2, None]])
    write(first, [[3, "three"]], gone=[[9, None]])
    write(first, [[1, "eins"]])
    first.commit()
    assert read(owner, table) == [[1, "eins"], [3, "three"]]
    second = opened(owner, table)
    write(second, [[3, None], [4, "four"]], gone=[[1, None]])
    write(second, [[5, "five"]], gone=[[4, None]])
    second.commit()
    assert read(owner, table) == [[3, None], [5, "five"]]


def test_many_keys_over_all_buckets(owner: ODPS, table: str) -> None:
    session = opened(owner, table, slot_num=2)
    assert sorted(session.buckets) == [0, 1, 2, 3]
    assert {slot.slot for slot in session.buckets.values()} == {"0", "1"}
    write(session, [[number, f"r{number}"] for number in range(1000)])
    session.commit()
    assert read(owner, table) == [[number, f"r{number}"] for number in range(1000)]


def test_a_table_has_sixteen_buckets_unless_it_says_otherwise(owner: ODPS) -> None:
    table = made(owner, f"{KEYED} TBLPROPERTIES ('transactional'='true')")
    session = opened(owner, table, slot_num=99)
    assert sorted(session.buckets) == list(range(16))
    assert len(session.slots) == 16


@pytest.mark.parametrize("algorithm", ["ODPS_ZLIB", "ODPS_ZSTD", "ODPS_LZ4", "ODPS_SNAPPY"])
def test_compressed_packs(owner: ODPS, table: str, algorithm: str) -> None:
    option = CompressOption(CompressOption.CompressAlgorithm[algorithm])
    session = opened(owner, table, compress_option=option)
    write(session, [[1, "one"], [2, "two"]], compress=True)
    session.commit()
    assert read(owner, table) == [[1, "one"], [2, "two"]]


def test_keys_of_several_columns_and_types(owner: ODPS) -> None:
    table = made(
        owner,
        "(id STRING NOT NULL, at DATETIME NOT NULL, n INT NOT NULL, price DECIMAL(20,4) NOT NULL, tags ARRAY<STRING>, "
        f"PRIMARY KEY (price, n, at, id)) {DELTA}",
    )
    at = datetime(2020, 11, 17, 6, 5, 4, 321000)  # noqa: DTZ001 - PyODPS takes and gives local times
    session = opened(owner, table)
    assert session.hash_keys == ["price", "n", "at", "id"]
    rows: list[list[Any]] = [
        [identity, at, number, Decimal("1.5000"), ["x", None]] for identity in ("名", "b") for number in (1, 2)
    ]
    write(session, rows)
    write(session, [["b", at, 2, Decimal("1.5000"), None]])
    session.commit()
    expected = sorted([*rows[:3], ["b", at, 2, Decimal("1.5000"), None]], key=lambda row: (row[0], row[2]))
    assert sorted(read(owner, table), key=lambda row: (row[0], row[2])) == expected


def test_a_key_belongs_to_its_partition(owner: ODPS, parted: str) -> None:
    for value, name in (("a", "in a"), ("b", "in b")):
        session = opened(owner, parted, partition_spec=f"pt={value}")
        write(session, [[1, name], [2, name]])
        session.commit()
    session = opened(owner, parted, partition_spec="pt=a")
    write(session, [[1, "new"]], gone=[[2, None]])
    session.commit()
    assert read(owner, parted, "pt = 'a'") == [[1, "new", "a"]]
    assert read(owner, parted, "pt = 'b'") == [[1, "in b", "b"], [2, "in b", "b"]]
    with pytest.raises(errors.NoSuchPartition):
        opened(owner, parted, partition_spec="pt=c")
    with pytest.raises(ODPSError) as caught:
        opened(owner, parted)
    assert caught.value.code == "MissingPartitionSpec"


def test_the_table_s_own_writer(owner: ODPS, table: str) -> None:
    for rows in ([[1, "one"], [2, "two"]], [[2, "zwei"]]):
        with owner.get_table(table).open_writer(reopen=True) as writer:
            writer.write(rows)
    assert read(owner, table) == [[1, "one"], [2, "zwei"]]


def test_a_deletion_may_leave_the_other_columns_empty(owner: ODPS) -> None:
    table = made(owner, f"(id BIGINT NOT NULL, name STRING NOT NULL, PRIMARY KEY (id)) {DELTA}")
    session = opened(owner, table)
    write(session, [[1, "one"], [2, "two"]], gone=[[1, None]])
    with pytest.raises(ODPSError) as caught:
        write(session, [[3, None]])
    assert caught.value.code == "MalformedDataStream"
    session.commit()
    assert read(owner, table) == [[2, "two"]]


def test_an_aborted_session_leaves_nothing(owner: ODPS, table: str) -> None:
    session = opened(owner, table)
    write(session, [[1, "one"]])
    session.abort()
    session.reload()
    assert session.status == STATUS.Aborted
    assert not refused(session, "delete")
    assert refused(session, "post") == "StatusConflict"
    with pytest.raises(ODPSError) as caught:
        write(session, [[1, "one"]])
    assert caught.value.code == "StatusConflict"
    assert read(owner, table) == []


def test_a_commit_happens_once(owner: ODPS, table: str) -> None:
    session = opened(owner, table)
    write(session, [[1, "one"]])
    session.commit()
    later = opened(owner, table)
    write(later, [[1, "later"]])
    later.commit()
    session.commit()
    assert read(owner, table) == [[1, "later"]]
    assert refused(session, "delete") == "StatusConflict"
    body, query = pack(later, [2, "two"])
    assert refused(session, "put", body, **query) == "StatusConflict"


def test_a_long_commit_is_polled(
    emulator: MaxComputeServer, owner: ODPS, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator.app[UPSERTS], "patience", 0.0)
    session = opened(owner, table)
    write(session, [[1, "one"]])
    session.commit()
    assert session.status == STATUS.Committed
    assert read(owner, table) == [[1, "one"]]


def test_a_session_is_taken_up_by_its_id(owner: ODPS, table: str) -> None:
    session = opened(owner, table, lifecycle=2)
    write(session, [[1, "one"]])
    again = opened(owner, table, upsert_id=session.id)
    assert again.status == STATUS.Normal
    write(again, [[1, "two"]])
    again.commit()
    assert read(owner, table) == [[1, "two"]]


def test_a_session_belongs_to_its_table_and_partition(owner: ODPS, table: str, parted: str) -> None:
    session = opened(owner, parted, partition_spec="pt=a")
    with pytest.raises(errors.UpsertSessionNotFound):
        opened(owner, table, upsert_id="none")
    for other, partition in ((table, None), (parted, "pt=b")):
        with pytest.raises(ODPSError) as caught:
            opened(owner, other, partition_spec=partition, upsert_id=session.id)
        assert caught.value.code == "InvalidResourceSpec"


def test_a_session_lives_as_long_as_it_was_asked_to(emulator: MaxComputeServer, owner: ODPS, table: str) -> None:
    session = opened(owner, table, lifecycle=2)
    write(session, [[1, "one"]])
    emulator.app[CLOCK].shift += timedelta(hours=2)
    session.reload()
    assert session.status == STATUS.Expired
    with pytest.raises(ODPSError) as caught:
        session.commit()
    assert caught.value.code == "StatusConflict"
    emulator.app[CLOCK].shift += timedelta(hours=3)
    with pytest.raises(errors.UpsertSessionNotFound):
        session.reload()
    assert read(owner, table) == []


def test_a_table_that_has_changed(owner: ODPS, table: str) -> None:
    session = opened(owner, table)
    write(session, [[1, "one"]])
    owner.execute_sql(f"ALTER TABLE {table} ADD COLUMNS (more DOUBLE)")
    with pytest.raises(ODPSError) as caught:
        session.commit()
    assert caught.value.code == "TableModified"
    with pytest.raises(ODPSError) as caught:
        write(session, [[1, "one"]])
    assert caught.value.code == "TableModified"
    assert read(owner, table) == []


@pytest.mark.parametrize("shape", ["(id BIGINT)", "(id BIGINT) TBLPROPERTIES ('transactional'='true')"])
def test_a_table_without_a_key(owner: ODPS, shape: str) -> None:
    with pytest.raises(ODPSError) as caught:
        opened(owner, made(owner, shape))
    assert caught.value.code == "InvalidArgument"
    assert "PRIMARY KEY" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "query", "code"),
    [
        ({"__operation": ord("X")}, {}, "MalformedDataStream"),
        ({"__operation": None}, {}, "MalformedDataStream"),
        ({"__value_cols": [1]}, {}, "NotImplemented"),
        ({"id": None}, {}, "MalformedDataStream"),
        ({}, {"record_count": "2"}, "MalformedDataStream"),
        ({}, {"bucketid": "4"}, "InvalidArgument"),
        ({}, {"slotid": "1"}, "InvalidArgument"),
        ({}, {"slotid": "first"}, "InvalidArgument"),
    ],
)
def test_writes_that_are_refused(
    owner: ODPS, table: str, changed: dict[str, Any], query: dict[str, str], code: str
) -> None:
    session = opened(owner, table)
    body, usual = pack(session, [1, "one"], **changed)
    assert refused(session, "put", body, **{**usual, **query}) == code
    body, usual = pack(session, [2, "two"])
    assert refused(session, "put", body[:-3], **usual) == "MalformedDataStream"
    assert not refused(session, "put", body, **usual)
    session.commit()
    assert read(owner, table) == [[2, "two"]]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"lifecycle": "25"}, "InvalidArgument"),
        ({"slotnum": "301"}, "SlotExceeded"),
        ({"slotnum": "many"}, "InvalidArgument"),
    ],
)
def test_sessions_that_are_refused(owner: ODPS, table: str, query: dict[str, str], code: str) -> None:
    session = opened(owner, table)
    with pytest.raises(ODPSError) as caught:
        session._client.post(session._get_resource(), "", params=query)
    assert caught.value.code == code


def test_a_write_without_a_slot(
    emulator: MaxComputeServer, owner: ODPS, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(owner, table)
    body, query = pack(session, [1, "one"])
    monkeypatch.setattr(emulator.app[SLOTS], "most", 0)
    assert refused(session, "put", body, **query) == "SlotExceeded"


def test_a_quota_is_taken_as_it_is_named(owner: ODPS, table: str) -> None:
    session = TableTunnel(owner, quota_name="my_quota").create_upsert_session(table)
    assert session.quota_name == "my_quota"


def test_who_may_not_write_is_refused(emulator: MaxComputeServer, owner: ODPS, table: str) -> None:
    alice = user(emulator, owner)
    with pytest.raises(errors.NoPermission):
        opened(alice, table)
    owner.execute_security_query(f"grant Describe, Update on table {table} to user `{ALICE}`")
    session = opened(alice, table)
    write(session, [[1, "one"]])
    session.commit()
    assert read(owner, table) == [[1, "one"]]


def test_sessions_outlive_the_emulator(tmp_path: Path) -> None:
    with server.start(data_dir=tmp_path) as running:
        owner = client_of(running)
        table = made(owner, f"{KEYED} {DELTA}")
        done, open_one, aborted = (opened(owner, table) for _ in range(3))
        write(done, [[1, "one"]])
        done.commit()
        write(open_one, [[1, "eins"], [2, "zwei"]])
        write(open_one, [[2, "deux"]])
        write(aborted, [[3, "three"]])
        aborted.abort()
        (tmp_path / "upserts" / "unfinished").mkdir()
    with server.start(data_dir=tmp_path) as running:
        owner = client_of(running)
        assert opened(owner, table, upsert_id=done.id).status == STATUS.Committed
        with pytest.raises(errors.UpsertSessionNotFound):
            opened(owner, table, upsert_id=aborted.id)
        again = opened(owner, table, upsert_id=open_one.id)
        write(again, [[3, "drei"]])
        again.commit()
        assert read(owner, table) == [[1, "eins"], [2, "deux"], [3, "drei"]]
        assert not (tmp_path / "upserts" / "unfinished").exists()


def test_a_commit_that_fails_may_be_tried_again(owner: ODPS, parted: str) -> None:
    session = opened(owner, parted, partition_spec="pt=a")
    write(session, [[1, "one"]])
    owner.execute_sql(f"ALTER TABLE {parted} DROP PARTITION (pt='a')")
    with pytest.raises(errors.NoSuchPartition):
        session.commit()
    owner.execute_sql(f"ALTER TABLE {parted} ADD PARTITION (pt='a')")
    session.commit()
    assert read(owner, parted) == [[1, "one", "a"]]
    assert session.status == STATUS.Committed
