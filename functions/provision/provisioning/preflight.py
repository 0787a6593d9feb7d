"""The conditions for the first change; every fault at once. Pure: `preflight_facts` reads the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.endpoint import locate
from kafka_maxcompute.settings.advice import advice
from kafka_maxcompute.settings.settings import PREFIX, SETTINGS, Settings
from provisioning import network
from provisioning.connector_resources import stream
from provisioning.resources.broker_group import BrokerGroup
from provisioning.resources.broker_topics import BrokerTopic
from provisioning.resources.event_stream import EventStream
from provisioning.resources.group import Group
from provisioning.resources.topics import LOCAL, PARTITIONS, Topic, own_topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provisioning.preflight_facts import Facts
    from provisioning.request import Request
    from provisioning.step import Step

IN_SERVICE = frozenset({"2", "4"})
"""ViewInstanceStatusCode: in service, and in service but expiring soon (alibabacloud_alikafka20190916 2.16.0)."""
STATUS_WORDS = {"0": "pending", "1": "deploying", "3": "stopped", "5": "expired", "6": "released", "7": "upgrading"}
OLD_VERSION = "0.10.2"
STANDARD, SERVERLESS = "normal", "v3"


def faults(request: Request, facts: Facts, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return every fault that keeps the connector from being set up, besides the faults of single steps."""
    return tuple(
        fault
        for check in (_account, _instance, _switch, _stream, _editions, _quota, _source, _rights, _topics, _function)
        for fault in check(request, facts, steps)
    )


def warnings(request: Request, facts: Facts) -> tuple[str, ...]:
    """Return a line for each setting that works, but that its user should know about."""
    settings, lines = request.settings, [*advice(request.settings)]
    if facts.source is not None and settings.concurrency > facts.source.partitions:
        idle = settings.concurrency - facts.source.partitions
        has = f"{settings.source_topic} has {facts.source.partitions} topic-partitions"
        lines.append(f"concurrency is {settings.concurrency}, but {has}: {idle} consumers stay idle")
    switches = network.switches(facts.instance)
    if settings.vswitch_id and switches and settings.vswitch_id not in switches:
        lines.append(f"vswitch_id {settings.vswitch_id} isn't one of the instance's ({', '.join(sorted(switches))})")
    if network.is_foreign(settings):
        lines.append(f"the stream isn't made here: {stream(request).made_by_hand}")
    return tuple(lines)


def _account(request: Request, facts: Facts, _: Sequence[Step]) -> Iterator[str]:
    if request.settings.account_id and request.settings.account_id != facts.account:
        mismatch = f"expected {request.settings.account_id}, but the caller's account is {facts.account}"
        yield f"account_id: {mismatch}; use the keys of the right account, or leave account_id out"


def _instance(request: Request, facts: Facts, _: Sequence[Step]) -> Iterator[str]:
    settings, instance = request.settings, facts.instance
    if network.is_foreign(settings):
        return
    if not settings.instance_id:
        yield "instance_id isn't set; set it to the id of the Kafka instance"
    elif not instance:
        if not facts.unknown:
            missing = f"no Kafka instance {settings.instance_id} in {settings.region}"
            yield f"instance_id: {missing}; fix instance_id or region, which has to be the function's too"
    else:
        status = str(instance.get("ViewInstanceStatusCode", ""))
        if status and status not in IN_SERVICE:
            shown = STATUS_WORDS.get(status, f"in status {status}")
            yield f"instance {settings.instance_id}: expected it in service, found it {shown}; start or renew it"
        if settings.vpc_id and instance.get("VpcId") and settings.vpc_id != instance["VpcId"]:
            yield f"vpc_id: {settings.vpc_id} isn't the instance's, {instance['VpcId']}; leave it out, or fix it"


def _switch(request: Request, facts: Facts, _: Sequence[Step]) -> Iterator[str]:
    """The vSwitch has to be in the instance's VPC, even if the instance doesn't list the vSwitch (D07)."""
    settings, listed = request.settings, network.switches(facts.instance)
    if settings.vswitch_id in {"", *listed} or not facts.instance or facts.unknown:
        return
    wanted, has = facts.instance.get("VpcId"), facts.switch.get("VpcId")
    if not facts.switch:
        yield f"vswitch_id: no vSwitch {settings.vswitch_id} in {settings.region}; fix it, or leave it out"
    elif wanted and has != wanted:
        mismatch = f"{settings.vswitch_id} is in {has}, expected one in the instance's {wanted}"
        yield f"vswitch_id: {mismatch}; fix it, or leave it out"


def _stream(request: Request, facts: Facts, steps: Sequence[Step]) -> Iterator[str]:
    """An event stream that reaches the brokers through a VPC needs a vSwitch and a security group in the VPC."""
    resource, settings = stream(request), request.settings
    sent = any(step.resource == resource and step.do in {"create", "change"} for step in steps)
    if not settings.vpc_id or not isinstance(resource, EventStream) or not sent:
        return
    if not settings.vswitch_id:
        known = ", ".join(network.switches(facts.instance)) or "none"
        yield f"vswitch_id: an event stream in {settings.vpc_id} needs a vSwitch, found none; the instance has {known}"
    if not request.security_group:
        yield (
            f"security_group: an event stream in {settings.vpc_id} needs the id of a security group, and neither the "
            "event nor the instance names one; set it in the event"
        )


