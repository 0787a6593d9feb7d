"""AliKafka's actions on instances; the program that starts the local cloud adds the instances themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local_emulator.control_plane.alikafka import cluster
from local_emulator.control_plane.alikafka.entities import IN_SERVICE, Kafka, KafkaInstance, Topic
from local_emulator.control_plane.alikafka.topic_rules import number, wrong
from local_emulator.control_plane.errors import ApiError

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call
    from local_emulator.kafka.broker import Broker

AUTOMATIC_REMARK = "auto created by admin-client"
_OLD_STATUS = {0: 0, 1: 1, IN_SERVICE: 5, 5: 15, 6: 10, 7: 7, 8: 6, 30: 30}
"""The deprecated ServiceStatus by ViewInstanceStatusCode."""
_PAID = {"v2": 0, "v3": 3, "confluent": 4}
_MOST_PARTITIONS = 360


def success(**fields: object) -> dict[str, object]:
    """Return a successful answer in the product's envelope."""
    return {"Code": 200, "Success": True, "Message": "operation success.", **fields}


def existing_instance(call: Call, *, working: bool = True) -> KafkaInstance:
    """Return the instance that a call names.

    ApiError AUTH_RESOURCE_OWNER_ERROR if the account has no such instance in the region; BIZ_INSTANCE_STATUS_ERROR if
    `working` is required and the instance isn't in service.
    """
    name, region = call.required("InstanceId"), call.text("RegionId", call.rules.region)
    instance = call.state.part(Kafka).instances.get(name)
    if instance is None or instance.region != region:
        raise ApiError(400, "AUTH_RESOURCE_OWNER_ERROR", f"You have no instance {name} in {region}.")
    if working and instance.status != IN_SERVICE:
        raise ApiError(
            400,
            "BIZ_INSTANCE_STATUS_ERROR",
            f"The instance {name} is not in service: expected ViewInstanceStatusCode {IN_SERVICE}, "
            f"found {instance.status}.",
        )
    return instance


def instance_topics(call: Call, instance: KafkaInstance) -> dict[str, Topic]:
    """Return an instance's topics by name: those from CreateTopic, and those that clients created in the broker.

    The broker's list decides, because clients may also delete and widen topics in the broker.
    """
    broker = call.surroundings.broker
    if broker is None:
        return dict(instance.topics)
    sizes = cluster.sizes(broker)
    known = {name for other in call.state.part(Kafka).instances.values() for name in other.topics}
    unknown = [name for name in sizes if name not in known]
    compacted = cluster.compacted(broker, unknown)
    automatic = {
        # Only topics on local storage are compacted.
        name: Topic(
            name,
            AUTOMATIC_REMARK,
            sizes[name],
            instance.created,
            local=name in compacted,
            compact=name in compacted,
            automatic=True,
        )
        for name in unknown
    }
    created = {name: topic for name, topic in instance.topics.items() if name in sizes}
    for name, topic in created.items():
        topic.partitions = sizes[name]
    return {**created, **automatic}


def list_instances(call: Call) -> dict[str, object]:
    """GetInstanceList."""
    region, ids, series = call.required("RegionId"), call.items("InstanceId"), call.text("Series")
    listed = [
        _shown(call, instance)
        for name, instance in call.state.part(Kafka).instances.items()
        if instance.region == region and (not ids or name in ids) and series in {"", instance.series}
    ]
    return success(InstanceList={"InstanceVO": listed})


def show_quota(call: Call) -> dict[str, object]:
    """GetQuotaTip."""
    instance = existing_instance(call, working=False)
    topics = instance_topics(call, instance)
    used, partitions = len(topics), sum(topic.partitions for topic in topics.values())
    return success(
        QuotaData={
            "TopicQuota": instance.topic_limit,
            "TopicUsed": used,
            "TopicLeft": instance.topic_limit - used,
            "PartitionQuota": instance.partition_limit,
            "PartitionUsed": partitions,
            "PartitionLeft": instance.partition_limit - partitions,
            "GroupUsed": len(instance.groups),
            "GroupLeft": instance.group_limit - len(instance.groups),
            "IsPartitionBuy": 1,
            "TopicNumOfBuy": instance.topic_limit,
            "PartitionNumOfBuy": instance.partition_limit,
        }
    )


def set_automatic_topics(call: Call) -> dict[str, object]:
    """EnableAutoTopicCreation: only store the setting; the broker's configuration decides about automatic topics."""
    call.required("RegionId")
    instance, operation = existing_instance(call), call.required("Operate")
    if operation not in {"enable", "disable", "updatePartition"}:
        raise wrong("Operate", "enable, disable or updatePartition", operation)
    if operation == "updatePartition" or call.flag("UpdatePartition"):
        default = str(instance.auto_topic_partitions)
        instance.auto_topic_partitions = number(call, "PartitionNum", default, 1, _MOST_PARTITIONS)
    if operation != "updatePartition":
        instance.auto_topics = operation == "enable"
    return success()


def _shown(call: Call, instance: KafkaInstance) -> dict[str, object]:
    topics = instance_topics(call, instance)
    return {
        "InstanceId": instance.id,
        "Name": instance.name,
        "RegionId": instance.region,
        "ZoneId": instance.zone,
        "VpcId": instance.vpc,
        "VSwitchId": instance.vswitch,
        "VSwitchIds": {"VSwitchIds": [instance.vswitch]},
        "SecurityGroup": instance.security_group,
        **_endpoints(call.surroundings.broker, instance),
        "DeployType": instance.deploy_type,
        "SpecType": instance.spec,
        "Series": instance.series,
        "PaidType": _PAID[instance.series],
        "UpgradeServiceDetailInfo": {"Current2OpenSourceVersion": instance.version},
        "ViewInstanceStatusCode": instance.status,
        "ServiceStatus": _OLD_STATUS.get(instance.status, 0),
        "TopicNumLimit": instance.topic_limit,
        "UsedTopicCount": len(topics),
        "UsedPartitionCount": sum(topic.partitions for topic in topics.values()),
        "UsedGroupCount": len(instance.groups),
        "DefaultPartitionNum": instance.auto_topic_partitions,
        "AutoCreateTopicEnable": instance.auto_topics,
        "AutoCreateGroupEnable": instance.auto_groups,
        "AllConfig": json.dumps(
            {"enable.acl": "false", "enable.vpc_sasl_ssl": "false", "kafka.log.retention.hours": "72"}
        ),
        "MsgRetain": 72,
        "CreateTime": milliseconds(instance.created.timestamp()),
        "Tags": {"TagVO": []},
    }


def _endpoints(broker: Broker | None, instance: KafkaInstance) -> dict[str, str]:
    """Return the broker's endpoints, which have neither TLS nor SASL; none if the instance isn't in service."""
    if broker is None or instance.status != IN_SERVICE:
        return {}
    return {"EndPoint": broker.bootstrap_servers, "DomainEndpoint": broker.bootstrap_servers}


def milliseconds(seconds: float) -> int:
    """Return a time as answers show it."""
    return int(seconds * 1000)
