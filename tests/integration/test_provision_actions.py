"""The provisioning function's actions against the local cloud: planned, applied, applied again, paused, destroyed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute import __version__
from kafka_maxcompute.control.control_plane import ControlPlane
from kafka_maxcompute.maxcompute.service import Service
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from provisioning import brokers
from provisioning.convergence import dissolve
from provisioning.resources.topics import own_topics
from tests.provision_cloud import ACCOUNT, Surrounding, running
from tests.stream_clients import eventually, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_emulator.kafka.embedded import EmbeddedBroker

WANTED = 13  # resources of a connector


class KilledError(BaseException):
    """The process is gone."""


@pytest.fixture
def around() -> Iterator[Surrounding]:
    """A function is deployed, with its trigger; streams only say that they run."""
    with running() as started:
        settled(started)
        yield started


@pytest.fixture
def delivering(embedded_kafka: EmbeddedBroker) -> Iterator[Surrounding]:
    """With a broker, and streams that really run."""
    with running(embedded_kafka) as started:
        settled(started)
        yield started


def settled(around: Surrounding) -> None:
    """Deploy, and wait until the stream has started."""
    around.deploy()
    assert eventually(lambda: around.ask("status")["state"] == "running")
    around.plane.log.clear()


def delivered(around: Surrounding) -> int:
    return sum(len(json.loads(batch)) for batch in around.delivered)


def doing(reply: dict[str, Any]) -> list[str]:
    return [one["do"] for one in reply["steps"]]


def test_a_plan_changes_nothing_and_an_apply_does_what_it_says(around: Surrounding) -> None:
    planned = around.ask("plan", create_table=True)
    assert planned["state"] == "changes", planned
    assert (planned["faults"], planned["account"], planned["connector"]) == ([], ACCOUNT, "orders")
    # `s deploy` has made the service-linked roles and the trigger, and its stream the group.
    assert doing(planned) == ["create", *["keep"] * 3, *["create"] * 6, "keep", "create", "keep"]
    assert around.changes() == []

    applied = around.ask("apply", create_table=True)
    assert applied["state"] == "applied", applied
    assert applied["done"] == [one["resource"] for one in planned["steps"] if one["do"] == "create"]
    changes = around.changes()

    for action in ("apply", "plan"):
        again = around.ask(action, create_table=True)
        assert again["state"] == "unchanged"
        assert doing(again) == ["keep"] * WANTED
    assert around.changes() == changes


def test_records_flow_and_stop_and_go_on_where_they_stopped(delivering: Surrounding) -> None:
    around = delivering
    assert around.ask("apply", create_table=True)["state"] == "applied"
    send(around.broker, "orders-in", 6, partitions=6)
    assert eventually(lambda: delivered(around) == 6)
    assert eventually(lambda: around.ask("status")["lag"]["records"] == 0)
    assert around.ask("pause")["state"] == "paused"
    assert around.ask("pause")["state"] == "paused"
    send(around.broker, "orders-in", 6, partitions=6)
    stands = around.ask("status")
    assert (stands["state"], stands["lag"]["records"]) == ("paused", 6)
    assert sorted(one["lag"] for one in stands["lag"]["topic_partitions"]) == [1] * 6
    assert [one["do"] for one in stands["drift"] if one["resource"].startswith("trigger")] == ["change"]
    assert delivered(around) == 6
    assert around.ask("resume")["state"] == "running"
    assert eventually(lambda: delivered(around) == 12)
    told = around.ask("status")
    assert (told["drift"], told["version"]) == ([], __version__)


def test_nothing_is_removed_without_the_connectors_name(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    changes = around.changes()
    for refused in (around.ask("destroy"), around.ask("destroy", confirm="other")):
        assert refused["state"] == "blocked"
        assert "expected the connector's name, 'orders'" in refused["faults"][0]
    assert around.changes() == changes


def test_destroy_keeps_what_may_hold_data_or_be_shared(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    gone = around.ask("destroy", confirm="orders")
    assert gone["state"] == "destroyed"
    assert gone["removed"] == ["settings of orders in topic connect-config-orders", "group connect-orders"]
    assert len(gone["kept"]) == WANTED - 2
    assert around.ask("status")["state"] == "paused"


def test_destroy_takes_what_is_named_and_an_apply_brings_it_back(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    gone = around.ask("destroy", confirm="orders", remove=["topics", "table", "grants", "role"])
    assert gone["state"] == "destroyed", gone
    assert len(gone["removed"]) == 9
    assert all("service-linked role" in kept or "trigger" in kept for kept in gone["kept"])
    assert around.ask("apply", create_table=True)["state"] == "applied"
    assert around.ask("plan")["state"] == "unchanged"


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_empty_topics_that_somebody_else_created_are_created_again(around: Surrounding, delivery: str) -> None:
    settings = {"delivery": delivery, "bootstrap_servers": around.broker.bootstrap_servers}
    around.deploy(settings)
    around.ask("pause", settings)
    for purpose in ("offset", "config", "status"):
        around.broker.create_topic(f"connect-{purpose}-orders", 3)
    planned = around.ask("plan", settings, create_table=True)
    assert (planned["state"], planned["faults"]) == ("changes", []), planned
    steps = {step["resource"]: step["do"] for step in planned["steps"]}
    assert [steps[f"topic connect-{one}-orders"] for one in ("offset", "config", "status", "error")] == [
        *["change"] * 3,
        "create",
    ]
    applied = around.ask("apply", settings, create_table=True)
    assert (applied["state"], applied["faults"]) == ("applied", []), applied
    assert around.ask("plan", settings)["state"] == "unchanged"


def test_a_topic_that_holds_a_record_is_not_created_again(around: Surrounding) -> None:
    around.broker.create_topic("connect-status-orders", 3)
    produce(around.broker.bootstrap_servers, "connect-status-orders", [Record(1, None, b"k", b"v")])
    planned = around.ask("plan", create_table=True)
    assert planned["state"] == "blocked"
    why = "\n".join(line for one in planned["steps"] for line in one.get("why", ()))
    assert "compacted: false -> true; the topic may hold records; create it again yourself" in why


def test_topics_are_not_created_again_while_the_stream_runs(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    with around.cloud() as cloud:
        config = next(one for one in own_topics(cloud.request.settings) if one.purpose == "config")
        dissolve(config, cloud)
    around.broker.create_topic("connect-config-orders", 3)
    planned = around.ask("plan")
    assert planned["state"] == "blocked"
    assert planned["faults"] == [
        "topic connect-config-orders is to be deleted and created again, and the stream is running; pause it first"
    ]
    around.ask("pause")
    applied = around.ask("apply")
    assert (applied["state"], applied["faults"]) == ("applied", []), applied


def test_manual_creates_nothing_and_names_each_thing(around: Surrounding) -> None:
    manual = {"resource_creation": "manual"}
    around.deploy(manual)
    reply = around.ask("apply", manual, create_table=True)
    assert (reply["state"], reply["done"]) == ("blocked", [])
    assert doing(reply).count("blocked") == 7
    assert all("resource_creation is manual; " in one["why"][0] for one in reply["steps"] if one["do"] == "blocked")
    assert around.changes() == []


def test_what_stands_against_it_changes_nothing(around: Surrounding) -> None:
    reply = around.ask("apply", {"source_topic": "no-such-topic", "account_id": "1"}, create_table=True)
    assert reply["state"] == "blocked"
    told = "\n".join(reply["faults"])
    assert "account_id: expected 1" in told
    assert "source_topic: no topic no-such-topic" in told
    assert "its CONNECTOR_SOURCE_TOPIC is 'orders-in', here source_topic is 'no-such-topic'" in told
    assert around.changes() == []


def test_a_wrong_event_is_answered_with_every_fault(around: Surrounding) -> None:
    reply = around.ask("aply", {"mode": "SIDEWAYS"}, colour="red")
    assert reply["state"] == "refused"
    assert [fault.partition(":")[0] for fault in reply["faults"]] == ["colour", "action", "mode"]
    assert list(around.plane.log) == []


def test_keys_that_nobody_knows_end_it_in_the_reply(around: Surrounding) -> None:
    reply = replace(around, keys=("nobody", "x")).ask("plan")
    assert reply["state"] == "failed"
    assert "InvalidAccessKeyId" in reply["faults"][0]


def test_a_stream_that_couldnt_start_without_a_group_is_started_with_it() -> None:
    with running(auto_groups=False) as around:
        around.deploy()
        assert eventually(lambda: around.ask("status")["state"] == "starting_failed")
        planned = around.ask("plan", create_table=True)
        assert planned["steps"][-1]["differences"] == [
            {"field": "status", "found": "STARTING_FAILED", "wanted": "RUNNING"}
        ]
        assert around.ask("apply", create_table=True)["state"] == "applied"
        assert around.ask("status")["state"] == "running"


# --- streams of EventBridge's own -------------------------------------------------------------------------------------


BINARY = {"value_type": "Binary"}


def test_an_event_stream_is_made_started_and_removed(delivering: Surrounding) -> None:
    around = delivering
    around.deploy(BINARY)
    assert around.ask("pause", BINARY)["state"] == "paused"
    send(around.broker, "orders-in", 6, partitions=6)
    reply = around.ask("apply", BINARY, stream="event_stream", create_table=True)
    assert reply["state"] == "applied", reply
    assert around.changes()[-2:] == ["CreateEventStreaming", "StartEventStreaming"]
    assert eventually(lambda: bool(around.delivered))
    assert around.ask("apply", BINARY, stream="event_stream")["state"] == "unchanged"
    assert around.ask("status", BINARY, stream="event_stream")["state"] == "running"
    assert around.ask("pause", BINARY, stream="event_stream")["state"] == "paused"
    assert around.ask("resume", BINARY, stream="event_stream")["state"] == "running"
    gone = around.ask("destroy", BINARY, stream="event_stream", confirm="orders")
    assert gone["removed"][0] == "event stream connect-orders"
    assert gone["removed"][-1] == "group connect-orders"
    assert around.ask("pause", BINARY, stream="event_stream")["state"] == "absent"


def test_two_streams_are_never_had(around: Surrounding) -> None:
    reply = around.ask("apply", stream="event_stream", create_table=True)
    assert reply["state"] == "blocked"
    assert "the trigger kafka-stream feeds maxcompute-sink-orders already" in reply["faults"][0]
    around.ask("pause")
    assert around.ask("apply", stream="event_stream", create_table=True)["state"] == "applied"
    reply = around.ask("resume")
    assert reply["state"] == "blocked"
    assert "an event stream feeds maxcompute-sink-orders already" in reply["faults"][0]


def test_a_stream_whose_values_are_of_another_type_stops_it(around: Surrounding) -> None:
    around.ask("pause")
    assert around.ask("apply", stream="event_stream", create_table=True)["state"] == "applied"
    around.deploy(BINARY)
    changes = around.changes()
    reply = around.ask("apply", BINARY, stream="event_stream")
    assert reply["state"] == "blocked"
    assert reply["steps"][-1]["why"][0].startswith("value type: Text -> Binary")
    assert around.changes() == changes


def test_drift_of_a_stream_is_shown_and_mended(around: Surrounding) -> None:
    around.ask("pause")
    around.ask("apply", stream="event_stream", create_table=True)
    planned = around.ask("plan", stream="event_stream", batch_seconds=3)
    assert planned["steps"][-1] == {
        "resource": "event stream connect-orders",
        "do": "change",
        "differences": [{"field": "TimeBasedWindow", "found": "10", "wanted": "3"}],
    }
    assert around.ask("apply", stream="event_stream", batch_seconds=3)["state"] == "applied"
    assert around.ask("plan", stream="event_stream", batch_seconds=3)["state"] == "unchanged"


# --- killed, and at once ----------------------------------------------------------------------------------------------


def kill_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The process ends when so many calls that change something were answered; a kill after a look changes nothing."""
    answered = iter(range(1, count + 1))

    def killing(real: Callable[..., Any], changes: Callable[..., bool]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            answer = real(*arguments, **named)
            if changes(*arguments) and next(answered) == count:
                raise KilledError
            return answer

        return called

    once, exchange = ControlPlane._once, Service.exchange
    monkeypatch.setattr(
        ControlPlane, "_once", killing(once, lambda _, operation, *__: not operation.name.startswith("Get"))
    )
    monkeypatch.setattr(Service, "exchange", killing(exchange, lambda _, method, *__: method == "POST"))
    monkeypatch.setattr(brokers, "write", killing(brokers.write, lambda *_: True))


CHANGES = 14
"""Calls of an apply that do: role, table, user, two grants and a look at them, four topics, group, settings record,
stream off, on."""


@pytest.mark.parametrize("count", range(1, CHANGES + 1))
def test_a_kill_after_any_call_is_made_good_by_the_next_apply(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(auto_groups=False) as around:
        around.deploy()
        with monkeypatch.context() as killing:
            kill_after(killing, count)
            with pytest.raises(KilledError):
                around.ask("apply", create_table=True)
        assert around.ask("apply", create_table=True)["state"] in {"applied", "unchanged"}
        assert around.ask("plan")["state"] == "unchanged"
        made = [change for change in around.changes() if change.startswith("Create")]
        assert sorted(made) == ["CreateConsumerGroup", "CreateRole", *["CreateTopic"] * 4]


def test_two_applies_at_once_end_in_one_state(delivering: Surrounding) -> None:
    around = delivering
    replies: list[dict[str, Any]] = []
    both = [threading.Thread(target=lambda: replies.append(around.ask("apply", create_table=True))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert {reply["state"] for reply in replies} <= {"applied", "unchanged"}, replies
    assert around.ask("plan")["state"] == "unchanged"
