"""The emulator's choices for behaviour of AliKafka that isn't known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KafkaAssumptions:
    """Behaviour that no source documents.

    Fields:
        creating_polls: how many GetTopicList calls show a new topic as not running yet.
        fuzzy_filters: whether a list's filter also matches a part of a name.
        topic_exists, group_exists: error codes of a second create; the defaults are those of RocketMQ, a sibling.
    """

    creating_polls: int = 1
    fuzzy_filters: bool = True
    topic_exists: str = "BIZ_TOPIC_EXISTED"
    group_exists: str = "BIZ_SUBSCRIPTION_EXISTED"
