"""The service's limits as clients meet them, with small numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
from odps import ODPS
from odps.errors import ODPSError
from odps.tunnel import TableTunnel

from local_emulator.__main__ import main
from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute import server
from local_emulator.maxcompute.keys import STORE
from local_emulator.maxcompute.limits import Limits
from tests.access_clients import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

TABLE = f"/projects/{PROJECT}/tables/t"


@contextmanager
def limited(limits: Limits) -> Iterator[tuple[server.MaxComputeServer, ODPS]]:
    """An emulator that wants no signatures, with a table, and PyODPS."""
    with server.start(PROJECT, insecure=True, limits=limits) as running:
        odps = ODPS("ak", "sk", PROJECT, endpoint=running.endpoint)
        odps.execute_sql("create table t (a bigint)")
        yield running, odps


def call(
    local: server.MaxComputeServer, method: str, path: str, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(local.address, timeout=30)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


def shift(local: server.MaxComputeServer, by: timedelta | float) -> None:
    call(local, "PUT", "/emulator/clock", json.dumps({"shift_seconds": by}).encode())


def upload(odps: ODPS) -> str:
    session = TableTunnel(odps).create_upload_session("t")
    with session.open_record_writer(0) as writer:
        writer.write(session.new_record([1]))
    return str(session.id)


def test_sessions_are_refused_until_the_window_has_moved() -> None:
    with limited(Limits(sessions=2)) as (local, _):
        assert [call(local, "POST", f"{TABLE}?uploads")[0] for _ in range(2)] == [200, 200]
        status, error = call(local, "POST", f"{TABLE}?uploads")
        assert (status, error["Code"]) == (429, "FlowExceeded")
        assert error["Message"] == (
            "Your flow quota is exceeded. Table t: 2 upload sessions in 300 seconds are allowed."
        )
        shift(local, 299)
        assert call(local, "POST", f"{TABLE}?uploads")[0] == 429
        shift(local, 330)
        assert call(local, "POST", f"{TABLE}?uploads")[0] == 200


def test_a_client_that_sends_one_block_too_many_sees_the_answer() -> None:
    with limited(Limits(blocks=1)) as (local, odps):
        path = f"{TABLE}?uploadid={upload(odps)}"
        status, error = call(local, "PUT", f"{path}&blockid=1", bytes(8 << 20))
        assert (status, error["Code"]) == (429, "FlowExceeded")
        assert call(local, "GET", path)[1]["UploadedBlockList"] == [{"BlockID": 0}]


def test_commits_are_refused_until_the_window_has_moved() -> None:
    with limited(Limits(commits=1)) as (local, odps):
        first, second = upload(odps), upload(odps)
        assert call(local, "POST", f"{TABLE}?uploadid={first}")[0] == 200
        assert call(local, "POST", f"{TABLE}?uploadid={second}")[0] == 429
        shift(local, 15)
        assert call(local, "POST", f"{TABLE}?uploadid={second}")[0] == 200
        assert odps.get_table("t").open_reader().count == 2


def test_one_commit_too_many_at_once_is_refused() -> None:
    with limited(Limits(commits_at_once=2)) as (local, odps), ThreadPoolExecutor(2) as threads:
        ids = [upload(odps) for _ in range(3)]
        store = local.app[STORE]
        table = store.table(PROJECT, "", "t")
        with store._table_locks.setdefault(table.id, threading.Lock()):  # so that commits wait
            waiting = [threads.submit(call, local, "POST", f"{TABLE}?uploadid={name}") for name in ids[:2]]
            while [call(local, "GET", f"{TABLE}?uploadid={name}")[1]["Status"] for name in ids[:2]] != ["CLOSING"] * 2:
                pass
            status, error = call(local, "POST", f"{TABLE}?uploadid={ids[2]}")
            assert (status, error["Code"]) == (429, "SlotExceeded")
        assert [done.result(30)[0] for done in waiting] == [200, 200]
        assert call(local, "POST", f"{TABLE}?uploadid={ids[2]}")[0] == 200


def test_pyodps_waits_until_there_is_room() -> None:
    with limited(Limits(sessions=1)) as (local, odps):
        upload(odps)
        timer = threading.Timer(0.5, shift, (local, 300))
        timer.start()
        try:
            assert TableTunnel(odps).create_upload_session("t").id
        finally:
            timer.join()
        assert local.app[CLOCK].shift.total_seconds() == 300


def test_a_table_that_is_not_there_is_said_first() -> None:
    with limited(Limits(sessions=1)) as (local, _):
        for _ in range(2):
            status, error = call(local, "POST", f"/projects/{PROJECT}/tables/none?uploads")
            assert (status, error["Code"]) == (404, "NoSuchTable")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (f"create table {'x' * 9} (a bigint)", r"ODPS-0130071:.*1 to 8 bytes, found a name of 9"),
        (f"create table u ({'x' * 9} bigint)", r"ODPS-0130071:.*1 to 8 bytes, found a name of 9"),
        ("create table u (a bigint, b bigint, c bigint, d bigint)", r"ODPS-0130071:.*at most 3 columns, found 4"),
        ("create table u (a bigint) partitioned by (b string, c string)", "at most 1 partition columns, found 2"),
        ("alter table parts add columns (b bigint, c bigint)", r"ODPS-0110061:.*at most 3 columns, found 4"),
        (f"alter table parts rename to {'x' * 9}", r"ODPS-0110061:.*1 to 8 bytes, found a name of 9"),
        (f"alter table parts change column a {'x' * 9} bigint", r"ODPS-0110061:.*1 to 8 bytes, found a name of 9"),
        ("alter table parts add partition (pt='3')", r"ODPS-0110061:.*ODPS-0123031:.*maximum 2 partitions allowed"),
        ("insert into parts partition (pt) values (1, '1'), (1, '3'), (1, '4')", r"maximum 2 partitions allowed"),
    ],
)
def test_tables_beyond_the_limits_are_refused(statement: str, message: str) -> None:
    limits = Limits(name_bytes=8, columns=3, partition_levels=1, partitions=2)
    with limited(limits) as (_, odps):
        odps.execute_sql("create table parts (a bigint) partitioned by (pt string)")
        odps.execute_sql("alter table parts add partition (pt='1') partition (pt='2')")
        with pytest.raises(ODPSError, match=message):
            odps.execute_sql(statement)
        odps.execute_sql("insert into parts partition (pt) values (1, '1'), (1, '2')")
        assert [str(found.partition_spec) for found in odps.get_table("parts").partitions] == ["pt='1'", "pt='2'"]


def test_a_session_makes_no_partition_beyond_the_limit() -> None:
    with limited(Limits(partitions=1)) as (_, odps):
        odps.execute_sql("create table parts (a bigint) partitioned by (pt string)")
        tunnel = TableTunnel(odps)
        tunnel.create_upload_session("parts", "pt=1", create_partition=True)
        tunnel.create_upload_session("parts", "pt=1", create_partition=True)
        with pytest.raises(ODPSError, match="maximum 1 partitions allowed"):
            tunnel.create_upload_session("parts", "pt=2", create_partition=True)


def test_a_statement_of_more_than_2_mb_is_refused() -> None:
    with limited(Limits()) as (_, odps):
        longest = "select '{}'".format("x" * (2 * 1024 * 1024 - len("select '';")))  # PyODPS adds a semicolon
        odps.execute_sql(longest)
        with pytest.raises(ODPSError, match="2097153 bytes, 2097152 are allowed"):
            odps.execute_sql(longest.replace("x", "xx", 1))


def test_the_command_changes_limits_and_says_so() -> None:
    words = ["maxcompute", "--port", "0", "--insecure", "--no-limits", "--limit", "sessions=1"]
    process = subprocess.Popen([sys.executable, "-m", "local_emulator", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert "limits sessions=1 blocks=off commits=off" in ready
        odps = ODPS("ak", "sk", PROJECT, endpoint=ready.split("REST ")[1].split(",")[0])
        odps.execute_sql(f"create table {'x' * 300} (a bigint)")
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_the_command_refuses_what_is_no_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["maxcompute", "--limit", "blocks"])
    assert caught.value.code == 2
    assert "expected NAME=NUMBER or NAME=off" in capsys.readouterr().err
