"""AliKafka's actions on instances; instances themselves are made by whoever starts the local cloud."""

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
"""ServiceStatus, which is deprecated, by ViewInstanceStatusCode."""
_PAID = {"v2": 0, "v3": 3, "confluent": 4}
_MOST_PARTITIONS = 360


def answered(**fields: object) -> dict[str, object]:
    """An answer in the product's envelope."""
    return {"Code": 200, "Success": True, "Message": "operation success.", **fields}


def find(call: Call, *, working: bool = True) -> KafkaInstance:
    """The instance that a call is about.

    ApiError AUTH_RESOURCE_OWNER_ERROR if the account has none of that id in that region, BIZ_INSTANCE_STATUS_ERROR if
    it has to be `working` and isn't in service.
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


def topics_of(call: Call, instance: KafkaInstance) -> dict[str, Topic]:
    """All topics of an instance by name: those that were asked for, and those that clients made in the broker.

    What the broker has is what counts: clients may delete and widen topics there as well.
    """
    broker = call.surroundings.broker
    if broker is None:
        return dict(instance.topics)
    found = cluster.sizes(broker)
    known = {name for other in call.state.part(Kafka).instances.values() for name in other.topics}
    unasked = [name for name in found if name not in known]
    compacted = cluster.compacted(broker, unasked)
    automatic = {
        # Compacted topics are those on local storage.
        name: Topic(
            name,
            AUTOMATIC_REMARK,
            found[name],
            instance.created,
            local=name in compacted,
            compact=name in compacted,
            automatic=True,
        )
        for name in unasked
    }
    asked = {name: topic for name, topic in instance.topics.items() if name in found}
    for name, topic in asked.items():
        topic.partitions = found[name]
    return {**asked, **automatic}


def list_instances(call: Call) -> dict[str, object]:
    """GetInstanceList."""
    region, wanted, series = call.required("RegionId"), call.items("InstanceId"), call.text("Series")
    found = [
        _shown(call, instance)
        for name, instance in call.state.part(Kafka).instances.items()
        if instance.region == region and (not wanted or name in wanted) and series in {"", instance.series}
    ]
    return answered(InstanceList={"InstanceVO": found})


def show_quota(call: Call) -> dict[str, object]:
    """GetQuotaTip."""
    instance = find(call, working=False)
    topics = topics_of(call, instance)
    used, partitions = len(topics), sum(topic.partitions for topic in topics.values())
    return answered(
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
    """EnableAutoTopicCreation. It is kept and shown; whether the broker makes topics is the broker's."""
    call.required("RegionId")
    instance, operation = find(call), call.required("Operate")
    if operation not in {"enable", "disable", "updatePartition"}:
        raise wrong("Operate", "enable, disable or updatePartition", operation)
    if operation == "updatePartition" or call.flag("UpdatePartition"):
        default = str(instance.auto_topic_partitions)
        instance.auto_topic_partitions = number(call, "PartitionNum", default, 1, _MOST_PARTITIONS)
    if operation != "updatePartition":
        instance.auto_topics = operation == "enable"
    return answered()


def _shown(call: Call, instance: KafkaInstance) -> dict[str, object]:
    topics = topics_of(call, instance)
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
    """The broker's, without TLS or SASL, for those are all that it has; none of an instance that isn't in service."""
    if broker is None or instance.status != IN_SERVICE:
        return {}
    return {"EndPoint": broker.bootstrap_servers, "DomainEndpoint": broker.bootstrap_servers}


def milliseconds(seconds: float) -> int:
    """A time in an answer."""
    return int(seconds * 1000)
