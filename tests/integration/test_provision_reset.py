"""The actions `reset` and `status` of an exactly-once connector, with its ledger in a broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer

from kafka_maxcompute.brokers.appending import Append
from kafka_maxcompute.brokers.status_topic import Status, encode
from kafka_maxcompute.ledger.operations import Claim, Settle
from provisioning.connector_resources import resources
from provisioning.resources.ledger import ConnectorLedger, opened
from provisioning.resources.table import Table
from provisioning.resources.topics import Topic
from tests.kafka_fixtures import committed
from tests.provision_cloud import Surrounding, running
from tests.stream_clients import eventually, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_maxcompute.ledger.operations import Operation, State
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from local_emulator.kafka.apache import ApacheBroker

OFFSETS = "connect-offset-orders"


def claim(name: str, partition: int, first: int, last: int) -> Claim:
    offsets: dict[TopicPartition, Intervals] = {("orders-in", partition): ((first, last),)}
    rows = last - first + 1
    return Claim(id=name, partition_value="x", blocks=(0,), rows=rows, offsets=offsets, generation=1)


WRITTEN = (claim("a", 0, 0, 2), Settle(id="a"), claim("b", 1, 0, 1), Settle(id="b"))


@pytest.fixture
def around() -> Iterator[Surrounding]:
    """A stream that never ran: the embedded broker moves no group that has had members."""
    with running() as started:
        started.settings.update(delivery="exactly-once", bootstrap_servers=started.broker.bootstrap_servers)
        started.deploy(STREAM_ENABLED="false")
        send(started.broker, "orders-in", 18, partitions=6)
        with started.cloud(create_table=True) as cloud:
            for resource in resources(cloud.request, cloud.account):
                if isinstance(resource, (Table, Topic, ConnectorLedger)):
                    resource.make(cloud)
        yield started


def ledger(around: Surrounding, *appended: Operation) -> State:
    """The ledger's state after appending."""
    with around.cloud() as cloud, opened(cloud, cloud.request.settings) as (_, found):
        for operation in appended:
            found.append(operation, cloud.deadline)
        return found.read(cloud.deadline)


def group(around: Surrounding) -> list[int]:
    return committed(around.broker, "connect-orders", "orders-in", 6)


NOTHING = -1001  # where a group has committed nothing


def test_it_says_what_it_would_do_and_does_it_when_confirmed(around: Surrounding) -> None:
    before = ledger(around, *WRITTEN)
    planned = around.ask("reset", start={"0": 1, "1": 2, "2": 3})
    assert (planned["state"], planned["faults"]) == ("planned", [])
    told = {one["partition"]: one for one in planned["topic_partitions"]}
    assert told[0] == {
        "topic": "orders-in",
        "partition": 0,
        "start": 1,
        "end": 3,
        "committed": None,
        "settled_up_to": 2,
        "lag": 0,
        "delivered_again": 2,
        "left_out": 0,
    }
    assert [(told[number]["delivered_again"], told[number]["left_out"]) for number in (1, 2)] == [(0, 0), (0, 3)]
    stands = {one["partition"]: one for one in around.ask("status")["ledger"]["topic_partitions"]}
    for number, one in told.items():
        same = ("settled_up_to", "end", "lag")
        assert [one[name] for name in same] == [stands[number][name] for name in same]
    wrong = around.ask("reset", start={"0": 1}, confirm="payments")
    assert (wrong["state"], wrong["faults"]) == (
        "blocked",
        ["confirm: expected the connector's name, 'orders', found 'payments'"],
    )
    assert ledger(around) == before
    assert group(around) == [NOTHING] * 6

    done = around.ask("reset", start={"0": 1, "1": 2, "2": 3}, confirm="orders")
    assert (done["state"], done["generation"], done["faults"]) == ("reset", 2, [])
    after = ledger(around)
    assert after.settled == {("orders-in", 0): ((0, 0),), ("orders-in", 1): ((0, 1),), ("orders-in", 2): ((0, 2),)}
    assert group(around) == [1, 2, 3, NOTHING, NOTHING, NOTHING]
    # A zombie of the generation before claims in vain.
    assert ledger(around, claim("zombie", 0, 1, 2)).pending == {}
    lags = [one["lag"] for one in around.ask("status")["ledger"]["topic_partitions"]]
    assert (
        lags[:3] == [told[n]["lag"] + told[n]["delivered_again"] - told[n]["left_out"] for n in range(3)] == [2, 1, 0]
    )
    again = around.ask("reset", start={"0": 0}, confirm="orders")
    assert (again["state"], again["generation"]) == ("reset", 3)


