"""Kill -9 at random moments while many blocks or a commit are on their way, and many clients of one table at once.

With unmodified PyODPS: an answered block is kept, a commit is whole or absent and its session knows which, and clients
that write and read one table at once don't spoil each other's rows.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from odps import ODPS, options
from odps.tunnel import TableTunnel

from tests.emulator_process import emulator_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from odps.tunnel.tabletunnel import TableUploadSession

# Who wrote a row, its number, and a text that depends on both.
COLUMNS = "writer BIGINT, number BIGINT, text STRING"
ROWS = 20_000  # of a block
BLOCKS = 2
CLIENTS = 32  # the service's limit of commits at once to one table
KILLS = 5


@contextmanager
def no_retries() -> Iterator[None]:
    """PyODPS gives up at once: nobody will answer from a port whose process was killed."""
    before = options.retry_times
    options.retry_times = 0
    try:
        yield
    finally:
        options.retry_times = before


def another(odps: ODPS) -> ODPS:
    """A client of its own for a thread."""
    return ODPS("ak", "sk", odps.project, endpoint=odps.endpoint)


def block(writer: int, number: int, rows: int = ROWS) -> pa.RecordBatch:
    """A block's rows: they say whose they are, and which."""
    numbers = range(number * rows, (number + 1) * rows)
    columns = [pa.array([writer] * rows), pa.array(numbers), pa.array([f"{writer}-{one}-文" for one in numbers])]
    return pa.RecordBatch.from_arrays(columns, names=["writer", "number", "text"])


def send(session: TableUploadSession, number: int, batch: pa.RecordBatch) -> None:
    with session.open_arrow_writer(number) as writer:
        writer.write(batch)


def written(odps: ODPS, name: str, partition: str | None = None) -> dict[int, Counter[int]]:
    """How often each of a writer's row numbers is in the table; each row's text has to be the one that was written."""
    session = TableTunnel(odps).create_download_session(name, partition_spec=partition)
    found: dict[int, Counter[int]] = {}
    if not session.count:
        return found
    with session.open_arrow_reader(0, session.count) as reader:
        for batch in reader:
            for writer, number, text in zip(*(column.to_pylist() for column in batch.columns[:3]), strict=True):
                assert text == f"{writer}-{number}-文"
                found.setdefault(writer, Counter())[number] += 1
    return found


def once(rows: int) -> Counter[int]:
    """Each row number one time."""
    return Counter(range(rows))


def reopened(odps: ODPS, name: str, session: TableUploadSession, partition: str | None = None) -> TableUploadSession:
    """The same session, as a client sees it that knows nothing but its id."""
    return TableTunnel(odps).create_upload_session(name, partition_spec=partition, upload_id=session.id)


def test_of_blocks_on_their_way_those_that_were_answered_are_there(tmp_path: Path) -> None:
    answered: set[int] = set()
    some = threading.Event()

    def write(session: TableUploadSession, writer: int) -> None:
        # Whatever the client makes of a connection that ends: that block wasn't answered.
        with suppress(Exception):
            for number in range(writer, 100, 4):
                send(session, number, block(1, number))
                answered.add(number)
                if len(answered) > 8:
                    some.set()

    with emulator_process(tmp_path) as (process, odps), no_retries():
        odps.execute_sql(f"CREATE TABLE t ({COLUMNS})")
        session = TableTunnel(odps).create_upload_session("t")
        with ThreadPoolExecutor(4) as pool:
            for writer in range(4):
                pool.submit(write, session, writer)
            assert some.wait(60)
            process.kill()
    assert len(answered) < 100
    with emulator_process(tmp_path) as (process, odps):
        session = reopened(odps, "t", session)
        listed = session.get_block_list()
        assert answered <= set(listed)
        session.commit(listed)
        whole = Counter(number * ROWS + row for number in listed for row in range(ROWS))
        assert written(odps, "t") == {1: whole}


