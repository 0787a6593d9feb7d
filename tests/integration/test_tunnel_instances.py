"""Download sessions on instances with unmodified PyODPS: a query's rows in any range, columns and wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from odps import ODPS, errors
from odps.errors import ODPSError
from odps.tunnel import InstanceTunnel

from local_emulator.maxcompute import server
from local_emulator.maxcompute.tunnel.result_requests import LIMITED_ROWS
from tests.access_clients import ALICE, user
from tests.maxcompute_sql import NANOSECOND_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odps.models import Instance
    from odps.tunnel.instancetunnel import InstanceDownloadSession

    from local_emulator.maxcompute.server import MaxComputeServer

ROWS = 20_000
ENDLESS = "SELECT count(*) FROM numbers a JOIN numbers b JOIN numbers c ON a.n * b.n * c.n <> c.n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as running:
        yield running


@pytest.fixture(scope="module")
def owner(emulator: MaxComputeServer) -> ODPS:
    return ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)


@pytest.fixture(scope="module")
def numbers(owner: ODPS) -> Instance:
    """An instance whose result has the numbers from 0 on, and their texts."""
    owner.execute_sql("CREATE TABLE numbers (n BIGINT)")
    with owner.get_table("numbers").open_writer(arrow=True) as writer:
        writer.write(pa.RecordBatch.from_pydict({"n": pa.array(range(ROWS))}))
    return owner.execute_sql("SELECT n, concat('r', n) AS text FROM numbers ORDER BY n LIMIT 20000")


def opened(owner: ODPS, instance: Instance | str, **more: Any) -> InstanceDownloadSession:
    return InstanceTunnel(owner).create_download_session(instance, **more)


def test_the_instances_own_reader(numbers: Instance) -> None:
    with numbers.open_reader(tunnel=True) as reader:
        assert reader.count == ROWS
        assert [column.name for column in reader._schema.columns] == ["n", "text"]
        assert [record["text"] for record in reader[15_000:15_003]] == ["r15000", "r15001", "r15002"]
        assert sum(record["n"] for record in reader) == sum(range(ROWS))


def test_arrow(numbers: Instance) -> None:
    with numbers.open_reader(tunnel=True, arrow=True) as reader:
        found = reader.read_all()
    assert found.column("n").to_pylist() == list(range(ROWS))
    assert found.column("text")[ROWS - 1].as_py() == f"r{ROWS - 1}"


@pytest.mark.parametrize("algorithm", ["ZLIB", "ZSTD", "LZ4", "SNAPPY"])
def test_ranges_columns_and_compressions(owner: ODPS, numbers: Instance, algorithm: str) -> None:
    session = opened(owner, numbers, compress_algo=algorithm)
    with session.open_record_reader(10, 5, columns=["text"], compress=True) as reader:
        assert [record.values for record in reader] == [[f"r{number}"] for number in range(10, 15)]
    with session.open_arrow_reader(10, 5, columns=["n"], compress=True) as reader:
        assert reader.read().to_pydict() == {"n": [10, 11, 12, 13, 14]}


def test_a_session_that_asks_for_the_limit(owner: ODPS, numbers: Instance) -> None:
    session = opened(owner, numbers, limit=True)
    assert session.count == LIMITED_ROWS
    with pytest.raises(ODPSError) as caught:
        session.open_record_reader(LIMITED_ROWS, 1)
    assert caught.value.code == "InvalidRowRange"


def test_a_session_is_taken_up_by_its_id(owner: ODPS, numbers: Instance) -> None:
    session = opened(owner, numbers)
    again = opened(owner, numbers, download_id=session.id)
    assert (again.count, again.status) == (ROWS, type(session).Status.Normal)
    with pytest.raises(ODPSError) as caught:
        opened(owner, numbers, download_id="none")
    assert caught.value.code == "NoSuchDownload"
    other = owner.execute_sql("SELECT 1 AS one")
    with pytest.raises(ODPSError) as caught:
        opened(owner, other, download_id=session.id)
    assert caught.value.code == "InvalidResourceSpec"


def test_a_quota_is_taken_as_it_is_named(owner: ODPS, numbers: Instance) -> None:
    session = InstanceTunnel(owner, quota_name="my_quota").create_download_session(numbers.id)
    assert session.quota_name == "my_quota"
    session.reload()
    assert session.quota_name == "my_quota"
    assert not opened(owner, numbers).quota_name


@pytest.mark.parametrize("type_", NANOSECOND_TYPES)
def test_timestamps_are_pairs_in_arrow(owner: ODPS, type_: str) -> None:
    instance = owner.execute_sql(
        f"SELECT {type_} '2020-11-17 06:05:04.123456789' AS at, {type_} '1969-12-31 23:59:59.5' AS early, "
        f"cast(NULL AS {type_}) AS none",
        hints={"odps.sql.timezone": "UTC"},
    )
    session = opened(owner, instance)
    answer = session._build_input_stream(0, 1, arrow=True)
    body = answer.read()
    # A chunk size, the record batch, and a checksum; PyODPS reads the pairs as the fields that they are sent in.
    pair = pa.struct([("sec", pa.int64()), ("nano", pa.int32())])
    schema = pa.schema([("at", pair), ("early", pair), ("none", pair)])
    batch = pa.ipc.read_record_batch(pa.py_buffer(body[4:-4]), schema)
    assert batch.to_pylist() == [
        {"at": {"sec": 1605593104, "nano": 123456789}, "early": {"sec": -1, "nano": 500000000}, "none": None}
    ]
    with session.open_arrow_reader(0, 1) as reader:
        times = reader.read().column("at").cast(pa.int64()).to_pylist()
    assert times == [1605593104123456789]


@pytest.mark.parametrize(
    "statement",
    ["SHOW TABLES", "DESC numbers", "CREATE TABLE IF NOT EXISTS numbers (n BIGINT)", "SELECT no FROM numbers"],
)
def test_what_has_no_rows(owner: ODPS, numbers: Instance, statement: str) -> None:
    del numbers  # the table is there
    instance = owner.run_sql(statement)
    instance.wait_for_completion()
    with pytest.raises(errors.InstanceTypeNotSupported):
        opened(owner, instance)


def test_a_query_that_still_runs(owner: ODPS, numbers: Instance) -> None:
    del numbers
    instance = owner.run_sql(ENDLESS)
    try:
        with pytest.raises(ODPSError) as caught:
            opened(owner, instance)
        assert caught.value.code == "InstanceNotTerminate"
    finally:
        instance.stop()


def test_an_instance_that_is_not_there(owner: ODPS) -> None:
    with pytest.raises(errors.NoSuchObject):
        opened(owner, "20200101000000000gnone")


def test_a_result_is_read_by_who_may(emulator: MaxComputeServer, owner: ODPS, numbers: Instance) -> None:
    alice = user(emulator, owner)
    with pytest.raises(errors.NoPermission):
        opened(alice, numbers.id)
    owner.execute_security_query(f"grant Read on instance {numbers.id} to user `{ALICE}`")
    assert opened(alice, numbers.id).count == ROWS
