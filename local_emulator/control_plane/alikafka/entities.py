"""What AliKafka keeps of an account: instances, and what isn't in the broker of their topics and groups."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal

import msgspec

IN_SERVICE = 2
"""Of ViewInstanceStatusCode."""
MANY = 100_000
"""A quota that is never reached, for an instance whose broker has who knows how many topics."""
_EPOCH = datetime(2020, 11, 17, tzinfo=timezone.utc)


class Topic(msgspec.Struct):
    """A topic; `config` as it was given, `polls` are left until it is found running."""

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
    """A consumer group; `automatic` if nobody asked for it but a consumer."""

    name: str
    created: datetime
    remark: str = ""
    tags: dict[str, str] = {}
    automatic: bool = False


class KafkaInstance(msgspec.Struct):
    """An instance, whose endpoint is that of the local cloud's one broker.

    Fields:
        series: v2 reserved, v3 serverless, confluent.
        spec: normal is the Standard edition; professional, professionalForHighRead.
        version: of the open-source Kafka.
        status: ViewInstanceStatusCode; 2 is in service.
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
        """Whether it has the wider rules of names, and no choice of storage."""
        return self.series == "v3"

    @property
    def has_local_storage(self) -> bool:
        """Whether a topic may be on local storage: reserved Professional editions alone."""
        return self.series == "v2" and self.spec.startswith("professional")

    @property
    def made_before_local_topics(self) -> bool:
        """Version 0.10.2 makes local topics by auto-creation only."""
        return self.version.startswith("0.10")


class Kafka(msgspec.Struct):
    """All instances, by their ids."""

    instances: dict[str, KafkaInstance] = {}
