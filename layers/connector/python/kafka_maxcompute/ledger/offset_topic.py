"""Whether the offset topic is made so that the ledger in it lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource

from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.log_bounds import NO_SUCH_TOPIC, QUESTION_SECONDS
from kafka_maxcompute.errors import ConfigurationError, RefusedError
from kafka_maxcompute.ledger.kafka_log import PARTITION
from kafka_maxcompute.ledger.source_topics import ANSWERLESS_SECONDS, UNANSWERED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka.admin import AdminClient

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.login import LoginAdmin

FEWEST_IN_SYNC = 2
"""Replicas that have to have an append before it's acknowledged, where there are three or more."""
THREE = 3


def check(client: LoginAdmin, topic: str, deadline: Deadline) -> None:
    """Look at the topic as the brokers have it; raises `ConfigurationError` with every fault.

    Brokers that don't answer the question (DescribeConfigs: librdkafka's mock cluster has none, a user may lack the
    right to it) are believed to have it right; that the topic is there is checked with all.
    """
    doing, began = f"asking for topic {topic}", time.monotonic()
    try:
        # All topics are asked for: a question for one may create it.
        found = client.list_topics(timeout=min(QUESTION_SECONDS, deadline.remaining())).topics.get(topic)
    except KafkaException as error:
        client.poll(0)  # librdkafka calls error_cb from here
        client.login.check(doing, since=began)
        raise fault(error.args[0], doing) from error
    if found is None or PARTITION not in found.partitions:
        raise RefusedError(
            f"expected an offset topic {topic}, found none; the provisioning action apply makes it", code=NO_SUCH_TOPIC
        )
    wrong = faults(configured(client, topic, deadline), replicas=len(found.partitions[PARTITION].replicas))
    if wrong:
        raise ConfigurationError([f"offset topic {topic}: {one}" for one in wrong])


def faults(configuration: Mapping[str, str], *, replicas: int) -> list[str]:
    """What is wrong with a topic's configuration; what isn't known of it isn't wrong."""
    wrong = []
    policy = configuration.get("cleanup.policy", "compact")
    if policy != "compact":
        wrong.append(f"expected cleanup.policy compact, found {policy}, which loses the ledger in time; change it")
    in_sync = int(configuration.get("min.insync.replicas", FEWEST_IN_SYNC))
    if replicas >= THREE and in_sync < FEWEST_IN_SYNC:
        wrong.append(
            f"expected min.insync.replicas of {FEWEST_IN_SYNC} or more with {replicas} replicas, found {in_sync}: an "
            "append could be lost with one broker; change it"
        )
    if configuration.get("unclean.leader.election.enable", "false") != "false":
        wrong.append(
            "expected unclean.leader.election.enable false, found true: an election could lose what was acknowledged; "
            "change it"
        )
    return wrong


def configured(client: AdminClient, topic: str, deadline: Deadline) -> dict[str, str]:
    """The topic's configuration, or nothing where the brokers don't tell it."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    asked = client.describe_configs([resource], request_timeout=min(ANSWERLESS_SECONDS, deadline.remaining()))
    try:
        found = asked[resource].result(QUESTION_SECONDS)
    except KafkaException as error:
        if error.args[0].code() in UNANSWERED:
            return {}
        raise fault(error.args[0], f"asking for the configuration of topic {topic}") from error
    return {name: entry.value for name, entry in found.items() if entry.value is not None}
