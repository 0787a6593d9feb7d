"""Blocks and commits of an emulator with a data directory that is killed at any moment."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import requests
from odps import errors

from tests.emulator_process import emulator_process
from tests.tunnel_clients import ask, make_table, records, rows_of, tunnel_of, write_block

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [["orders", 0, offset, None, "x" * 100] for offset in range(20_000)]


def test_a_session_goes_on_after_kill_9(tmp_path: Path) -> None:
    with emulator_process(tmp_path) as (_, odps):
        table = make_table(odps, partitioned="pt STRING")
        session = tunnel_of(odps).create_upload_session(table.name, partition_spec="pt=a", create_partition=True)
        write_block(session, 0, ROWS[:2])
        write_block(session, 5, ROWS[2:3])
    # What an emulator leaves that ends while a block comes in.
    (tmp_path / "uploads" / session.id / "6.arrow.0123").write_bytes(b"half")
    with emulator_process(tmp_path) as (_, odps):
        again = tunnel_of(odps).create_upload_session(table.name, upload_id=session.id, partition_spec="pt=a")
        assert again.get_block_list() == [0, 5]
        again.commit([0, 5])
        other = tunnel_of(odps).create_upload_session(table.name, partition_spec="pt=a", overwrite=True)
        write_block(other, 0, ROWS[:1])
    with emulator_process(tmp_path) as (_, odps):
        closed = tunnel_of(odps).create_upload_session(table.name, upload_id=session.id, partition_spec="pt=a")
        assert closed.status == closed.Status.Closed
        assert closed.get_block_list() == [0, 5]
        closed.commit([0, 5])
        assert rows_of(odps, table, "pt=a") == ROWS[:3]
        replacing = tunnel_of(odps).create_upload_session(table.name, upload_id=other.id, partition_spec="pt=a")
        replacing.commit([0])
        assert rows_of(odps, table, "pt=a") == ROWS[:1]


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1])
def test_a_commit_that_is_killed_happened_or_didnt(tmp_path: Path, delay: float) -> None:
    with emulator_process(tmp_path) as (process, odps):
        table = make_table(odps)
        session = tunnel_of(odps).create_upload_session(table.name)
        write_block(session, 0, ROWS)
        late = records(table, ROWS[:1])

        def commit() -> None:
            with suppress(errors.ODPSError, requests.RequestException):
                ask(odps, "post", table, {"uploadid": session.id})

        committing = threading.Thread(target=commit)
        committing.start()
        time.sleep(delay)
        process.kill()
        committing.join(60)
    with emulator_process(tmp_path) as (_, odps):
        status = ask(odps, "get", table, {"uploadid": session.id}).json()["Status"]
        assert status in {"NORMAL", "CLOSED"}
        assert len(rows_of(odps, table)) == (len(ROWS) if status == "CLOSED" else 0)
        ask(odps, "post", table, {"uploadid": session.id})
        assert len(rows_of(odps, table)) == len(ROWS)
        again = {"uploadid": session.id, "blockid": 1}
        with pytest.raises(errors.ODPSError, match="StatusConflict"):
            ask(odps, "put", table, again, data=late)
