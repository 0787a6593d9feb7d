"""AliKafka 2019-09-16: the actions, with the permission and the resource that each needs."""

from __future__ import annotations

from types import MappingProxyType

from local_emulator.control_plane.alikafka import groups, instances, topics
from local_emulator.control_plane.dispatch import Action, Product

_INSTANCE = "acs:alikafka:{region}:{account}:{InstanceId}"
_INSTANCES = "acs:alikafka:{region}:{account}:*"

PRODUCT = Product(
    "AliKafka",
    "2019-09-16",
    MappingProxyType(
        {
            "GetInstanceList": Action(instances.list_instances, "alikafka:ListInstance", _INSTANCES),
            "GetQuotaTip": Action(instances.show_quota, "alikafka:ListInstance", _INSTANCE),
            "EnableAutoTopicCreation": Action(instances.set_automatic_topics, "alikafka:UpdateInstance", _INSTANCE),
            "CreateTopic": Action(topics.create, "alikafka:CreateTopic", _INSTANCE),
            "GetTopicList": Action(topics.list_topics, "alikafka:ListTopic", _INSTANCE),
            "GetTopicStatus": Action(topics.show_status, "alikafka:ListTopic", _INSTANCE),
            "DeleteTopic": Action(topics.delete, "alikafka:DeleteTopic", _INSTANCE),
            "ModifyPartitionNum": Action(topics.widen, "alikafka:UpdateTopic", _INSTANCE),
            "CreateConsumerGroup": Action(groups.create, "alikafka:CreateGroup", _INSTANCE),
            "GetConsumerList": Action(groups.list_groups, "alikafka:ListGroup", _INSTANCE),
            "GetConsumerProgress": Action(groups.show_progress, "alikafka:ListGroup", _INSTANCE),
            "DeleteConsumerGroup": Action(groups.delete, "alikafka:DeleteGroup", _INSTANCE),
            "UpdateConsumerOffset": Action(groups.move, "alikafka:UpdateGroup", _INSTANCE),
        }
    ),
)
