"""The connector's own topics (D10-D15), if the service's API creates them."""

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
"""Topic-partitions of a new topic, by purpose.

The document wants more than one for the offset topic and exactly one for the config topic; it advises six otherwise."""
LOCAL = frozenset({"offset", "config", "status"})
"""Topics that need local storage and compaction; compaction would drop dead letters."""
RUNNING = "0"
PAGE = 100


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the service has it; `running`: it can be used.

    `empty`: the topic has certainly never held a record. It is determined only for a topic that can't be used as it is.
    """

    partitions: int
    local: bool
    compact: bool
    running: bool
    empty: bool = False


@dataclass(frozen=True, slots=True)
class OwnTopic(Resource[StateT]):
    """A topic of the connector, whether the service or the brokers create it."""

    name: str
    purpose: Purpose

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"topic {self.name}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True


@dataclass(frozen=True, slots=True)
class Topic(OwnTopic[TopicState]):
    """A topic that the service creates."""

    connector: str
    instance: str
    region: str

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        storage = "local storage and log cleanup policy compact" if self.purpose in LOCAL else "any storage"
        return f"create the {self.purpose} topic {self.name}: {PARTITIONS[self.purpose]} topic-partitions, {storage}"

    def look(self, cloud: Cloud) -> TopicState | None:
        """Return the topic as the service has it; None if it doesn't exist."""
        state = find(cloud, self.instance, self.region, self.name)
        if state is None or all(difference.remedy == "wait" for difference in self.compare(state)):
            return state
        return replace(state, empty=is_surely_empty(cloud, self.name))

    def compare(self, state: TopicState) -> tuple[Difference, ...]:
        """Return why the topic can't be used. Only a topic without a record is created again: records would be lost."""
        remedy, advice = recreation(empty=state.empty)
        checks = [
            ("local storage", state.local, True, self.purpose in LOCAL and not state.local),
            ("compacted", state.compact, self.purpose in LOCAL, state.compact != (self.purpose in LOCAL)),
            ("topic-partitions", state.partitions, 1, self.purpose == "config" and state.partitions != 1),
            ("topic-partitions", state.partitions, "more than 1", self.purpose == "offset" and state.partitions < 2),  # noqa: PLR2004
        ]
        wrong = [Difference(field, has, wants, remedy, advice) for field, has, wants, differs in checks if differs]
        if not state.running:
            wrong.append(Difference("status", "not running yet", "running", "wait"))
        return tuple(wrong)

    def make(self, cloud: Cloud) -> None:
        """Request the creation."""
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

    def change(self, cloud: Cloud, state: TopicState) -> None:  # noqa: ARG002 # required by `Resource`
        """Delete the topic if it's still empty; the next step creates it again."""
        refuse_unless_empty(cloud, self.name)
        self.remove(cloud)

    def remove(self, cloud: Cloud) -> None:
        """Remove the topic with its records."""
        parameters = {"RegionId": self.region, "InstanceId": self.instance, "Topic": self.name}
        cloud.control.find(DELETE_TOPIC, parameters)


def is_surely_empty(cloud: Cloud, name: str) -> bool:
    """Return whether the brokers report that a topic has never held a record; False if they can't be asked."""
    try:
        return brokers.is_empty(cloud, name)
    except BatchError:
        return False


def recreation(*, empty: bool) -> tuple[Remedy, str]:
    """Return the remedy and the advice for a topic that can't be used as it is."""
    if empty:
        return "change", "the topic has never held a record, so apply deletes it and creates it again"
    return "by hand", "the topic may hold records; create it again yourself, or name another one in the settings"


def refuse_unless_empty(cloud: Cloud, name: str) -> None:
    """Check a topic again before its deletion; raises `RefusedError` if a record has come meanwhile."""
    if not brokers.is_empty(cloud, name):
        raise RefusedError(f"topic {name} isn't empty any more, so it wasn't deleted; plan again", code="NotEmpty")


def own_topics(settings: Settings) -> tuple[Topic, ...]:
    """Return the connector's topics: five, or four if dead letters and error data share a topic."""
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
    """Return a topic of an instance; None if it doesn't exist.

    The service's filter may be fuzzy, so names are compared here, page by page.
    """
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