def _editions(request: Request, facts: Facts, steps: Sequence[Step]) -> Iterator[str]:
    """Not every version and edition of an instance offers local storage (D14)."""
    created = _created_topics(steps)
    local = [topic.name for topic in own_topics(request.settings) if topic.purpose in LOCAL and topic.name in created]
    if not local:
        return
    version = str((facts.instance.get("UpgradeServiceDetailInfo") or {}).get("Current2OpenSourceVersion", ""))
    names = ", ".join(local)
    if version.startswith(OLD_VERSION):
        remedy = "upgrade the instance, or let automatic topic creation make them and set resource_creation: manual"
        yield f"topics {names} need local storage, which can't be created by hand on version {OLD_VERSION}; {remedy}"
    if facts.instance.get("SpecType") == STANDARD and facts.instance.get("Series") != SERVERLESS:
        yield f"topics {names} need local storage; the Standard edition has cloud storage only; take a Professional one"
    if facts.instance.get("Series") == SERVERLESS:
        yield f"topics {names} need local storage, which a serverless instance doesn't offer; take a Professional one"


def _created_topics(steps: Sequence[Step]) -> set[str]:
    """Return the names of topics that are to be created, by the service's API or by the brokers."""
    return {
        step.resource.name for step in steps if step.do == "create" and isinstance(step.resource, BrokerTopic | Topic)
    }


def _quota(request: Request, facts: Facts, steps: Sequence[Step]) -> Iterator[str]:
    created = _created_topics(steps)
    topics = [topic for topic in own_topics(request.settings) if topic.name in created]
    groups = sum(step.do == "create" and isinstance(step.resource, BrokerGroup | Group) for step in steps)
    needed = {
        "Topic": len(topics),
        "Partition": sum(PARTITIONS[topic.purpose] for topic in topics),
        "Group": groups,
    }
    for kind, count in needed.items():
        available = facts.quota.get(f"{kind}Left")
        if available is not None and int(available) < count and count:
            what = {"Topic": "topics", "Partition": "topic-partitions", "Group": "groups"}[kind]
            room = f"expected room for {count} {what}, found {available}"
            yield f"instance {request.settings.instance_id}: {room}; raise the instance's quota"


def _source(request: Request, facts: Facts, _: Sequence[Step]) -> Iterator[str]:
    settings = request.settings
    where = settings.bootstrap_servers if settings.control == "admin" else settings.instance_id
    if (
        facts.source is None
        and (facts.instance or network.is_foreign(settings))
        and not (facts.unknown or facts.reached.error)
    ):
        yield f"source_topic: no topic {settings.source_topic} in {where}; create it, or fix source_topic"


def _rights(request: Request, facts: Facts, _: Sequence[Step]) -> Iterator[str]:
    """Brokers with ACLs have to allow the functions' operations."""
    for right in facts.reached.lacking:
        yield f"the brokers don't allow {request.settings.sasl_username} {right}; add an ACL for it"


def _topics(_request: Request, facts: Facts, _steps: Sequence[Step]) -> Iterator[str]:
    """Brokers may refuse to create a topic: by a policy or a limit, or because their version lacks the request."""
    yield from facts.refused_topics


def _function(request: Request, facts: Facts, _: Sequence[Step]) -> Iterator[str]:
    """The sink function has to exist, with the same settings, role and VPC."""
    function, settings, name = facts.function, request.settings, request.function
    if not function:
        if not facts.unknown:
            yield f"function {name} doesn't exist; deploy it: s deploy -t template.yml"
        return
    role = str(function.get("role") or "").rpartition("/")[2]
    if role.lower() != settings.role.lower():
        yield f"function {name}: expected the role {settings.role}, found {role or 'none'}; fix template.yml or role"
    needed = [
        what
        for what, inside in (
            ("endpoint", locate(settings.endpoint).network == "vpc"),
            ("bootstrap_servers", network.inside(settings.bootstrap_servers)),
        )
        if inside
    ]
    has = (function.get("vpcConfig") or {}).get("vpcId")
    if needed and not has:
        remedy = "run make bootstrap, which sets the variables that template.yml makes it of, and deploy"
        yield f"function {name} has no vpcConfig, but {' and '.join(needed)} can be reached in a VPC only; {remedy}"
    elif "bootstrap_servers" in needed and has != facts.instance.get("VpcId", has):
        mismatch = f"is in {has}, but the brokers are in {facts.instance['VpcId']}"
        yield f"function {name} {mismatch}; fix CONNECTOR_VPC_ID, VSWITCH_IDS and SECURITY_GROUP_ID, and deploy"
    yield from _function_settings(function, settings, name)


def _function_settings(function: dict[str, Any], settings: Settings, name: str) -> Iterator[str]:
    """Yield each setting of the function that differs: another value type, for one, would silently corrupt values."""
    try:
        deployed = Settings.from_environment(function.get("environmentVariables") or {})
    except ConfigurationError as error:
        yield from (f"function {name}: {fault}" for fault in error.faults)
        return
    # The sink uses neither setting; template.yml has the instance of an example if the user has none.
    ignored = {"account_id", "instance_id"} if network.is_foreign(settings) else {"account_id"}
    for field in SETTINGS:
        has, wants = getattr(deployed, field), getattr(settings, field)
        if has != wants and field not in ignored:
            yield (
                f"function {name}: its {PREFIX}{field.upper()} is {has!r}, here {field} is {wants!r}; "
                "deploy the function again, or fix the setting here"
            )
