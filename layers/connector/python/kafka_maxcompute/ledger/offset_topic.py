"""Checks that the configuration of the offset topic keeps the ledger safe."""

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
"""Least number of replicas that have to have an append before it's acknowledged, if the topic has three or more."""
THREE = 3


def check(client: LoginAdmin, topic: str, deadline: Deadline) -> None:
    """Check the topic's existence and configuration; raises `RefusedError` and `ConfigurationError` (with every fault).

    If the brokers don't answer DescribeConfigs (librdkafka's mock cluster doesn't know it, a user may lack the right),
    the configuration counts as right. The topic's existence is checked in any case.
    """
    doing, began = f"asking for topic {topic}", time.monotonic()
    try:
        # The request is for all topics: a request for one topic may create it.
        description = client.list_topics(timeout=min(QUESTION_SECONDS, deadline.remaining())).topics.get(topic)
    except KafkaException as error:
        client.poll(0)  # librdkafka calls error_cb from here
        client.login.check(doing, since=began)
        raise fault(error.args[0], doing) from error
    if description is None or PARTITION not in description.partitions:
        raise RefusedError(
            f"expected an offset topic {topic}, found none; run the provisioning action apply, which creates it",
            code=NO_SUCH_TOPIC,
        )
    wrong = faults(configured(client, topic, deadline), replicas=len(description.partitions[PARTITION].replicas))
    if wrong:
        raise ConfigurationError([f"offset topic {topic}: {mistake}" for mistake in wrong])


def faults(configuration: Mapping[str, str], *, replicas: int) -> list[str]:
    """Return the faults of a topic's configuration; unknown properties count as right."""
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
            "expected unclean.leader.election.enable false, found true: an election could lose acknowledged records; "
            "change it"
        )
    return wrong


def configured(client: AdminClient, topic: str, deadline: Deadline) -> dict[str, str]:
    """Return the topic's configuration; an empty one if the brokers don't answer."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    answers = client.describe_configs([resource], request_timeout=min(ANSWERLESS_SECONDS, deadline.remaining()))
    try:
        entries = answers[resource].result(QUESTION_SECONDS)
    except KafkaException as error:
        if error.args[0].code() in UNANSWERED:
            return {}
        raise fault(error.args[0], f"asking for the configuration of topic {topic}") from error
    return {name: entry.value for name, entry in entries.items() if entry.value is not None}
