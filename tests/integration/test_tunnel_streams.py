"""Stream sessions of the MaxCompute emulator with unmodified PyODPS: what is flushed is there, without a commit."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from odps import ODPS, errors
from odps.errors import ODPSError
from odps.tunnel import CompressOption, TableTunnel

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute import server
from local_emulator.maxcompute.tunnel.slots import SLOTS
from tests.access_clients import ALICE, user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odps.tunnel.tabletunnel import TableStreamUploadSession

    from local_emulator.maxcompute.server import MaxComputeServer

VALUES: list[list[Any]] = [[1, "one"], [2, None], [3, "drei"]]


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as running:
        yield running


@pytest.fixture(scope="module")
def owner(emulator: MaxComputeServer) -> ODPS:
    return ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)


@pytest.fixture
def plain(owner: ODPS) -> str:
    return made(owner, "(a BIGINT, b STRING)")


@pytest.fixture
def parted(owner: ODPS) -> str:
    return made(owner, "(a BIGINT, b STRING) PARTITIONED BY (pt STRING)")


def made(owner: ODPS, shape: str) -> str:
    name = f"t_{uuid.uuid4().hex}"
    owner.execute_sql(f"CREATE TABLE {name} {shape}")
    return name


def opened(client: ODPS, table: str, **more: Any) -> TableStreamUploadSession:
    return TableTunnel(client).create_stream_upload_session(table, **more)


def write(session: TableStreamUploadSession, rows: list[list[Any]], *, compress: bool = False) -> None:
    with session.open_record_writer(compress=compress) as writer:
        for row in rows:
            writer.write(session.new_record(row))


def read(owner: ODPS, table: str, partition: str | None = None) -> list[list[Any]]:
    with owner.get_table(table).open_reader(partition=partition, reopen=True) as reader:
        return [list(record.values)[: 2 if partition else None] for record in reader]


def refused(session: TableStreamUploadSession, body: bytes = b"", **query: str) -> str:
    """The code that answers a write whose query or body is our own; empty if it's taken."""
    url, headers, params = session._get_upload_params(next(session.slots))
    try:
        session._client.put(url, data=iter([body]), params={**params, **query}, headers=headers)
    except ODPSError as error:
        return str(error.code)
    return ""


def test_rows_are_there_without_a_commit(owner: ODPS, plain: str) -> None:
    session = opened(owner, plain)
    write(session, VALUES)
    assert read(owner, plain) == VALUES
    write(session, VALUES[:1])
    assert read(owner, plain) == [*VALUES, VALUES[0]]


def test_a_writer_sends_before_it_is_closed(owner: ODPS, plain: str) -> None:
    session = opened(owner, plain)
    with session.open_record_writer() as writer:
        writer._buffer_size = 1  # bytes after which a writer sends what it has
        writer.write(session.new_record(VALUES[0]))
        assert read(owner, plain) == VALUES[:1]
        writer.write(session.new_record(VALUES[1]))
    assert read(owner, plain) == VALUES[:2]


@pytest.mark.parametrize("algorithm", ["ODPS_ZLIB", "ODPS_ZSTD", "ODPS_SNAPPY"])
def test_compressed_packs(owner: ODPS, plain: str, algorithm: str) -> None:
    option = CompressOption(CompressOption.CompressAlgorithm[algorithm])
    session = opened(owner, plain, compress_option=option)
    write(session, VALUES, compress=True)
    assert read(owner, plain) == VALUES


def test_the_session_tells_of_its_slots_and_batches(owner: ODPS, emulator: MaxComputeServer, plain: str) -> None:
    session = opened(owner, plain, slot_num=3)
    address = emulator.tunnel_endpoint.removeprefix("http://")
    assert [(slot.slot, slot.server) for slot in session.slots._slots] == [
        ("0", address),
        ("1", address),
        ("2", address),
    ]
    assert session.status == "normal"
    assert session.schema_version == "0"
    assert session.get_last_batch_id() is None
    assert session.last_batch_commit_time is None
    for _ in range(3):  # one in each slot
        write(session, VALUES)
    session.reload(force=True)
    assert (len(session.slots), session.last_batch_id) == (3, 3)
    assert session.last_batch_commit_time is not None


