"""Where AliKafka's behaviour isn't known: what this one does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KafkaAssumptions:
    """Answers that no source settles.

    Fields:
        creating_polls: how often GetTopicList finds a new topic not running yet.
        fuzzy_filters: whether the name that a list is filtered by may be a part of what is found.
        topic_exists, group_exists: codes of a second create; these are the sibling product RocketMQ's.
    """

    creating_polls: int = 1
    fuzzy_filters: bool = True
    topic_exists: str = "BIZ_TOPIC_EXISTED"
    group_exists: str = "BIZ_SUBSCRIPTION_EXISTED"
