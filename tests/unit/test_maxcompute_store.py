"""What the store promises: whole commits, stable order, snapshots, and survival of kill -9."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from local_emulator.maxcompute import alterations
from local_emulator.maxcompute import rows as rows_module
from local_emulator.maxcompute.database import Database
from local_emulator.maxcompute.entities import Column, Table
from local_emulator.maxcompute.errors import DatabaseBusyError, ServiceError
from local_emulator.maxcompute.snapshot import FILE, physical_name
from local_emulator.maxcompute.store import Store
from local_emulator.maxcompute.types import BIGINT, STRING, parse_type
from tests.maxcompute_sql import NOW, OWNER, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

A, B = ("11-17-2020 14",), ("11-17-2020 15",)


def opened(data_dir: Path | None = None) -> Store:
    store = Store(lambda: NOW, data_dir)
    store.ensure_project(PROJECT, OWNER)
    return store


def made(store: Store, name: str = "t", columns: str = "id bigint, text string", parts: str = "pt") -> Table:
    pairs = (pair.split(" ") for pair in columns.split(", "))
    return store.create_table(
        Table(
            id="",
            project=PROJECT,
            schema="default",
            name=name,
            columns=tuple(Column(column, parse_type(type_)) for column, type_ in pairs),
            partition_columns=tuple(Column(part, STRING) for part in parts.split()),
            owner=OWNER,
            created=NOW,
            modified=NOW,
            altered=NOW,
        )
    )


def batch(table: Table, ids: range) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": ids, "text": [f"r{n}" for n in ids]}, schema=table.arrow_schema())


def ids_of(store: Store, table: Table, spec: tuple[str, ...] | None = None) -> list[int]:
    return list(store.read(table, spec, ["id"]).column("id").to_pylist())


@pytest.fixture
def store() -> Iterator[Store]:
    found = opened()
    yield found
    found.close()


def test_rows_come_back_in_the_order_they_came(store: Store) -> None:
    table = made(store)
    for spec in (A, B):
        store.add_partition(table, spec)
    assert store.append(table, A, [batch(table, range(200_000)), batch(table, range(200_000, 250_000))]) == 250_000
    store.append(table, B, [batch(table, range(5))])
    store.append(table, A, [batch(table, range(250_000, 250_010))])
    assert ids_of(store, table, A) == list(range(250_010))
    with store.snapshot(table) as snapshot:
        assert snapshot.count(A) == 250_010
        assert snapshot.read(A, ["id"], 249_998, 4).column("id").to_pylist() == [249_998, 249_999, 250_000, 250_001]
    assert store.counts(table) == {A: 250_010, B: 5}


def test_a_batch_of_a_table_has_rows_of_one_file(store: Store) -> None:
    table = made(store)
    for spec in (A, B):
        store.add_partition(table, spec)
    store.append(table, A, [batch(table, range(2)), batch(table, range(2, 3))])
    store.append_parts(table, [(B, [[batch(table, range(1))], []]), (A, [[batch(table, range(3, 5))]])])
    store.append(table, A, [batch(table, range(5, 100_000))])
    with store.snapshot(table) as snapshot:
        files = [found.num_rows for found in snapshot.files(A, ["id"], 0, 100_000)]
        assert files[:2] == [3, 2]
        assert sum(files) == 100_000
        assert [found.num_rows for found in snapshot.files(None, ["pt", "id"], 0, 6)] == [3, 1, 2]
        assert [found.to_pydict() for found in snapshot.files(A, ["id"], 2, 2)] == [{"id": [2]}, {"id": [3]}]
        assert [found.num_rows for found in snapshot.files(A, [], 2, 2)] == [1, 1]
    store.append(table, A, [batch(table, range(1))], overwrite=True)
    with store.snapshot(table) as snapshot:
        assert [found.num_rows for found in snapshot.files(A, ["id"], 0, 1)] == [1]


def test_the_partition_columns_can_be_read_too(store: Store) -> None:
    table = made(store)
    store.add_partition(table, A)
    store.append(table, A, [batch(table, range(1))])
    assert store.read(table, None, ["pt", "id"]).to_pylist() == [{"pt": A[0], "id": 0}]


def test_overwrite_replaces_one_partition(store: Store) -> None:
    table = made(store)
    for spec in (A, B):
        store.add_partition(table, spec)
        store.append(table, spec, [batch(table, range(10))])
    store.append(table, A, [batch(table, range(100, 103))], overwrite=True)
    assert ids_of(store, table, A) == [100, 101, 102]
    assert ids_of(store, table, B) == list(range(10))
    store.append(table, A, [], overwrite=True)
    assert ids_of(store, table, A) == []
    assert store.partition(table, A).size == 0


def test_a_failing_commit_leaves_nothing(store: Store) -> None:
    table = made(store)
    store.add_partition(table, A)

    def broken() -> Iterator[pa.RecordBatch]:
        yield batch(table, range(100_000))
        raise ServiceError(400, "MalformedDataStream", "broken")

    with pytest.raises(ServiceError, match="broken"):
        store.append(table, A, broken())
    assert ids_of(store, table, A) == []


def test_several_partitions_are_one_commit(store: Store) -> None:
    table = made(store)
    parts = [(A, [[batch(table, range(3))]]), (("",), [[batch(table, range(3))]])]
    with pytest.raises(ServiceError, match="1 to 256 bytes"):
        store.append_parts(table, parts, create=True)
    assert store.partitions(table) == []
    assert ids_of(store, table) == []


def test_a_snapshot_sees_what_was_there_when_it_was_opened(store: Store) -> None:
    table = made(store)
    store.add_partition(table, A)
    store.append(table, A, [batch(table, range(3))])
    with store.snapshot(table) as snapshot:
        store.append(table, A, [batch(table, range(3, 9))])
        assert snapshot.count(A) == 3
        store.drop_table(table)
        assert snapshot.read(A, ["id"]).column("id").to_pylist() == [0, 1, 2]
    with pytest.raises(ServiceError) as caught:
        store.read(table)
    assert caught.value.code == "NoSuchTable"


def test_many_writers_lose_nothing(store: Store) -> None:
    table = made(store)
    for spec in (A, B):
        store.add_partition(table, spec)

    def write(number: int) -> None:
        store.append(table, (A, B)[number % 2], [batch(table, range(number * 1000, number * 1000 + 1000))])

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(write, range(64)))
    assert sorted(ids_of(store, table)) == list(range(64_000))
    assert store.counts(table) == {A: 32_000, B: 32_000}


def test_readers_see_whole_commits_while_writers_write(store: Store) -> None:
    table = made(store)
    store.add_partition(table, A)
    stop = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(len(ids_of(store, table, A)))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(10):
        store.append(table, A, [batch(table, range(number * 500, number * 500 + 500))])
    stop.set()
    reader.join()
    assert seen
    assert all(count % 500 == 0 for count in seen)


def test_a_successor_of_the_same_name_gets_nothing_of_the_old_one(store: Store) -> None:
    old = made(store)
    store.add_partition(old, A)
    store.drop_table(old)
    new = made(store)
    assert store.partitions(new) == []
    with pytest.raises(ServiceError) as caught:
        store.append(old, A, [batch(old, range(1))])
    assert caught.value.code == "NoSuchTable"


def test_names_are_taken_once(store: Store) -> None:
    table = made(store)
    with pytest.raises(ServiceError, match="already exists") as caught:
        made(store, "t")
    assert caught.value.code == "ObjectAlreadyExists"
    store.add_partition(table, A)
    assert store.add_partition(table, A, if_not_exists=True).spec == A
    with pytest.raises(ServiceError, match="already exists"):
        store.add_partition(table, A)


@pytest.mark.parametrize("spec", [(), ("a", "b"), ("",), ("x" * 257,)])
def test_a_partition_needs_a_value_for_each_column(store: Store, spec: tuple[str, ...]) -> None:
    with pytest.raises(ServiceError) as caught:
        store.add_partition(made(store), spec)
    assert caught.value.code == "InvalidPartitionSpec"


def test_rows_for_a_partition_that_is_not_there_are_refused(store: Store) -> None:
    table = made(store)
    with pytest.raises(ServiceError) as caught:
        store.append(table, A, [batch(table, range(1))])
    assert caught.value.code == "NoSuchPartition"


def test_rows_of_another_shape_are_refused(store: Store) -> None:
    table = made(store)
    store.add_partition(table, A)
    with pytest.raises(ValueError, match="expected batches of"):
        store.append(table, A, [pa.RecordBatch.from_pydict({"id": [1]})])
    store.alter_table(table, lambda now: alterations.add_columns(now, [Column("more", BIGINT)]))
    with pytest.raises(ServiceError) as caught:
        store.append(table, A, [batch(table, range(1))])
    assert caught.value.code == "TableModified"


def test_a_column_that_is_added_stands_behind_the_others(store: Store) -> None:
    table = made(store)
    store.add_partition(table, A)
    store.append(table, A, [batch(table, range(1))])
    table = store.alter_table(table, lambda now: alterations.add_columns(now, [Column("more", BIGINT)]))
    rows = pa.RecordBatch.from_pydict({"id": [7], "text": ["x"], "more": [8]}, schema=table.arrow_schema())
    store.append(table, A, [rows])
    assert store.read(table, A).to_pylist() == [
        {"id": 0, "text": "r0", "more": None},
        {"id": 7, "text": "x", "more": 8},
    ]


def test_not_null_is_kept(store: Store) -> None:
    table = made(store, parts="")
    key = replace(table.columns[0], nullable=False)
    table = store.alter_table(table, lambda now: alterations.change_column(now, "id", key))
    with pytest.raises(ServiceError, match="column id of t is NOT NULL"):
        store.append(table, (), [pa.RecordBatch.from_pylist([{"text": "x"}], schema=table.arrow_schema())])
    assert ids_of(store, table) == []


def test_sizes_follow_the_rows(store: Store) -> None:
    table = made(store)
    store.add_partition(table, A)
    store.append(table, A, [batch(table, range(1000))])
    size = store.partition(table, A).size
    assert size == store.current(table).size > 1000 * 8
    store.truncate(table)
    assert (store.partition(table, A).size, store.current(table).size) == (0, 0)


def test_a_data_directory_of_an_earlier_version_is_continued(tmp_path: Path) -> None:
    first = opened(tmp_path)
    table = made(first)
    first.add_partition(table, A)
    first.append(table, A, [batch(table, range(3))])
    with first.database.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {physical_name(table)} DROP COLUMN {FILE}")
        cursor.execute("UPDATE emulator.tables SET definition = json_merge_patch(definition, '{\"files\": null}')")
    first.close()
    second = opened(tmp_path)
    second.append(table, A, [batch(table, range(3, 5))])
    with second.snapshot(table) as snapshot:
        assert [found.num_rows for found in snapshot.files(A, ["id"], 0, 5)] == [3, 2]
    second.close()


def test_committed_rows_outlive_the_process(tmp_path: Path) -> None:
    first = opened(tmp_path)
    table = made(first)
    first.add_partition(table, A)
    first.append(table, A, [batch(table, range(1000))])
    first.close()
    second = opened(tmp_path)
    found = second.table(PROJECT, "", "T")
    assert found == replace(table, modified=found.modified, size=found.size, files=1)
    assert [known.spec for known in second.partitions(found)] == [A]
    assert ids_of(second, found, A) == list(range(1000))
    second.close()


def _write_until_killed(data_dir: Path, ready: Event) -> None:
    store = opened(data_dir)
    table = made(store)
    store.add_partition(table, A)
    for number in range(10_000):
        store.append(table, A, [batch(table, range(number * 100, number * 100 + 100))])
        if number == 5:
            ready.set()


def test_kill_9_leaves_whole_commits(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(target=_write_until_killed, args=(tmp_path, ready))
    writer.start()
    assert ready.wait(60)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(30)
    store = opened(tmp_path)
    ids = ids_of(store, store.table(PROJECT, "", "t"), A)
    store.close()
    assert len(ids) >= 600
    assert ids == list(range(len(ids)))
    assert len(ids) % 100 == 0


def _hold(data_dir: Path, ready: Event, done: Event) -> None:
    database = Database(data_dir)
    ready.set()
    done.wait(60)
    database.close()


def test_a_data_directory_belongs_to_one_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, done))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(DatabaseBusyError, match="--data-dir"):
        Database(tmp_path)
    done.set()
    holder.join(30)


def keyed(store: Store, *, text_nullable: bool = True) -> Table:
    """A table with the primary key ``id`` and the partitions A and B."""
    plain = made(store, "plain")
    identity, text = plain.columns
    table = store.create_table(
        replace(
            plain,
            name="keyed",
            columns=(replace(identity, nullable=False), replace(text, nullable=text_nullable)),
            properties={"transactional": "true"},
            primary_key=("id",),
        )
    )
    for spec in (A, B):
        store.add_partition(table, spec)
    return table


def changes(*rows: tuple[int | None, str | None, bool]) -> list[pa.RecordBatch]:
    """Ids, texts, and whether they go."""
    ids, texts, gone = zip(*rows, strict=True)
    columns = {"id": pa.array(ids, pa.int64()), "text": pa.array(texts, pa.string()), rows_module.DELETED: gone}
    return [pa.RecordBatch.from_pydict(columns)]


def test_a_key_keeps_its_last_row(store: Store) -> None:
    table = keyed(store)
    store.append(table, A, [batch(table, range(3))])
    store.append(table, B, [batch(table, range(1))])
    assert store.upsert(table, A, changes((1, "new", False), (2, None, True), (7, "a", False), (7, "b", False))) == 4
    assert store.read(table, A).to_pylist() == [
        {"id": 0, "text": "r0"},
        {"id": 1, "text": "new"},
        {"id": 7, "text": "b"},
    ]
    assert ids_of(store, table, B) == [0]
    store.append(table, B, [batch(table, range(2)), batch(table, range(1))])
    assert sorted(ids_of(store, table, B)) == [0, 1]
    with pytest.raises(ServiceError, match="column id of keyed is NOT NULL"):
        store.upsert(table, A, changes((1, "lost", False), (None, "x", False)))
    assert store.read(table, A).to_pylist()[1]["text"] == "new"


def test_a_deletion_needs_nothing_but_the_key(store: Store) -> None:
    table = keyed(store, text_nullable=False)
    store.append(table, A, [batch(table, range(3))])
    with pytest.raises(ServiceError, match="column text of keyed is NOT NULL"):
        store.upsert(table, A, changes((0, None, True), (1, None, False)), mark="lost")
    with pytest.raises(ServiceError, match="column id of keyed is NOT NULL"):
        store.upsert(table, A, changes((None, None, True)), mark="lost")
    assert not store.has_mark("lost")
    store.upsert(table, A, changes((0, None, True), (1, "new", False)), mark="kept")
    assert store.read(table, A).to_pylist() == [{"id": 2, "text": "r2"}, {"id": 1, "text": "new"}]
    assert store.has_mark("kept")


def test_partitions_are_added_all_or_none(store: Store) -> None:
    table = made(store)
    store.add_partitions(table, [(str(number),) for number in range(5000)])
    assert len(store.partitions(table)) == 5000
    with pytest.raises(ServiceError, match="pt=7"):
        store.add_partitions(table, [("new",), ("7",)])
    with pytest.raises(ServiceError, match=r"ODPS-0123031:.*maximum 60000 partitions"):
        store.add_partitions(table, [(str(number),) for number in range(5000, 60_001)])
    assert len(store.partitions(table)) == 5000