def test_whoever_vouches_for_the_topic_goes_on_from_new_marks(around: Surrounding) -> None:
    before = ledger(around, *WRITTEN)
    done = around.ask("reset", same_topic=True, confirm="orders")
    assert (done["state"], done["generation"], done["topic_partitions"]) == ("reset", 2, [])
    after = ledger(around)
    assert (after.settled, after.starts, after.begun) == (before.settled, {}, {})
    assert {where: mark.offset for where, mark in after.marks.items()} == {("orders-in", n): 2 for n in range(6)}
    assert group(around) == [NOTHING] * 6


def test_the_group_goes_back_to_a_missing_offset_and_the_ledger_keeps_what_is_settled(around: Surrounding) -> None:
    before = ledger(around, *WRITTEN)
    planned = around.ask("reset", start={"0": 0, "2": 1}, keep_settled=True)
    effects = [(one["delivered_again"], one["left_out"], one["lag"]) for one in planned["topic_partitions"]]
    assert (planned["state"], effects) == ("planned", [(0, 0, 0), (0, 1, 3)])
    assert group(around) == [NOTHING] * 6
    done = around.ask("reset", start={"0": 0, "2": 1}, keep_settled=True, confirm="orders")
    assert (done["state"], done["generation"]) == ("reset", 1)
    assert ledger(around) == before
    assert group(around) == [0, NOTHING, 1, NOTHING, NOTHING, NOTHING]
    refused = around.ask("reset", same_topic=True, keep_settled=True)
    assert "leave one of them out" in refused["faults"][0]


def test_nothing_is_reset_while_a_claim_is_pending(around: Surrounding) -> None:
    before = ledger(around, claim("a", 0, 0, 2))
    refused = around.ask("reset", start={"0": 0}, confirm="orders")
    assert refused["state"] == "blocked"
    assert refused["faults"] == ["claims are pending: a; call status, which completes them, then call again"]
    assert ledger(around) == before


def test_the_ledger_stays_as_it_was_where_the_group_cannot_be_moved(around: Surrounding) -> None:
    before = ledger(around, *WRITTEN)
    servers = around.broker.bootstrap_servers
    member = Consumer({"bootstrap.servers": servers, "group.id": "connect-orders", "auto.offset.reset": "earliest"})
    member.subscribe(["orders-in"])
    try:
        assert eventually(lambda: member.poll(0.1) is not None)
        refused = around.ask("reset", start={"0": 1}, confirm="orders")
    finally:
        member.close()
    assert "keeps its offsets while it has members" in refused["faults"][0]
    assert ledger(around) == before


def test_it_needs_offsets_of_the_topic(around: Surrounding) -> None:
    (fault,) = around.ask("reset", confirm="orders")["faults"]
    assert fault == (
        "start: expected start or start_timestamp, where topic-partitions begin, or same_topic, with which all go on, "
        "found none; set one of them"
    )
    refused = around.ask("reset", start={"6": 0, "1": 4}, confirm="orders")
    assert [fault.partition(";")[0] for fault in refused["faults"]] == [
        "start: orders-in-1 ends at 3, before 4",
        "start: orders-in has no topic-partition 6",
    ]


