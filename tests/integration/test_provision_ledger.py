"""The ledger of an exactly-once connector as provisioning begins and keeps it, and the start of a migration."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.operations import Claim, Release, Settle
from kafka_maxcompute.maxcompute.jobs import run_sql
from kafka_maxcompute.maxcompute.sql import Statement
from provisioning import brokers
from provisioning.resources.ledger import opened
from tests.kafka_fixtures import committed
from tests.provision_cloud import Surrounding, running
from tests.stream_clients import eventually, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kafka_maxcompute.ledger.operations import Operation, State
    from local_emulator.kafka.apache import ApacheBroker

OFFSETS = "connect-offset-orders"
CLAIM = Claim(id="s", partition_value="x", blocks=(0,), rows=10, offsets={("orders-in", 0): ((0, 9),)}, generation=1)


@pytest.fixture
def around() -> Iterator[Surrounding]:
    with running() as started:
        exactly_once(started)
        started.deploy()
        yield started


def exactly_once(around: Surrounding) -> None:
    around.settings.update(delivery="exactly-once", bootstrap_servers=around.broker.bootstrap_servers)


def ledger(around: Surrounding, *appended: Operation) -> State:
    """The ledger's state after appending."""
    with around.cloud() as cloud, opened(cloud, cloud.request.settings) as (_, found):
        for operation in appended:
            found.append(operation, cloud.deadline)
        return found.read(cloud.deadline)


def ledger_step(reply: dict[str, Any]) -> dict[str, Any]:
    (found,) = [step for step in reply["steps"] if step["resource"].startswith("ledger ")]
    return dict(found)


def test_it_is_begun_once_and_says_what_it_is_about(around: Surrounding) -> None:
    assert ledger_step(around.ask("plan", create_table=True))["do"] == "create"
    assert around.ask("apply", create_table=True)["state"] == "applied"
    state = ledger(around)
    assert state.identity is not None
    assert (state.generation, state.identity.connector, state.identity.table) == (
        1,
        "orders",
        "connector_test.test_kafka",
    )
    assert abs(state.identity.table_created - time.time() * 1_000) < 600_000
    assert around.ask("apply")["state"] == "unchanged"
    with around.cloud() as cloud, opened(cloud, cloud.request.settings) as (log, _):
        assert (log.start(cloud.deadline), log.end(cloud.deadline)) == (0, 1)
    assert ledger_step(around.ask("plan"))["resource"] in around.ask("destroy", confirm="orders")["kept"]
    gone = around.ask("destroy", confirm="orders", remove=["topics"], accept_risk=["again"])
    assert f"topic {OFFSETS}" in gone["removed"]
    assert not any("ledger" in kept for kept in gone["kept"])


