"""Batch upload sessions with unmodified PyODPS: rows are there after the commit, whole and once, and not before."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
import requests
from odps import ODPS, errors
from odps.tunnel import CompressOption
from odps.tunnel.errors import TunnelError

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute import server
from local_emulator.maxcompute.keys import STORE
from local_emulator.maxcompute.tunnel.upload_requests import UPLOADS
from tests.tunnel_clients import ask, client_of, make_table, put_block, records, rows_of, tunnel_of, write_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.maxcompute.server import MaxComputeServer

ROWS: list[list[Any]] = [
    ["orders", 0, 10**12, "k1", '{"a": 1}'],
    ["orders", 5, 0, None, "中文 ✓"],
    ["", None, -1, "", None],
]
PT = "pt='11-17-2020 15:00'"


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start() as running:
        yield running


@pytest.fixture
def odps(emulator: MaxComputeServer) -> ODPS:
    return client_of(emulator)


def test_records_are_there_after_the_commit_and_not_before(emulator: MaxComputeServer, odps: ODPS) -> None:
    table = make_table(odps, partitioned="pt STRING")
    session = tunnel_of(odps).create_upload_session(table.name, partition_spec=PT, create_partition=True)
    write_block(session, 0, ROWS)
    other = client_of(emulator)
    assert rows_of(other, table, PT) == []
    session.commit([0])
    assert session.status == session.Status.Closed
    assert rows_of(other, table, PT) == ROWS


@pytest.mark.parametrize("algorithm", [None, "ZLIB", "ZSTD", "LZ4", "SNAPPY"])
@pytest.mark.parametrize("arrow", [False, True])
def test_each_format_in_each_compression(odps: ODPS, algorithm: str | None, arrow: bool) -> None:
    table = make_table(odps)
    option = CompressOption(CompressOption.CompressAlgorithm(algorithm)) if algorithm else None
    session = tunnel_of(odps).create_upload_session(table.name, compress_option=option)
    if arrow:
        names = [column.name for column in table.table_schema]
        with session.open_arrow_writer(0, compress=bool(algorithm)) as writer:
            writer.write(pd.DataFrame(ROWS, columns=names).astype({"partition": "Int64"}))
    else:
        write_block(session, 0, ROWS, compress=bool(algorithm))
    session.commit([0])
    assert rows_of(odps, table) == ROWS


def test_buffered_writers_make_blocks_of_their_own(odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    with session.open_record_writer(buffer_size=2000) as writer:
        for number in range(500):
            writer.write(session.new_record(["orders", 0, number, None, "x"]))
    assert len(writer.get_blocks_written()) > 2
    batch = pa.RecordBatch.from_pydict(
        {"topic": ["arrow"], "partition": [1], "offset": [500], "key": [None], "value": ["y"]},
    )
    with session.open_arrow_writer(initial_block_id=1000) as arrow:
        arrow.write(batch)
    session.commit(writer.get_blocks_written() + arrow.get_blocks_written())
    assert [row[2] for row in rows_of(odps, table)] == list(range(501))


def test_the_tables_own_writer_makes_partitions_on_the_way(odps: ODPS) -> None:
    table = make_table(odps, partitioned="pt STRING, region STRING")
    with table.open_writer(partition="pt=a b,region=cn", create_partition=True) as writer:
        writer.write(list(ROWS))
    odps.write_table(table.name, ROWS[:1], partition="pt='a b',region='cn'")
    odps.write_table(table.name, ROWS[:2], partition="pt='a b',region='cn'", overwrite=True)
    assert rows_of(odps, table, "pt='a b',region='cn'") == ROWS[:2]


def test_of_a_block_sent_twice_the_last_one_counts(odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    write_block(session, 7, ROWS[:1])
    write_block(session, 3, ROWS[1:2])
    write_block(session, 7, ROWS[2:])
    assert session.get_block_list() == [3, 7]
    session.commit([3, 7])
    assert rows_of(odps, table) == ROWS[1:]


def test_a_session_is_taken_up_and_committed_by_another_process(emulator: MaxComputeServer, odps: ODPS) -> None:
    table = make_table(odps)
    first = tunnel_of(odps).create_upload_session(table.name)
    write_block(first, 0, ROWS)
    second = tunnel_of(client_of(emulator)).create_upload_session(table.name, upload_id=first.id)
    assert second.get_block_list() == [0]
    second.commit([0])
    first.reload()
    assert first.status == first.Status.Closed


def test_commits_of_one_session_from_many_threads_have_one_effect(odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    write_block(session, 0, ROWS * 100)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ask(odps, "post", table, {"uploadid": session.id}).json(), range(8)))
    assert {answer["Status"] for answer in found} == {"CLOSED"}
    assert len(rows_of(odps, table)) == 300


def test_a_second_commit_conflicts_where_that_is_chosen(emulator: MaxComputeServer, odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    write_block(session, 0, ROWS)
    session.commit([0])
    session.commit([0])
    emulator.app[UPLOADS].second_commit_conflicts = True
    try:
        assert refusal(odps, "post", table, {"uploadid": session.id}) == (409, "StatusConflict")
    finally:
        emulator.app[UPLOADS].second_commit_conflicts = False
    assert rows_of(odps, table) == ROWS


def test_blocks_that_arent_there_cant_be_committed(odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    write_block(session, 0, ROWS)
    for wrong in ([], [0, 1], [1]):
        with pytest.raises(TunnelError):
            session.commit(wrong)
    assert rows_of(odps, table) == []


def test_an_overwriting_session_replaces_its_partition_only(odps: ODPS) -> None:
    table = make_table(odps, partitioned="pt STRING")
    for value in ("a", "b"):
        odps.write_table(table.name, ROWS, partition=f"pt={value}", create_partition=True)
    session = tunnel_of(odps).create_upload_session(table.name, partition_spec="pt=a", overwrite=True)
    write_block(session, 0, ROWS[:1])
    session.commit([0])
    assert rows_of(odps, table, "pt=a") == ROWS[:1]
    assert rows_of(odps, table, "pt=b") == ROWS


def test_32_uploads_at_once_lose_and_double_nothing(emulator: MaxComputeServer, odps: ODPS) -> None:
    table = make_table(odps, partitioned="pt STRING")

    def upload(number: int) -> None:
        client = client_of(emulator)
        session = tunnel_of(client).create_upload_session(
            table.name, partition_spec=f"pt={number % 3}", create_partition=True
        )
        rows = [["orders", number, offset, None, "x" * 50] for offset in range(500)]
        write_block(session, 0, rows[:250])
        write_block(session, 1, rows[250:])
        session.commit([0, 1])

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(upload, range(32)))
    found = [tuple(row[1:3]) for value in "012" for row in rows_of(odps, table, f"pt={value}")]
    assert len(found) == 32 * 500
    assert set(found) == {(number, offset) for number in range(32) for offset in range(500)}


def test_java_sends_the_key_alone(odps: ODPS) -> None:
    table = make_table(odps)
    client = tunnel_of(odps).tunnel_rest
    url = f"{client.endpoint}/projects/{odps.project}/tables/{table.name}"
    answer = client.request(url, "post", action="uploads")
    description = answer.json()
    assert answer.headers["odps-tunnel-date-transform"] == "true"
    assert description["Status"] == "NORMAL"
    assert description["UploadedBlockList"] == []
    assert [column["nullable"] for column in description["Schema"]["columns"]] == [True] * 5


def test_the_path_with_a_schema_is_the_same_table(odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name, schema="default")
    write_block(session, 0, ROWS)
    session.commit([0])
    assert rows_of(odps, table) == ROWS


def refusal(odps: ODPS, method: str, table: Any, query: dict[str, object], **more: Any) -> tuple[int, str]:
    with pytest.raises(errors.ODPSError) as caught:
        ask(odps, method, table, query, **more)
    assert caught.value.request_id
    return caught.value.status_code, caught.value.code


def test_what_isnt_there_is_refused_with_its_code(odps: ODPS) -> None:
    table, plain = make_table(odps, partitioned="pt STRING"), make_table(odps)
    session = tunnel_of(odps).create_upload_session(plain.name)
    cases: list[tuple[dict[str, object], tuple[int, str]]] = [
        ({"uploads": 1}, (400, "MissingPartitionSpec")),
        ({"uploads": 1, "partition": "pt=no"}, (404, "NoSuchPartition")),
        ({"uploads": 1, "partition": "other=1"}, (400, "InvalidPartitionSpec")),
        ({"uploadid": "none"}, (404, "NoSuchUpload")),
        ({"uploadid": session.id}, (400, "InvalidResourceSpec")),
        ({"nothing": 1}, (405, "MethodNotAllowed")),
    ]
    for query, expected in cases:
        assert refusal(odps, "post", table, query) == expected
    assert refusal(odps, "post", plain, {"uploads": 1, "partition": "pt=1"}) == (400, "InvalidPartitionSpec")
    missing = type("Missing", (), {"name": "missing"})
    assert refusal(odps, "post", missing, {"uploads": 1}) == (404, "NoSuchTable")


def test_blocks_that_arent_sound_are_refused_and_not_kept(odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    body = records(table, ROWS)
    wrong = bytearray(body)
    wrong[3] ^= 1  # a letter of the first text
    cases: list[tuple[dict[str, object], bytes, tuple[int, str]]] = [
        ({"blockid": 0}, body[:-1], (400, "MalformedDataStream")),
        ({"blockid": 0}, body + b"more", (400, "MalformedDataStream")),
        ({"blockid": 0}, bytes(wrong), (400, "CorruptedDataStream")),
        ({"blockid": 0}, b"", (400, "IncompleteBody")),
        ({"blockid": 0, "arrow": ""}, body, (400, "MalformedDataStream")),
        ({"blockid": -1}, body, (400, "InvalidBlockID")),
        ({"blockid": 20000}, body, (400, "InvalidBlockID")),
        ({"blockid": "x"}, body, (400, "InvalidArgument")),
    ]
    for query, data, expected in cases:
        assert refusal(odps, "put", table, {"uploadid": session.id, **query}, data=data) == expected
    unknown = {"Content-Encoding": "br"}
    query = {"uploadid": session.id, "blockid": 0}
    assert refusal(odps, "put", table, query, data=body, headers=unknown) == (501, "NotImplemented")
    assert session.get_block_list() == []
    put_block(odps, session, 19999, body)
    session.commit([19999])
    assert rows_of(odps, table) == ROWS


def test_a_body_that_ends_before_its_length_stores_nothing(emulator: MaxComputeServer, odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    body = records(table, ROWS)
    seen: list[bytes] = []

    def cut(url: str, headers: dict[str, str]) -> None:
        host, _, port = emulator.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            lines = [f"PUT {url} HTTP/1.1", f"Host: {emulator.address}", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "content-length"]
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[:-10])
            connection.shutdown(socket.SHUT_WR)
            seen.append(connection.recv(65536))

    client = tunnel_of(odps).tunnel_rest
    path = f"/projects/{odps.project}/tables/{table.name}"
    request = requests.Request(
        "PUT", client.endpoint + path, params={"uploadid": session.id, "blockid": 0}, headers={}
    ).prepare()
    client.account.sign_request(request, client.endpoint)
    cut(request.path_url, dict(request.headers))
    assert b"IncompleteBody" in seen[0] or seen[0] == b""
    assert session.get_block_list() == []


def test_cells_that_are_too_large_are_refused(odps: ODPS) -> None:
    table = make_table(odps, "a STRING, b VARCHAR(3)")
    session = tunnel_of(odps).create_upload_session(table.name)
    large = pa.RecordBatch.from_pydict({"a": ["x" * (8 * 1024 * 1024 + 1)], "b": ["abc"]})
    for batch in (large, pa.RecordBatch.from_pydict({"a": ["x"], "b": ["abcd"]})):
        with pytest.raises(errors.ODPSError, match="MalformedDataStream"), session.open_arrow_writer(0) as writer:
            writer.write(batch)
    assert session.get_block_list() == []


def test_a_table_that_changes_under_a_session_ends_it(odps: ODPS) -> None:
    altered, dropped, remade = make_table(odps), make_table(odps), make_table(odps)
    sessions = [tunnel_of(odps).create_upload_session(table.name) for table in (altered, dropped, remade)]
    bodies = [records(table, ROWS) for table in (altered, dropped, remade)]
    for session, body in zip(sessions, bodies, strict=True):
        put_block(odps, session, 0, body)
    odps.execute_sql(f"ALTER TABLE {altered.name} ADD COLUMNS (more STRING)")
    odps.execute_sql(f"DROP TABLE {dropped.name}")
    odps.execute_sql(f"DROP TABLE {remade.name}")
    odps.execute_sql(f"CREATE TABLE {remade.name} (topic STRING)")
    for table, session, code in zip(
        (altered, dropped, remade), sessions, ("TableModified", "NoSuchTable", "TableModified"), strict=True
    ):
        query = {"uploadid": session.id}
        assert refusal(odps, "post", table, query)[1] == code
        assert refusal(odps, "put", table, {**query, "blockid": 1}, data=bodies[0])[1] == code
    assert len(rows_of(odps, altered)) == len(rows_of(odps, remade)) == 0


def test_a_partition_that_is_dropped_under_a_session_ends_it(odps: ODPS) -> None:
    table = make_table(odps, partitioned="pt STRING")
    session = tunnel_of(odps).create_upload_session(table.name, partition_spec="pt=a", create_partition=True)
    write_block(session, 0, ROWS)
    table.delete_partition("pt=a")
    assert refusal(odps, "post", table, {"uploadid": session.id}) == (404, "NoSuchPartition")


def test_a_session_lives_24_hours(emulator: MaxComputeServer, odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    write_block(session, 0, ROWS)
    clock, uploads = emulator.app[CLOCK], emulator.app[UPLOADS]
    kept = uploads.get(session.id, _table(emulator, table.name), None)
    try:
        for hours, status in [(23.9, "NORMAL"), (24, "EXPIRED"), (47.9, "EXPIRED")]:
            clock.shift = timedelta(hours=hours)
            assert uploads.describe(kept)["Status"] == status
        with pytest.raises(Exception, match="StatusConflict"):
            uploads.commit(kept)
        clock.shift = timedelta(hours=48.1)
        with pytest.raises(Exception, match="NoSuchUpload"):
            uploads.get(session.id, _table(emulator, table.name), None)
        uploads.open(_table(emulator, table.name), (), overwrite=False, create_partition=False)
        assert not kept.directory.exists()
    finally:
        clock.shift = timedelta(0)


def _table(emulator: MaxComputeServer, name: str) -> Any:
    return emulator.app[STORE].table("connector_test", "", name)


def test_while_a_commit_runs_the_session_is_closing(emulator: MaxComputeServer, odps: ODPS) -> None:
    table = make_table(odps)
    session = tunnel_of(odps).create_upload_session(table.name)
    write_block(session, 0, ROWS)
    uploads = emulator.app[UPLOADS]
    kept = uploads.get(session.id, _table(emulator, table.name), None)
    store, going, may_go = uploads._store, threading.Event(), threading.Event()
    append = store.append_parts

    def slow(*arguments: Any, **options: Any) -> int:
        going.set()
        assert may_go.wait(10)
        return append(*arguments, **options)

    store.append_parts = slow  # type: ignore[method-assign] # replaced on this object, to delay it
    try:
        committing = threading.Thread(target=uploads.commit, args=(kept,))
        committing.start()
        assert going.wait(10)
        assert ask(odps, "get", table, {"uploadid": session.id}).json()["Status"] == "CLOSING"
        block = {"uploadid": session.id, "blockid": 1}
        assert refusal(odps, "put", table, block, data=records(table, ROWS)) == (409, "StatusConflict")
        may_go.set()
        committing.join(10)
    finally:
        del store.append_parts
    assert ask(odps, "get", table, {"uploadid": session.id}).json()["Status"] == "CLOSED"
    assert rows_of(odps, table) == ROWS


def test_errors_are_json_with_a_request_id(odps: ODPS) -> None:
    client = tunnel_of(odps).tunnel_rest
    with pytest.raises(errors.NoSuchTable) as caught:
        client.request(f"{client.endpoint}/projects/{odps.project}/tables/none", "post", params={"uploads": 1})
    assert caught.value.status_code == 404
    assert json.dumps(caught.value.request_id)
