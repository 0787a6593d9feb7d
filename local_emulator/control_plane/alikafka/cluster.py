"""What AliKafka does in the broker: topics, their offsets, and the offsets of groups.

The embedded broker can't delete or widen topics, nor forget what a group has committed; see the functions.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, OffsetSpec, ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random

from local_emulator.control_plane.errors import ApiError
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.errors import BrokerError