def test_a_partition_is_made_if_that_is_asked_for(owner: ODPS, parted: str) -> None:
    with pytest.raises(errors.NoSuchPartition):
        opened(owner, parted, partition_spec="pt=a")
    session = opened(owner, parted, partition_spec="pt=a", create_partition=True)
    assert owner.get_table(parted).exist_partition("pt='a'")
    write(session, VALUES)
    assert read(owner, parted, "pt=a") == VALUES
    with pytest.raises(ODPSError) as caught:
        opened(owner, parted)
    assert caught.value.code == "MissingPartitionSpec"


def test_dynamic_partitions_are_named_by_the_writes(owner: ODPS, parted: str) -> None:
    session = opened(owner, parted, dynamic_partition=True)
    assert not list(owner.get_table(parted).partitions)
    for value in ("a", "b", "a"):
        session._partition_spec = f"pt={value}"
        write(session, VALUES)
    session._partition_spec = None
    assert refused(session) == "MissingPartitionSpec"
    assert read(owner, parted, "pt=a") == VALUES * 2
    assert read(owner, parted, "pt=b") == VALUES


def test_a_write_into_a_partition_that_has_gone(owner: ODPS, parted: str) -> None:
    session = opened(owner, parted, partition_spec="pt=a", create_partition=True)
    owner.get_table(parted).delete_partition("pt='a'")
    with pytest.raises(errors.NoSuchPartition):
        write(session, VALUES)


def test_former_columns_are_written_into_the_present_ones(owner: ODPS, plain: str) -> None:
    session = opened(owner, plain)
    owner.execute_sql(f"ALTER TABLE {plain} ADD COLUMNS (c DOUBLE)")
    write(session, VALUES)
    owner.execute_sql(f"ALTER TABLE {plain} DROP COLUMN b")
    write(session, VALUES[:1])
    assert read(owner, plain) == [[1, None], [2, None], [3, None], [1, None]]
    owner.execute_sql(f"ALTER TABLE {plain} CHANGE COLUMN a a STRING")
    with pytest.raises(errors.SchemaModified):
        write(session, VALUES)


def test_a_client_may_insist_on_the_latest_columns(owner: ODPS, plain: str) -> None:
    session = opened(owner, plain, allow_schema_mismatch=False)
    write(session, VALUES)
    owner.execute_sql(f"ALTER TABLE {plain} ADD COLUMNS (c DOUBLE)")
    with pytest.raises(errors.SchemaModified) as caught:
        write(session, VALUES)
    assert caught.value.status_code == 412
    assert caught.value.response_headers["odps-tunnel-latest-schema-version"] == "1"
    latest = opened(owner, plain, allow_schema_mismatch=False)
    assert latest.schema_version == "1"
    write(latest, [[4, "four", 0.5]])
    assert read(owner, plain) == [[*row, None] for row in VALUES] + [[4, "four", 0.5]]


def test_versions_that_are_not_there(owner: ODPS, plain: str) -> None:
    with pytest.raises(errors.NoSuchSchema):
        opened(owner, plain, schema_version="7")
    assert refused(opened(owner, plain), schema_version="7") == "NoSuchSchema"


def test_a_table_made_anew_is_another_one(owner: ODPS, plain: str) -> None:
    session = opened(owner, plain)
    owner.execute_sql(f"DROP TABLE {plain}")
    owner.execute_sql(f"CREATE TABLE {plain} (a BIGINT, b STRING)")
    with pytest.raises(ODPSError) as caught:
        write(session, VALUES)
    assert caught.value.code == "TableModified"
    assert read(owner, plain) == []


def test_an_aborted_session_is_gone(owner: ODPS, plain: str) -> None:
    session = opened(owner, plain)
    write(session, VALUES)
    session.abort()
    with pytest.raises(errors.StreamSessionNotFound):
        write(session, VALUES)
    with pytest.raises(errors.StreamSessionNotFound):
        session.reload(force=True)
    assert read(owner, plain) == VALUES


def test_an_idle_session_ends(emulator: MaxComputeServer, owner: ODPS, plain: str) -> None:
    session = opened(owner, plain)
    emulator.app[CLOCK].shift += timedelta(hours=23)
    write(session, VALUES)
    emulator.app[CLOCK].shift += timedelta(hours=23)
    write(session, VALUES)
    emulator.app[CLOCK].shift += timedelta(hours=25)
    with pytest.raises(errors.StreamSessionNotFound):
        write(session, VALUES)