def test_a_ledger_that_has_lost_records_blocks(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    around.broker.delete_records(OFFSETS, 0, 1)  # type: ignore[attr-defined] # it's an embedded one
    reply = around.ask("apply")
    assert (reply["state"], reply["done"]) == ("blocked", [])
    why = ledger_step(reply)["why"][0]
    assert "found its start at 1" in why
    assert "run audit, then reset" in why


def test_a_table_made_anew_blocks(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    time.sleep(1.1)  # creation times are told in seconds
    with around.cloud() as cloud:
        for statement in ("drop table test_kafka", "create table test_kafka " + COLUMNS):
            run_sql(cloud.maxcompute, Statement(statement), cloud.deadline)
    reply = around.ask("plan")
    assert reply["state"] == "blocked"
    assert "table connector_test.test_kafka: expected one created at" in ledger_step(reply)["why"][0]
    # A reset waits for what is pending, so status has to see it.
    ledger(around, CLAIM)
    (pending,) = around.ask("status")["ledger"]["pending"]
    assert pending["id"] == "s"
    assert "expected MaxCompute to know upload session s" in pending["why"]


def test_a_table_that_is_gone_blocks_until_a_reset_says_what_is_to_be_in_the_new_one(around: Surrounding) -> None:
    """An empty table in its place would lack what the ledger has as written, and the sink would stop at it."""
    around.ask("apply", create_table=True)
    ledger(around, CLAIM, Settle(id="s"))
    with around.cloud() as cloud:
        run_sql(cloud.maxcompute, Statement("drop table test_kafka"), cloud.deadline)
    changes = around.changes()
    events: tuple[dict[str, Any], ...] = (
        {"action": "plan"},
        {"action": "plan", "create_table": True},
        {"action": "apply", "create_table": True},
    )
    for event in events:
        reply = around.ask(**event)  # any fields of an event
        assert (reply["state"], reply.get("done", [])) == ("blocked", []), event
        (why,) = ledger_step(reply)["why"]
        assert why.startswith("table: none -> connector_test.test_kafka; the table is gone")
        assert "pause the stream" in why
        assert "run reset with the offset of each topic-partition" in why
    assert around.changes() == changes
    refused = around.ask("reset", start={"0": 0})
    assert (refused["state"], len(refused["faults"])) == ("failed", 1)
    assert "expected table connector_test.test_kafka" in refused["faults"][0]
    assert "create it first" in refused["faults"][0]


def test_another_table_takes_the_place_of_one_that_is_gone(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    with around.cloud() as cloud:
        run_sql(cloud.maxcompute, Statement("drop table test_kafka"), cloud.deadline)
    other = {"table": "other_table"}
    around.deploy(other)
    assert around.ask("apply", other, create_table=True, change=["table"])["state"] == "applied"


COLUMNS = "(topic string, `partition` bigint, `offset` bigint, key string, value string) partitioned by (pt string)"


def test_another_table_waits_for_what_is_pending(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    ledger(around, CLAIM)
    other, asked = {"table": "other_table"}, {"create_table": True, "change": ["table"]}
    around.deploy(other)
    changes = around.changes()
    reply = around.ask("apply", other, **asked)
    assert (reply["state"], reply["done"]) == ("blocked", [])
    assert "1 claims for connector_test.test_kafka are pending" in ledger_step(reply)["why"][0]
    assert any(
        fault.startswith("table: test_kafka can't become other_table while 1 claims") for fault in reply["faults"]
    )
    assert around.changes() == changes

    ledger(around, Release(id="s"))
    assert around.ask("apply", other, **asked)["state"] == "applied"
    state = ledger_of(around, other)
    assert state.identity is not None
    assert (state.generation, state.identity.table) == (2, "connector_test.other_table")
    assert around.ask("plan", other)["state"] == "unchanged"


def ledger_of(around: Surrounding, settings: dict[str, Any]) -> State:
    with around.cloud(settings=settings) as cloud, opened(cloud, cloud.request.settings) as (_, found):
        return found.read(cloud.deadline)


def test_back_to_at_least_once_waits_for_what_is_pending(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    ledger(around, CLAIM)
    back = {"delivery": "at-least-once"}
    around.deploy(back)
    reply = around.ask("plan", back)
    (fault,) = reply["faults"]
    assert fault.startswith("delivery: exactly-once can't become at-least-once while 1 claims are pending")
    ledger(around, Release(id="s"))
    assert around.ask("plan", back)["state"] == "changes"


# --- migration --------------------------------------------------------------------------------------------------------


def offsets(around: Surrounding) -> set[tuple[int, int]]:
    """Topic-partition and offset of what was delivered."""
    events = [event["data"] for batch in around.delivered for event in json.loads(batch)]
    return {(data["partition"], data["offset"]) for data in events}


def test_a_migration_starts_at_given_offsets() -> None:
    """The stream is deployed paused: brokers keep a group's offsets while it has members."""
    start = {str(number): 1 for number in range(6)}
    with running() as around:
        exactly_once(around)
        around.deploy(STREAM_ENABLED="false")
        send(around.broker, "orders-in", 18, partitions=6)
        applied = around.ask("apply", create_table=True, start=start)
        assert applied["state"] == "applied", applied
        assert eventually(lambda: len(offsets(around)) == 12)
        assert {offset for _, offset in offsets(around)} == {1, 2}
        state = ledger(around)
        assert state.starts == {("orders-in", number): 1 for number in range(6)}
        assert state.settled == {("orders-in", number): ((0, 0),) for number in range(6)}
        # The same event again: it's done, and the group is far beyond it.
        assert around.ask("plan", start=start)["state"] == "unchanged"
        assert around.ask("plan")["state"] == "unchanged"
        refused = around.ask("apply", start={"0": 2})
        assert any(fault.startswith("start: the stream is running; pause it first") for fault in refused["faults"])


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_start_where_the_group_has_read_already_is_a_risk_without_a_ledger(apache_kafka: ApacheBroker) -> None:
    with running(apache_kafka, "read-before") as around:
        around.deploy()
        around.ask("apply", create_table=True)
        send(around.broker, "read-before-in", 6, partitions=6)
        assert eventually(lambda: committed(around.broker, "connect-read-before", "read-before-in", 6) == [1] * 6)
        around.ask("pause")
        refused = around.ask("apply", start={"0": 0})
        assert refused["state"] == "blocked"
        assert "start: group connect-read-before has committed 0: 1, 1: 1" in refused["faults"][0]
        around.delivered.clear()
        assert around.ask("apply", start={"0": 0}, accept_risk=["again"])["state"] == "applied"
        assert eventually(lambda: offsets(around) == {(0, 0)})


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_migration_starts_at_a_time(apache_kafka: ApacheBroker) -> None:
    with running(apache_kafka, "moved") as around:
        exactly_once(around)
        around.deploy(STREAM_ENABLED="false")
        send(around.broker, "moved-in", 60, partitions=6, first_ms=1_605_594_000_000)
        moment = 1_605_594_000_000 + 30  # record 30 is the sixth of topic-partition 0
        applied = around.ask("apply", create_table=True, start_timestamp=moment)
        assert applied["state"] == "applied", applied
        assert eventually(lambda: len(offsets(around)) == 30)
        assert {offset for _, offset in offsets(around)} == set(range(5, 10))
        state = ledger(around)
        assert set(state.starts.values()) == {5}
        assert state.identity is not None
        assert state.identity.topics.keys() == {"moved-in"}
        assert around.ask("plan", start_timestamp=moment)["state"] == "unchanged"


# --- killed -----------------------------------------------------------------------------------------------------------


class KilledError(BaseException):
    """The process is gone."""


WRITES = 4
"""What an apply writes into the brokers' topics: Genesis, the start as a reset, the group's offsets, the record."""


@pytest.mark.parametrize("count", range(1, WRITES + 1))
def test_a_kill_after_any_write_is_made_good_by_the_next_apply(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that was only half made isn't taken for made, and a ledger that was begun isn't taken for lost."""
    done = itertools.count(1)

    def killing(write: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            answer = write(*arguments, **named)
            if next(done) == count:
                raise KilledError
            return answer

        return called

    start = {str(number): 1 for number in range(6)}
    with running() as around:
        exactly_once(around)
        around.deploy(STREAM_ENABLED="false")
        send(around.broker, "orders-in", 18, partitions=6)
        with monkeypatch.context() as killed:
            killed.setattr(LogLedger, "append", killing(LogLedger.append))
            killed.setattr(brokers, "commit", killing(brokers.commit))
            killed.setattr(brokers, "write", killing(brokers.write))
            with pytest.raises(KilledError):
                around.ask("apply", create_table=True, start=start)
        assert around.delivered == []
        applied = around.ask("apply", create_table=True, start=start)
        assert applied["state"] == "applied", applied
        assert eventually(lambda: len(offsets(around)) == 12)
        assert {offset for _, offset in offsets(around)} == {1, 2}
        assert ledger(around).generation == 2
        assert around.ask("plan", start=start)["state"] == "unchanged"