def test_a_commit_is_whole_or_absent_whenever_it_is_killed(tmp_path: Path) -> None:
    chance = random.Random()  # noqa: S311 # a moment, no secret
    with emulator_process(tmp_path) as (process, odps):
        odps.execute_sql(f"CREATE TABLE t ({COLUMNS})")
        session = staged(odps, 0)
        begun = time.monotonic()
        session.commit(range(BLOCKS))
        usual = time.monotonic() - begun
    expected = {0: once(ROWS * BLOCKS)}
    for kill in range(1, KILLS + 1):
        moment = usual * (kill - chance.random()) / KILLS
        with emulator_process(tmp_path) as (process, odps), no_retries():
            session = staged(odps, kill)
            with ThreadPoolExecutor(1) as pool:
                committing = pool.submit(session.commit, range(BLOCKS))
                time.sleep(moment)
                process.kill()
            answered = committing.exception() is None
        with emulator_process(tmp_path) as (process, odps):
            session = reopened(odps, "t", session)
            where = f"killed {moment:.4f} s after the commit was sent, {session.status}, {answered=}"
            assert session.status in {session.Status.Normal, session.Status.Closed}, where
            applied = session.status == session.Status.Closed
            assert applied or not answered, where
            whole = {kill: once(ROWS * BLOCKS)}
            assert written(odps, "t") == expected | (whole if applied else {}), where
            # A client that asks for it again gets what it meant, once.
            session.commit(range(BLOCKS))
            expected |= whole
            assert written(odps, "t") == expected, where


def staged(odps: ODPS, writer: int) -> TableUploadSession:
    """A session whose blocks are all there."""
    session = TableTunnel(odps).create_upload_session("t")
    for number in range(BLOCKS):
        send(session, number, block(writer, number))
    return session


@pytest.fixture(params=["memory", "disk"])
def odps(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ODPS]:
    with emulator_process(tmp_path if request.param == "disk" else None) as (_, client):
        yield client


SMALL = 500  # rows of a block where many clients write


def test_many_uploads_and_commits_at_once_leave_every_row_once(odps: ODPS) -> None:
    odps.execute_sql(f"CREATE TABLE t ({COLUMNS})")
    together = threading.Barrier(CLIENTS, timeout=60)
    over = threading.Event()

    def upload(writer: int) -> None:
        session = TableTunnel(another(odps)).create_upload_session("t")
        together.wait()
        for number in range(BLOCKS):
            send(session, number, block(writer, number, SMALL))
        together.wait()
        session.commit(range(BLOCKS))

    def read() -> list[int]:
        """What a reader saw: of each writer all rows or none, and never fewer writers than before."""
        client = another(odps)
        seen = []
        while not over.is_set():
            found = written(client, "t")
            assert all(numbers == once(SMALL * BLOCKS) for numbers in found.values())
            seen.append(len(found))
            with client.execute_sql("SELECT count(*) AS n FROM t").open_reader(tunnel=False) as reader:
                assert reader[0]["n"] % (SMALL * BLOCKS) == 0
        return seen

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        reading = pool.submit(read)
        uploads = [pool.submit(upload, writer) for writer in range(CLIENTS)]
        try:
            for done in uploads:
                done.result(120)
        finally:
            over.set()
        seen = reading.result(60)
    assert seen == sorted(seen)
    assert written(odps, "t") == dict.fromkeys(range(CLIENTS), once(SMALL * BLOCKS))


def test_of_many_overwrites_at_once_one_is_left_whole(odps: ODPS) -> None:
    odps.execute_sql(f"CREATE TABLE t ({COLUMNS})")
    together = threading.Barrier(CLIENTS, timeout=60)

    def overwrite(writer: int) -> None:
        session = TableTunnel(another(odps)).create_upload_session("t", overwrite=True)
        send(session, 0, block(writer, 0, SMALL))
        together.wait()
        session.commit([0])

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(overwrite, range(CLIENTS), timeout=120))
    ((writer, numbers),) = written(odps, "t").items()
    assert writer in range(CLIENTS)
    assert numbers == once(SMALL)


def test_of_one_block_sent_by_many_at_once_one_is_left_whole(odps: ODPS) -> None:
    odps.execute_sql(f"CREATE TABLE t ({COLUMNS})")
    session = TableTunnel(odps).create_upload_session("t")
    together = threading.Barrier(CLIENTS, timeout=60)

    def rewrite(writer: int) -> None:
        own = reopened(another(odps), "t", session)
        together.wait()
        send(own, 0, block(writer, 0, SMALL))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(rewrite, range(CLIENTS), timeout=120))
    session.commit([0])
    ((_, numbers),) = written(odps, "t").items()
    assert numbers == once(SMALL)
