"""The ends of logs as brokers tell them, when their answers go wrong."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from fc_powertools import Deadline
from kafka_maxcompute.brokers import absences, clients, log_bounds
from kafka_maxcompute.brokers.absences import Absences
from kafka_maxcompute.brokers.login import Login
from kafka_maxcompute.brokers.topic_log import KafkaOriginals
from kafka_maxcompute.errors import NoSuchTopicError, RefusedError, UnavailableError
from kafka_maxcompute.ledger.operations import State
from kafka_maxcompute.ledger.source_topics import SourceTopics
from tests.deadlines import soon
from tests.faults.kafka_proxy import KafkaProxy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from kafka_maxcompute.offsets import TopicPartition as Place
    from local_emulator.kafka.broker import Broker
    from tests.faults.kafka_proxy import What

RECORDS = 3


def configuration(broker: Broker) -> dict[str, Any]:
    """All clients of it share what they are told."""
    return {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "error_cb": Login()}


@pytest.fixture
def proxy(broker: Broker) -> Iterator[KafkaProxy]:
    with KafkaProxy(broker.bootstrap_servers) as started:
        yield started


@pytest.fixture
def filled(broker: Broker, topic: str) -> str:
    """A topic of three topic-partitions, the second with records."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(RECORDS):
        producer.produce(topic, str(number), partition=1)
    assert producer.flush(20) == 0
    return topic


@pytest.fixture
def client(proxy: KafkaProxy) -> Iterator[Consumer]:
    properties = {"bootstrap.servers": proxy.bootstrap_servers, "group.id": "g", "socket.timeout.ms": 1_000}
    with closing(Consumer({**properties, "log_level": 0, "error_cb": lambda _: None})) as asking:
        yield asking


def test_of_several_at_once(client: Consumer, filled: str) -> None:
    places = [(filled, number) for number in (2, 0, 1)]
    assert log_bounds.bounds(client, places, soon()) == {places[0]: (0, 0), places[1]: (0, 0), places[2]: (0, RECORDS)}
    assert log_bounds.bounds(client, [], soon()) == {}


def test_a_refused_question_for_the_start_is_never_answered_with_the_end(
    proxy: KafkaProxy, client: Consumer, filled: str
) -> None:
    fault = proxy.arm("error", "ListOffsets", filled, error="TOPIC_AUTHORIZATION_FAILED")
    with pytest.raises(RefusedError, match=f"{filled}-1: .* give the user the right to it"):
        log_bounds.bounds(client, [(filled, 1)], soon())
    assert fault.fired == 1


@pytest.mark.parametrize("error", ["NOT_LEADER_OR_FOLLOWER", "UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE"])
def test_an_error_that_passes_is_asked_through(proxy: KafkaProxy, client: Consumer, filled: str, error: str) -> None:
    fault = proxy.arm("error", "ListOffsets", filled, error=error, times=2)
    assert log_bounds.bounds(client, [(filled, 1)], soon()) == {(filled, 1): (0, RECORDS)}
    assert fault.fired == 2


@pytest.mark.parametrize("what", ["reset", "lost", "truncated", "silence"])
def test_a_lost_answer_is_asked_for_again(proxy: KafkaProxy, client: Consumer, filled: str, what: What) -> None:
    fault = proxy.arm(what, "ListOffsets", filled, times=2)
    assert log_bounds.bounds(client, [(filled, 1)], soon()) == {(filled, 1): (0, RECORDS)}
    assert fault.fired == 2


def test_time_that_runs_out_is_said(proxy: KafkaProxy, client: Consumer, filled: str) -> None:
    proxy.arm("error", "ListOffsets", filled, error="NOT_LEADER_OR_FOLLOWER", times=10_000)
    with pytest.raises(UnavailableError, match=f"offsets of {filled}-0 and 1 more"):
        log_bounds.starts(client, [(filled, 0), (filled, 1)], Deadline.after(1.0))


