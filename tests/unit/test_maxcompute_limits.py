"""Limits as numbers: how they are changed and shown, what they refuse, and how requests are counted against them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from local_emulator.maxcompute.entities import Column, Table
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.limit_enforcement import Traffic
from local_emulator.maxcompute.limits import NO_LIMITS, Limits, changed
from local_emulator.maxcompute.types import simple

pytestmark = pytest.mark.quick

TEXT = simple("string")
NOW = datetime(2026, 7, 1, tzinfo=timezone.utc)


def table(name: str = "t", columns: int = 1, levels: int = 0) -> Table:
    return Table(
        id=f"id of {name}",
        project="p",
        schema="default",
        name=name,
        columns=tuple(Column(f"c{number}", TEXT) for number in range(columns)),
        partition_columns=tuple(Column(f"p{number}", TEXT) for number in range(levels)),
        owner="",
        created=NOW,
        modified=NOW,
        altered=NOW,
    )


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def admit(traffic: Traffic, operation: str, to: Table, count: int = 1) -> None:
    for _ in range(count):
        with traffic.admitted(operation, to):
            pass


def code_of(traffic: Traffic, operation: str, to: Table) -> str:
    with pytest.raises(ServiceError) as caught:
        admit(traffic, operation, to)
    assert caught.value.status == 429
    return caught.value.code


def test_the_documented_limits() -> None:
    limits = Limits()
    assert (limits.sessions, limits.blocks, limits.commits, limits.commits_at_once) == (500, 500, 75, 32)
    assert (limits.partitions, limits.partition_levels, limits.columns) == (60_000, 6, 1200)
    assert (limits.name_bytes, limits.sql_bytes) == (128, 2 * 1024 * 1024)


def test_limits_are_changed_and_shown() -> None:
    assert Limits().describe() == "as documented"
    assert NO_LIMITS.describe() == "off"
    some = changed(Limits(), ["blocks=off", "commits-at-once=2"])
    assert some == replace(Limits(), blocks=None, commits_at_once=2)
    assert some.describe() == "blocks=off commits-at-once=2"
    assert changed(NO_LIMITS, ["columns=5"]).columns == 5


@pytest.mark.parametrize("word", ["block=1", "blocks", "blocks=", "blocks=0", "blocks=-1", "blocks=many"])
def test_what_is_no_limit_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"expected NAME=NUMBER or NAME=off, NAME one of sessions, blocks"):
        changed(Limits(), [word])


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (table(levels=7), "at most 6 partition columns, found 7"),
        (table(columns=1195, levels=6), "at most 1200 columns, found 1201"),
        (table("x" * 129), "1 to 128 bytes, found a name of 129"),
        (replace(table(), columns=(Column("表" * 43, TEXT),)), "found a name of 129"),
    ],
)
def test_a_shape_beyond_the_limits_is_refused(made: Table, complaint: str) -> None:
    with pytest.raises(ServiceError, match=complaint):
        Limits().check_shape(made)
    NO_LIMITS.check_shape(made)


def test_a_shape_at_the_limits_is_taken() -> None:
    Limits().check_shape(table("x" * 128, columns=1194, levels=6))


def test_partitions_and_sql_at_and_beyond_the_limit() -> None:
    limits = Limits(partitions=3, sql_bytes=6)
    limits.check_partitions(3)
    limits.check_sql("select")
    with pytest.raises(ServiceError, match="ODPS-0123031:ODPS partition exception - maximum 3 partitions allowed"):
        limits.check_partitions(4)
    with pytest.raises(ServiceError, match="has 7 bytes, 6 are allowed"):
        limits.check_sql("sélect")
    NO_LIMITS.check_partitions(1 << 30)
    NO_LIMITS.check_sql("x" * (3 << 20))


@pytest.mark.parametrize(
    ("operation", "count", "seconds"),
    [("upload.create", 500, 300), ("upload.block", 500, 300), ("upload.commit", 75, 15)],
)
def test_a_rate_is_per_table_and_its_window_moves(operation: str, count: int, seconds: int) -> None:
    clock = Time()
    traffic = Traffic(Limits(), clock.now)
    admit(traffic, operation, table())
    clock.move(seconds / 2)
    admit(traffic, operation, table(), count - 1)
    assert code_of(traffic, operation, table()) == "FlowExceeded"
    admit(traffic, operation, table("other"))
    clock.move(seconds / 2 - 0.001)
    assert code_of(traffic, operation, table()) == "FlowExceeded"
    clock.move(0.001)
    admit(traffic, operation, table())
    assert code_of(traffic, operation, table()) == "FlowExceeded"


def test_sessions_blocks_and_commits_are_counted_apart() -> None:
    traffic = Traffic(Limits(sessions=1, blocks=1, commits=1), Time().now)
    for operation in ("upload.create", "upload.block", "upload.commit"):
        admit(traffic, operation, table())


def test_a_clock_that_is_put_back_does_not_block_a_table() -> None:
    clock = Time()
    traffic = Traffic(Limits(blocks=1), clock.now)
    clock.move(86_400)
    admit(traffic, "upload.block", table())
    clock.move(-86_400)
    admit(traffic, "upload.block", table())


def test_commits_at_once_are_counted_while_they_run() -> None:
    traffic = Traffic(Limits(commits_at_once=2), Time().now)
    with ExitStack() as running:
        for _ in range(2):
            running.enter_context(traffic.admitted("upload.commit", table()))
        assert code_of(traffic, "upload.commit", table()) == "SlotExceeded"
        admit(traffic, "upload.commit", table("other"))
        admit(traffic, "upload.block", table())
    admit(traffic, "upload.commit", table())


def test_a_commit_that_fails_gives_its_place_back() -> None:
    traffic = Traffic(Limits(commits_at_once=1), Time().now)
    with pytest.raises(KeyError), traffic.admitted("upload.commit", table()):
        raise KeyError
    admit(traffic, "upload.commit", table())


def test_tables_that_were_quiet_for_long_are_forgotten() -> None:
    clock = Time()
    traffic = Traffic(Limits(), clock.now)
    for number in range(10):
        admit(traffic, "upload.commit", table(f"t{number}"))
        clock.move(10)
    assert len(traffic._recent) == 2
    assert not traffic._committing


def test_limits_that_are_off_count_nothing() -> None:
    traffic = Traffic(NO_LIMITS, Time().now)
    with ExitStack() as running:
        for _ in range(1000):
            running.enter_context(traffic.admitted("upload.commit", table()))
    assert not traffic._recent
