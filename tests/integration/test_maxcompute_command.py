"""``python -m local_emulator maxcompute`` as a process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest
from odps import ODPS
from odps.errors import ODPSError
from odps.tunnel import TableTunnel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "local_emulator", "maxcompute"]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen([*COMMAND, "--port", "0", *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        match = re.search(r"REST (http://127\.0\.0\.1:(\d+)/api), Tunnel http://127\.0\.0\.1:\2,", ready)
        assert match, ready
        yield process, match[1]
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_cleanly(number: signal.Signals) -> None:
    with running("--access-id", "me", "--access-key", "secret", "--project", "mine") as (process, endpoint):
        assert ODPS("me", "secret", "mine", endpoint=endpoint).exist_project("mine")
        process.send_signal(number)
        assert process.wait(30) == 0


def test_committed_rows_survive_kill_9(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path))
    with running(*options) as (process, endpoint):
        odps = ODPS("ak", "sk", "connector_test", endpoint=endpoint)
        odps.execute_sql("CREATE TABLE t (a BIGINT)")
        odps.execute_sql("INSERT INTO t VALUES (1), (2)")
        process.kill()
        process.wait(30)
    with running(*options) as (_, endpoint):
        odps = ODPS("ak", "sk", "connector_test", endpoint=endpoint)
        with odps.execute_sql("SELECT count(*) AS n FROM t").open_reader(tunnel=False) as reader:
            assert reader[0]["n"] == 2


def refused(*options: str) -> str:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    with running("--data-dir", str(tmp_path)) as (_, endpoint):
        port = endpoint.split(":")[2].split("/")[0]
        assert f"port {port} is in use; choose another with --port" in refused("--port", port)
        assert "is in use by another emulator" in refused("--port", "0", "--data-dir", str(tmp_path))
    assert "expected a port from 0 to 65535, found 70000" in refused("--port", "70000")


def test_a_trial_needs_no_signature() -> None:
    with running("--insecure") as (_, endpoint):
        assert ODPS("any", "thing", "connector_test", endpoint=endpoint).exist_project("connector_test")


@pytest.mark.parametrize("conflicts", [False, True])
def test_a_second_commit_is_answered_as_chosen(*, conflicts: bool) -> None:
    with running(*["--second-commit-conflicts"] * conflicts) as (_, endpoint):
        odps = ODPS("ak", "sk", "connector_test", endpoint=endpoint)
        odps.execute_sql("CREATE TABLE t (a BIGINT)")
        session = TableTunnel(odps).create_upload_session("t")
        with session.open_record_writer(0) as writer:
            writer.write(odps.get_table("t").new_record([1]))
        session.commit([0])
        with pytest.raises(ODPSError, match="StatusConflict") if conflicts else nullcontext():
            session.commit([0])
        assert [record["a"] for record in odps.get_table("t").open_reader()] == [1]