def test_the_one_that_isnt_there_is_named(client: Consumer, filled: str) -> None:
    with pytest.raises(RefusedError, match=f"the brokers have no {filled}-3; create the topic"):
        log_bounds.ends(client, [(filled, 0), (filled, 3)], soon())
    nowhere = f"nowhere-{uuid.uuid4().hex[:8]}"
    with pytest.raises(RefusedError, match=f"the brokers have no {nowhere}-0"):
        log_bounds.starts(client, [(nowhere, 0)], soon())


def test_what_a_group_has_committed(proxy: KafkaProxy, filled: str) -> None:
    properties = {"bootstrap.servers": proxy.bootstrap_servers, "group.id": filled, "enable.auto.commit": False}
    with closing(Consumer(properties)) as asking:
        places = [(filled, number) for number in range(3)]
        assert log_bounds.committed(asking, places, soon()) == {}
        asking.commit(offsets=[TopicPartition(filled, 1, 2)], asynchronous=False)
        assert log_bounds.committed(asking, places, soon()) == {(filled, 1): 2}
        assert log_bounds.committed(asking, [], soon()) == {}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A topic counts as gone at the second answer that doesn't list it; how many answers listed how little."""
    missing: list[int] = []

    def noted(self: Absences, asked: Collection[Place], found: Collection[Place]) -> frozenset[Place]:
        missing.append(len(found))
        return noting(self, asked, found)

    noting = Absences.note
    monkeypatch.setattr(Absences, "note", noted)
    monkeypatch.setattr(absences, "GONE_SECONDS", 0.05)
    return missing


def test_all_that_are_not_listed_share_one_question(broker: Broker, filled: str, patient: list[int]) -> None:
    there = (filled, 1)
    nowhere = {(f"nowhere-{uuid.uuid4().hex[:8]}", number) for number in range(40)} | {(filled, 3)}
    with closing(clients.consumer(configuration(broker), "g")) as asking:
        told = asking.login.absences
        with pytest.raises(NoSuchTopicError, match=r"the brokers have no .* and 40 more") as caught:
            log_bounds.bounds(asking, [*nowhere, there], soon(), told)
        assert caught.value.places == nowhere
        assert set(patient) == {len(nowhere)}
        asked = len(patient)
        with pytest.raises(NoSuchTopicError):
            log_bounds.ends(asking, nowhere, soon(), told)
    assert len(patient) == asked + 1, "what has been missing for a while is believed at once"


@pytest.mark.parametrize("name", ["no topic!", "", ".", "..", "x" * 250, "orders\n"])
def test_a_name_that_no_topic_can_have_is_nowhere(broker: Broker, filled: str, name: str) -> None:
    """Apache Kafka answers nothing at all if one is asked for."""
    topics = SourceTopics(configuration(broker), KafkaOriginals(configuration(broker), "g"))
    found = topics.observed(State(), {(name, 0): ((0, 0),), (filled, 1): ((0, 0),)}, {}, soon())
    assert (set(found.gone), dict(found.ends)) == ({(name, 0)}, {(filled, 1): RECORDS})


def test_a_topic_that_is_listed_again_soon_is_not_gone(
    broker: Broker, patient: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that has just started doesn't list all topics yet."""
    late, noting = (f"late-{uuid.uuid4().hex[:8]}", 0), Absences.note

    def noted(self: Absences, asked: Collection[Place], found: Collection[Place]) -> frozenset[Place]:
        if len(patient) == 0:
            broker.create_topic(late[0], 1)
        return noting(self, asked, found)

    monkeypatch.setattr(Absences, "note", noted)
    monkeypatch.setattr(absences, "GONE_SECONDS", 60.0)
    found = SourceTopics(configuration(broker), KafkaOriginals(configuration(broker), "g")).observed(
        State(), {late: ((0, 0),)}, {}, soon()
    )
    assert (found.gone, found.ends) == (frozenset(), {late: 0})
    assert patient[0] == 1


def test_one_that_is_not_listed_until_the_time_is_up_is_not_gone(broker: Broker) -> None:
    with closing(clients.consumer(configuration(broker), "g")) as asking:
        with pytest.raises(UnavailableError, match="the brokers don't list nowhere-0 now"):
            log_bounds.ends(asking, [("nowhere", 0)], Deadline.after(1.0), asking.login.absences)
        assert log_bounds.ends(asking, [], soon(), asking.login.absences) == {}