def test_a_lost_ledger_begins_anew_with_every_topic_partition(around: Surrounding) -> None:
    ledger(around, *WRITTEN)
    around.broker.delete_records(OFFSETS, 0, 3)  # type: ignore[attr-defined] # it's an embedded one
    refused = around.ask("reset", start={"0": 3}, confirm="orders")
    assert "so name every topic-partition; 1, 2, 3, 4, 5 are missing" in refused["faults"][0]
    starts = {"0": 3, "1": 2, **dict.fromkeys("2345", 0)}
    done = around.ask("reset", start=starts, confirm="orders")
    assert done["state"] == "reset", done
    after = ledger(around)
    assert after.generation == done["generation"] > 1_600_000_000
    assert after.settled == {("orders-in", 0): ((0, 2),), ("orders-in", 1): ((0, 1),)}
    assert group(around) == [3, 2, 0, 0, 0, 0]


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_says_what_the_ledger_has_and_what_went_wrong(around: Surrounding) -> None:
    hole: list[Operation] = [claim("c", 2, 2, 2), Settle(id="c"), claim("d", 3, 0, 1)]
    ledger(around, *WRITTEN, *hole)
    with around.cloud() as cloud:
        told = Status(connector="orders", state="failing", topic="orders-in", partition=3, error="no such table")
        record = Append(cloud.request.settings.status_topic, 0, encode(told))
        assert cloud.clients.appender.append([record], cloud.deadline) == [0]
    found = around.ask("status")
    places = {one["partition"]: one for one in found["ledger"]["topic_partitions"]}
    assert places[0] == {
        "topic": "orders-in",
        "partition": 0,
        "settled_up_to": 2,
        "gaps": [],
        "pending": 0,
        "end": 3,
        "lag": 0,
    }
    assert (places[2]["settled_up_to"], places[2]["gaps"], places[2]["lag"]) == (2, [[0, 1]], 2)
    assert (places[3]["pending"], places[3]["lag"]) == (2, 1)
    # Its session was never opened: too early to believe that the service doesn't know it.
    (pending,) = found["ledger"]["pending"]
    assert (pending["id"], pending["for"], pending["offsets"]) == ("d", "x", {"orders-in-3": [[0, 1]]})
    assert "expected MaxCompute to know upload session d" in pending["why"]
    assert [(one["partition"], one["error"]) for one in found["errors"]] == [(3, "no such table")]


def test_status_and_reset_know_no_lag_of_a_log_that_ends_before_what_is_settled(around: Surrounding) -> None:
    ledger(around, claim("a", 0, 0, 9), Settle(id="a"))
    found = around.ask("status")
    places = {one["partition"]: one for one in found["ledger"]["topic_partitions"]}
    assert (places[0]["settled_up_to"], places[0]["end"], places[0]["lag"]) == (9, 3, None)
    assert places[1]["lag"] == 3
    (fault,) = [fault for fault in found["faults"] if fault.startswith("orders-in-0: ")]
    assert "its log ends at 3, but the ledger has offset 9 as settled, so the brokers have lost records" in fault
    (told,) = around.ask("reset", start={"0": 0})["topic_partitions"]
    assert (told["lag"], told["delivered_again"], told["left_out"]) == (None, 3, 0)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_live_connector_is_reset_and_delivers_again(apache_kafka: ApacheBroker) -> None:
    with running(apache_kafka, "reset-live") as around:
        around.settings.update(delivery="exactly-once", bootstrap_servers=apache_kafka.bootstrap_servers)
        around.deploy()
        assert around.ask("apply", create_table=True)["state"] == "applied"
        send(apache_kafka, "reset-live-in", 12, partitions=6)
        assert eventually(lambda: committed(apache_kafka, "connect-reset-live", "reset-live-in", 6) == [2] * 6)
        refused = around.ask("reset", start={"0": 0}, confirm="reset-live")
        assert refused["faults"] == ["the stream is running; pause it first"]
        around.ask("pause")
        around.delivered.clear()
        done = around.ask("reset", start={"0": 0, "1": 1}, confirm="reset-live")
        assert done["state"] == "reset", done
        assert around.ask("resume")["state"] == "running"
        assert eventually(lambda: offsets(around) == {(0, 0), (0, 1), (1, 1)})
        assert around.ask("plan")["state"] == "unchanged"


def offsets(around: Surrounding) -> set[Any]:
    """Topic-partition and offset of what was delivered."""
    events = [event["data"] for batch in around.delivered for event in json.loads(batch)]
    return {(data["partition"], data["offset"]) for data in events}
