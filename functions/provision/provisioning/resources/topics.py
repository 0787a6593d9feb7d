"""The connector's own topics (D10-D15)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from kafka_maxcompute.errors import BatchError, RefusedError
from provisioning import brokers
from provisioning.operations import CREATE_TOPIC, DELETE_TOPIC, GET_TOPICS
from provisioning.resource import Difference, Resource, StateT

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.cloud import Cloud
    from provisioning.resource import Remedy

Purpose = Literal["offset", "config", "status", "dead-letter", "error"]

PARTITIONS = {"offset": 6, "config": 1, "status": 6, "dead-letter": 6, "error": 6}
"""Topic-partitions of a topic that is made; the document wants more than one, exactly one, and advises six."""
LOCAL = frozenset({"offset", "config", "status"})
"""Whose storage has to be local and compacted; records for people to look at mustn't be compacted away."""
RUNNING = "0"
PAGE = 100


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the service has it; `running` is whether it can be used.

    `empty` is whether it's known that it has never held a record; asked only for a topic that can't be used as it is.
    """

    partitions: int
    local: bool
    compact: bool
    running: bool
    empty: bool = False


@dataclass(frozen=True, slots=True)
class OwnTopic(Resource[StateT]):
    """One topic of the connector, whoever makes it."""

    name: str
    purpose: Purpose

    @property
    def title(self) -> str:
        """What it is."""
        return f"topic {self.name}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True


@dataclass(frozen=True, slots=True)
class Topic(OwnTopic[TopicState]):
    """One that the service makes."""

    connector: str
    instance: str
    region: str

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        storage = "local storage and log cleanup policy compact" if self.purpose in LOCAL else "any storage"
        return f"create the {self.purpose} topic {self.name}: {PARTITIONS[self.purpose]} topic-partitions, {storage}"

    def look(self, cloud: Cloud) -> TopicState | None:
        """The topic as the service has it."""
        found = find(cloud, self.instance, self.region, self.name)
        if found is None or all(one.remedy == "wait" for one in self.compare(found)):
            return found
        return replace(found, empty=is_surely_empty(cloud, self.name))

    def compare(self, found: TopicState) -> tuple[Difference, ...]:
        """What can't be used; only a topic without a record is created again, for what is in it would be lost."""
        remedy, advice = recreation(empty=found.empty)
        checks = [
            ("local storage", found.local, True, self.purpose in LOCAL and not found.local),
            ("compacted", found.compact, self.purpose in LOCAL, found.compact != (self.purpose in LOCAL)),
            ("topic-partitions", found.partitions, 1, self.purpose == "config" and found.partitions != 1),
            ("topic-partitions", found.partitions, "more than 1", self.purpose == "offset" and found.partitions < 2),  # noqa: PLR2004
        ]
        wrong = [Difference(field, has, wants, remedy, advice) for field, has, wants, differs in checks if differs]
        if not found.running:
            wrong.append(Difference("status", "not running yet", "running", "wait"))
        return tuple(wrong)

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made."""
        local = self.purpose in LOCAL
        parameters = {
            "RegionId": self.region,
            "InstanceId": self.instance,
            "Topic": self.name,
            "Remark": f"kafka-maxcompute-{self.purpose}",
            "PartitionNum": PARTITIONS[self.purpose],
            "LocalTopic": local,
            "CompactTopic": local,
            "Tag.1.Key": "connector",
            "Tag.1.Value": self.connector,
        }
        cloud.control.call(CREATE_TOPIC, parameters)

    def change(self, cloud: Cloud, found: TopicState) -> None:  # noqa: ARG002 # of `Resource`; it is looked at once more
        """Delete it, if it's still empty; it's created again when it's gone."""
        refuse_unless_empty(cloud, self.name)
        self.remove(cloud)

    def remove(self, cloud: Cloud) -> None:
        """Remove it with what is in it; asked for by name only."""
        parameters = {"RegionId": self.region, "InstanceId": self.instance, "Topic": self.name}
        cloud.control.find(DELETE_TOPIC, parameters)


def is_surely_empty(cloud: Cloud, name: str) -> bool:
    """Whether the brokers say that a topic has never held a record; False if they can't be asked."""
    try:
        return brokers.is_empty(cloud, name)
    except BatchError:
        return False


def recreation(*, empty: bool) -> tuple[Remedy, str]:
    """What becomes of a topic that can't be used as it is, and what a plan says of that."""
    if empty:
        return "change", "the topic has never held a record, so apply deletes it and creates it again"
    return "by hand", "the topic may hold records; create it again yourself, or name another one in the settings"


def refuse_unless_empty(cloud: Cloud, name: str) -> None:
    """Look once more before a topic is deleted; raises `RefusedError` if a record has come meanwhile."""
    if not brokers.is_empty(cloud, name):
        raise RefusedError(f"topic {name} isn't empty any more, so it wasn't deleted; plan again", code="NotEmpty")


def own_topics(settings: Settings) -> tuple[Topic, ...]:
    """The connector's topics: five, or four where dead letters and error data share one."""
    names: dict[str, Purpose] = {
        settings.offset_topic: "offset",
        settings.config_topic: "config",
        settings.status_topic: "status",
        settings.dead_letter_topic: "dead-letter",
        settings.error_topic: "error",
    }
    return tuple(
        Topic(name, purpose, settings.name, settings.instance_id, settings.region) for name, purpose in names.items()
    )


def find(cloud: Cloud, instance: str, region: str, name: str) -> TopicState | None:
    """A topic of an instance; the service's filter may be fuzzy, so names are compared here, page by page."""
    page, seen = 1, 0
    while True:
        parameters = {"InstanceId": instance, "RegionId": region, "Topic": name, "CurrentPage": page, "PageSize": PAGE}
        answer = cloud.control.call(GET_TOPICS, parameters)
        listed = (answer.get("TopicList") or {}).get("TopicVO") or []
        for topic in listed:
            if topic["Topic"] == name:
                return _state(topic)
        page, seen = page + 1, seen + len(listed)
        if not listed or seen >= int(answer.get("Total") or 0):
            return None


def _state(topic: dict[str, Any]) -> TopicState:
    return TopicState(
        partitions=int(topic["PartitionNum"]),
        local=str(topic.get("LocalTopic", "")).lower() == "true",
        compact=str(topic.get("CompactTopic", "")).lower() == "true",
        running=str(topic.get("Status")) == RUNNING,
    )
