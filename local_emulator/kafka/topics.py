"""Waits for a broker, creates missing topics and counts topic-partitions, with the admin protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from local_emulator.kafka.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    TopicPartition: TypeAlias = tuple[str, int]
    """Topic and number of a topic-partition."""

REQUEST_SECONDS = 10.0


def client(bootstrap_servers: str) -> AdminClient:
    """Return an admin client that doesn't log connection warnings: callers get its exceptions."""
    return AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})


def await_broker(bootstrap_servers: str, seconds: float, while_waiting: Callable[[], None] | None = None) -> None:
    """Return when the broker answers a metadata request; raises BrokerError after so many seconds.

    `while_waiting` is called before each attempt and may raise to end the wait, such as when the broker's process died.
    """
    admin = client(bootstrap_servers)
    attempts = Retrying(
        retry=retry_if_exception_type(KafkaException),
        stop=stop_after_delay(seconds),
        wait=wait_random(0.05, 0.2),
        before=lambda _: while_waiting() if while_waiting else None,
        reraise=True,
    )
    try:
        attempts(admin.list_topics, timeout=2)
    except KafkaException as error:
        raise BrokerError(
            f"no Kafka broker answered at {bootstrap_servers} within {seconds:.0f} s ({_reason(error)}); "
            "check the address, and that the broker advertises an address that can be reached from here"
        ) from error


def create_missing(bootstrap_servers: str, topics: Mapping[str, int]) -> None:
    """Create the missing topics with these numbers of topic-partitions; existing topics stay unchanged."""
    if not topics:
        return
    admin = client(bootstrap_servers)  # kept until all futures are done: they end with their client
    futures = admin.create_topics(
        [NewTopic(name, num_partitions=partitions, replication_factor=1) for name, partitions in topics.items()],
        operation_timeout=REQUEST_SECONDS,
        request_timeout=REQUEST_SECONDS,
    )
    for name, future in futures.items():
        error = future.exception(timeout=2 * REQUEST_SECONDS)
        if isinstance(error, KafkaException) and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            continue
        if error is not None:
            raise BrokerError(
                f"the broker at {bootstrap_servers} refused to create topic {name} ({error}); "
                "create it there by hand and start again"
            ) from error


def count_partitions(bootstrap_servers: str, topic: str) -> int:
    """Return the number of a topic's topic-partitions; raises BrokerError if the topic doesn't exist."""
    try:
        # All topics are requested: a request for one topic would create it in the embedded broker.
        metadata = client(bootstrap_servers).list_topics(timeout=REQUEST_SECONDS).topics.get(topic)
    except KafkaException as error:
        raise BrokerError(f"the broker at {bootstrap_servers} didn't describe its topics ({_reason(error)})") from error
    if metadata is None or not metadata.partitions:
        raise BrokerError(f"there is no topic {topic} at {bootstrap_servers}; create it, or check its name")
    return len(metadata.partitions)


def _reason(error: KafkaException) -> str:
    return str(error.args[0].str())
