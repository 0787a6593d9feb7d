"""AliKafka's part of an account's state: the instances, and the data about topics and groups that the broker lacks."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal

import msgspec

IN_SERVICE = 2
"""The ViewInstanceStatusCode of an instance in service."""
MANY = 100_000
"""A quota that is never reached, for an instance whose broker has an unknown number of topics."""
_EPOCH = datetime(2020, 11, 17, tzinfo=timezone.utc)


class Topic(msgspec.Struct):
    """A topic: `config` as CreateTopic had it; `polls` more GetTopicList calls show the topic as not running yet."""

    name: str
    remark: str
    partitions: int
    created: datetime
    local: bool = False
    compact: bool = False
    replicas: int = 3
    config: dict[str, str] = {}
    tags: dict[str, str] = {}
    polls: int = 0
    automatic: bool = False


class Group(msgspec.Struct):
    """A consumer group; `automatic` if a consumer created it by joining."""

    name: str
    created: datetime
    remark: str = ""
    tags: dict[str, str] = {}
    automatic: bool = False


class KafkaInstance(msgspec.Struct):
    """A Kafka instance; its endpoint is the local cloud's one broker.

    Fields:
        series: v2 (reserved), v3 (serverless) or confluent.
        spec: normal (the Standard edition), professional or professionalForHighRead.
        version: the version of Apache Kafka.
        status: ViewInstanceStatusCode; 2 means in service.
        topic_limit, partition_limit, group_limit: quotas.
    """

    id: str
    name: str = "local"
    region: str = "cn-hangzhou"
    zone: str = "cn-hangzhou-b"
    series: Literal["v2", "v3", "confluent"] = "v2"
    spec: str = "professional"
    version: str = "2.6.2"
    status: int = IN_SERVICE
    vpc: str = "vpc-local"
    vswitch: str = "vsw-local"
    security_group: str = "sg-local"
    deploy_type: int = 5
    topic_limit: int = 50
    partition_limit: int = 1000
    group_limit: int = 100
    auto_topics: bool = False
    auto_topic_partitions: int = 12
    auto_groups: bool = True
    created: datetime = _EPOCH
    topics: dict[str, Topic] = {}
    groups: dict[str, Group] = {}

    @property
    def serverless(self) -> bool:
        """Whether the instance is serverless: it has wider rules for names, and no choice of storage."""
        return self.series == "v3"

    @property
    def has_local_storage(self) -> bool:
        """Whether a topic may be on local storage: only in reserved Professional editions."""
        return self.series == "v2" and self.spec.startswith("professional")

    @property
    def made_before_local_topics(self) -> bool:
        """Whether the version is 0.10.2, which has local topics only by automatic creation."""
        return self.version.startswith("0.10")


class Kafka(msgspec.Struct):
    """The instances, by their ids."""

    instances: dict[str, KafkaInstance] = {}
