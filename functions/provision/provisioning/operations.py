"""Every call that provisioning makes to the cloud's control plane, and the permission that each call needs.

Parameters, versions and hosts are those of the official SDKs (alibabacloud_ram20150501 1.3.0, _sts20150401 1.2.0,
_alikafka20190916 2.16.0, _eventbridge20200401 8.7.0, _fc20230330 4.8.3, _vpc20160428 7.2.2). The least policy is built
from this list, so a call that isn't in the list isn't allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.control.operation import Operation, Product, filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RAM = Product("2015-05-01", "ram.aliyuncs.com", "query")
STS = Product("2015-04-01", "sts.{region}.aliyuncs.com", "query")
KAFKA = Product("2019-09-16", "alikafka.{region}.aliyuncs.com", "query")
EVENTBRIDGE = Product("2020-04-01", "eventbridge-console.{region}.aliyuncs.com", "form")
_CENTRAL = "vpc.aliyuncs.com"
# Among the regions that have all the needed services, the SDK has another host for these.
VPC = Product(
    "2016-04-28", "vpc.{region}.aliyuncs.com", "query", {"cn-hangzhou": _CENTRAL, "cn-shanghai-finance-1": _CENTRAL}
)
FUNCTIONS = Product("2023-03-30", "fcv3.{region}.aliyuncs.com", "path")

_ROLE = "acs:ram:*:{account}:role/{role}"
_INSTANCE = "acs:alikafka:{region}:{account}:{instance}"
_STREAMS = "acs:eventbridge:{region}:{account}:eventstreaming/"
_STREAM = f"{_STREAMS}{{stream}}"
_FUNCTION = "acs:fc:{region}:{account}:functions/{function}"
_TRIGGER = f"{_FUNCTION}/triggers/{{trigger}}"
_FUNCTION_PATH = "/2023-03-30/functions/{function}"
_TRIGGER_PATH = f"{_FUNCTION_PATH}/triggers/{{trigger}}"

GET_CALLER_IDENTITY = Operation(STS, "GetCallerIdentity")

GET_ROLE = Operation(RAM, "GetRole", "ram:GetRole", _ROLE)
GET_SERVICE_LINKED_ROLE = Operation(
    RAM, "GetRole", "ram:GetRole", "acs:ram:*:{account}:role/AliyunServiceRoleForEventBridge*"
)
CREATE_ROLE = Operation(RAM, "CreateRole", "ram:CreateRole", _ROLE)
UPDATE_ROLE = Operation(RAM, "UpdateRole", "ram:UpdateRole", _ROLE)
DELETE_ROLE = Operation(RAM, "DeleteRole", "ram:DeleteRole", _ROLE)
CREATE_SERVICE_LINKED_ROLE = Operation(
    RAM, "CreateServiceLinkedRole", "ram:CreateServiceLinkedRole", "acs:ram:*:{account}:role/*"
)

GET_INSTANCES = Operation(KAFKA, "GetInstanceList", "alikafka:ListInstance", "acs:alikafka:{region}:{account}:*")
GET_QUOTA = Operation(KAFKA, "GetQuotaTip", "alikafka:ListInstance", _INSTANCE)
GET_TOPICS = Operation(KAFKA, "GetTopicList", "alikafka:ListTopic", _INSTANCE)
CREATE_TOPIC = Operation(KAFKA, "CreateTopic", "alikafka:CreateTopic", _INSTANCE)
DELETE_TOPIC = Operation(KAFKA, "DeleteTopic", "alikafka:DeleteTopic", _INSTANCE)
GET_GROUPS = Operation(KAFKA, "GetConsumerList", "alikafka:ListGroup", _INSTANCE)
GET_PROGRESS = Operation(KAFKA, "GetConsumerProgress", "alikafka:ListGroup", _INSTANCE)
CREATE_GROUP = Operation(KAFKA, "CreateConsumerGroup", "alikafka:CreateGroup", _INSTANCE)
DELETE_GROUP = Operation(KAFKA, "DeleteConsumerGroup", "alikafka:DeleteGroup", _INSTANCE)

DESCRIBE_SWITCHES = Operation(VPC, "DescribeVSwitches", "vpc:DescribeVSwitches", "acs:vpc:{region}:{account}:vswitch/*")

GET_STREAM = Operation(EVENTBRIDGE, "GetEventStreaming", "eventbridge:GetEventStreaming", _STREAM)
GET_TRIGGERS_STREAM = Operation(
    EVENTBRIDGE,
    "GetEventStreaming",
    "eventbridge:GetEventStreaming",
    "acs:eventbridge:{region}:{account}:eventstreaming/*",
)
CREATE_STREAM = Operation(EVENTBRIDGE, "CreateEventStreaming", "eventbridge:CreateEventStreaming", _STREAM)
UPDATE_STREAM = Operation(EVENTBRIDGE, "UpdateEventStreaming", "eventbridge:UpdateEventStreaming", _STREAM)
START_STREAM = Operation(EVENTBRIDGE, "StartEventStreaming", "eventbridge:StartEventStreaming", _STREAM)
PAUSE_STREAM = Operation(EVENTBRIDGE, "PauseEventStreaming", "eventbridge:PauseEventStreaming", _STREAM)
DELETE_STREAM = Operation(EVENTBRIDGE, "DeleteEventStreaming", "eventbridge:DeleteEventStreaming", _STREAM)

GET_FUNCTION = Operation(FUNCTIONS, "GetFunction", "fc:GetFunction", _FUNCTION, "GET", _FUNCTION_PATH)
GET_TRIGGER = Operation(FUNCTIONS, "GetTrigger", "fc:GetTrigger", _TRIGGER, "GET", _TRIGGER_PATH)
UPDATE_TRIGGER = Operation(FUNCTIONS, "UpdateTrigger", "fc:UpdateTrigger", _TRIGGER, "PUT", _TRIGGER_PATH)

_POLICY = "acs:ram:*:{account}:policy/{policy}"
GET_POLICY = Operation(RAM, "GetPolicy", "ram:GetPolicy", _POLICY)
CREATE_POLICY = Operation(RAM, "CreatePolicy", "ram:CreatePolicy", _POLICY)
CREATE_POLICY_VERSION = Operation(RAM, "CreatePolicyVersion", "ram:CreatePolicyVersion", _POLICY)
ATTACH_POLICY = Operation(RAM, "AttachPolicyToRole", "ram:AttachPolicyToRole", _ROLE)
GET_POLICIES_OF_ROLE = Operation(RAM, "ListPoliciesForRole", "ram:ListPoliciesForRole", _ROLE)

BOOTSTRAP = (GET_POLICY, CREATE_POLICY, CREATE_POLICY_VERSION, ATTACH_POLICY, GET_POLICIES_OF_ROLE)
"""Operations that only `bootstrap` calls, with the keys of the person who sets the project up."""
OPERATIONS: tuple[Operation, ...] = tuple(
    value for value in list(vars().values()) if isinstance(value, Operation) and value not in BOOTSTRAP
)
"""Operations that the other actions call."""


def policy(operations: Iterable[Operation], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the RAM policy that allows exactly these operations.

    `names` fills in the names within the resources; a name that is missing becomes "*".
    """
    by_resource: dict[str, set[str]] = {}
    for operation in operations:
        if operation.permission:
            by_resource.setdefault(filled(operation.resource, names), set()).add(operation.permission)
    statements = [
        {"Effect": "Allow", "Action": sorted(permissions), "Resource": [resource]}
        for resource, permissions in sorted(by_resource.items())
    ]
    return {"Version": "1", "Statement": statements}
