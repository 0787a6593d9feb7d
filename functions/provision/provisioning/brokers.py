"""The brokers as provisioning reaches them: by the addresses in the settings, or by those of the Kafka instance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from kafka_maxcompute import brokers
from kafka_maxcompute.broker_faults import fault
from kafka_maxcompute.errors import ConfigurationError, DeadlineError, RefusedError
from provisioning import network
from provisioning.operations import GET_INSTANCES

if TYPE_CHECKING:
    from provisioning.cloud import Cloud

SECONDS = 20.0
"""The longest that one question to the brokers takes, so that a plan without them ends in time to say so."""
NO_WAY = "NoWayToTheBrokers"


def configuration(cloud: Cloud) -> dict[str, Any]:
    """What a client is made with; raises `RefusedError` where nobody says where they are, or a secret is missing."""
    settings = cloud.request.settings
    servers = settings.bootstrap_servers or network.servers(find_instance(cloud), settings.security_protocol)
    if not servers:
        has = f"instance {settings.instance_id} shows no address for {settings.security_protocol}"
        raise RefusedError(f"{has}; set bootstrap_servers, or security_protocol to what it offers", code=NO_WAY)
    complete = replace(settings, bootstrap_servers=servers)
    try:
        return brokers.configuration(complete, cloud.environment, cloud.control.credentials)
    except ConfigurationError as error:
        raise RefusedError("; ".join(error.faults), code=NO_WAY) from None


def last_value(cloud: Cloud, topic: str, key: bytes) -> bytes | None:
    """The value of the last record of a key in topic-partition 0; None where there is none, or no such topic."""
    deadline = cloud.deadline.within(SECONDS)
    # A name that librdkafka wants; the group isn't joined, and nothing is committed.
    group = cloud.request.settings.group
    reader = brokers.consumer(configuration(cloud), group, **{"enable.partition.eof": True})
    found = None
    try:
        # All topics are asked for: a question for one makes it where brokers do so by themselves.
        if topic not in reader.list_topics(timeout=deadline.remaining()).topics:
            return None
        reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while True:
            message = reader.poll(deadline.remaining())
            if message is None:
                raise DeadlineError(f"no time was left to read topic {topic}; call again")
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                return found
            if error is not None:
                raise fault(error, f"reading topic {topic}")
            found = message.value() if message.key() == key else found
    except KafkaException as error:
        raise fault(error.args[0], f"reading topic {topic}") from error
    finally:
        reader.close()


def write(cloud: Cloud, topic: str, key: bytes, value: bytes | None) -> None:
    """Append a record to topic-partition 0, and wait until it's there."""
    deadline, outcome = cloud.deadline.within(SECONDS), list[KafkaError | None]()
    writer = brokers.producer(configuration(cloud))
    writer.produce(topic, value, key, 0, on_delivery=lambda error, _: outcome.append(error))
    writer.flush(deadline.remaining())
    if not outcome:
        raise DeadlineError(f"no time was left to write into topic {topic}; call again")
    if outcome[0] is not None:
        raise fault(outcome[0], f"writing into topic {topic}")


def find_instance(cloud: Cloud) -> dict[str, Any]:
    """The Kafka instance as the service describes it; empty where the region has none of that id."""
    settings = cloud.request.settings
    answer = cloud.control.call(GET_INSTANCES, {"RegionId": settings.region, "InstanceId.1": settings.instance_id})
    found = (answer.get("InstanceList") or {}).get("InstanceVO") or []
    return next((one for one in found if one.get("InstanceId") == settings.instance_id), {})