def test_a_session_belongs_to_its_table_and_partition(owner: ODPS, plain: str, parted: str) -> None:
    session = opened(owner, parted, partition_spec="pt=a", create_partition=True)
    other = opened(owner, plain)
    other.id = session.id
    with pytest.raises(ODPSError) as caught:
        other.reload(force=True)
    assert caught.value.code == "InvalidResourceSpec"
    assert refused(session, partition="pt=b") == "InvalidResourceSpec"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"slotid": "1"}, "InvalidArgument"),
        ({"slotid": "x"}, "InvalidArgument"),
        ({"record_count": "4"}, "MalformedDataStream"),
        ({"schema_version": "1"}, "NoSuchSchema"),
        ({"uploadid": "none"}, "StreamSessionNotFound"),
    ],
)
def test_writes_that_are_refused(owner: ODPS, plain: str, query: dict[str, str], code: str) -> None:
    session = opened(owner, plain)
    sent: list[bytes] = []
    writer = session.open_record_writer()
    writer._request_callback = sent.append  # keeps what would be sent
    for row in VALUES:
        writer.write(session.new_record(row))
    with pytest.raises(AttributeError):
        writer.close()
    assert refused(session, sent[0], **query) == code
    assert refused(session, sent[0][:-3]) == "MalformedDataStream"
    assert read(owner, plain) == []
    assert not refused(session, sent[0], record_count="3")
    assert read(owner, plain) == VALUES


def test_unknown_columns_to_order_by(owner: ODPS, plain: str) -> None:
    write(opened(owner, plain, zorder_columns=["a", "b"]), VALUES)
    with pytest.raises(ODPSError) as caught:
        opened(owner, plain, zorder_columns="a,nothing")
    assert caught.value.code == "InvalidColumnSpec"


def test_a_write_waits_for_a_slot(
    emulator: MaxComputeServer, owner: ODPS, plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(owner, plain)
    monkeypatch.setattr(emulator.app[SLOTS], "most", 1)
    ended = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"\0"
        ended.wait(30)

    url, headers, params = session._get_upload_params(next(session.slots))

    def hold() -> None:
        with pytest.raises(ODPSError):  # for the one byte is no pack
            session._client.put(url, data=endless(), params=params, headers=headers)

    held = threading.Thread(target=hold)
    held.start()
    deadline = time.monotonic() + 10
    while not emulator.app[SLOTS]._taken:
        assert time.monotonic() < deadline
    assert refused(session) == "SlotExceeded"
    # PyODPS tries again after a second, and so on.
    threading.Timer(0.2, ended.set).start()
    write(session, VALUES)
    held.join()
    assert read(owner, plain) == VALUES


def test_a_session_with_more_slots_than_there_are(
    emulator: MaxComputeServer, owner: ODPS, plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(owner, plain)
    monkeypatch.setattr(emulator.app[SLOTS], "most", 2)
    url = session._get_resource()
    assert session._client.post(url, "", headers={"odps-slot-num": "2"}).json()["slots"][1][0] == "1"
    for count, code in (("3", "SlotExceeded"), ("many", "InvalidArgument")):
        with pytest.raises(ODPSError) as caught:
            session._client.post(url, "", headers={"odps-slot-num": count})
        assert caught.value.code == code


def test_a_quota_is_taken_as_it_is_named(owner: ODPS, plain: str) -> None:
    session = TableTunnel(owner, quota_name="my_quota").create_stream_upload_session(plain)
    assert session.quota_name == "my_quota"


def test_who_may_not_write_is_refused(emulator: MaxComputeServer, owner: ODPS, parted: str) -> None:
    alice = user(emulator, owner)
    owner.execute_security_query(f"grant Describe, Update on table {parted} to user `{ALICE}`")
    owner.execute_sql(f"ALTER TABLE {parted} ADD PARTITION (pt='a')")
    write(opened(alice, parted, partition_spec="pt=a"), VALUES)
    for more in ({"partition_spec": "pt=b", "create_partition": True}, {"dynamic_partition": True}):
        with pytest.raises(errors.NoPermission):
            opened(alice, parted, **more)
