"""What is asked of the cloud before anything is planned; what can't be learned becomes a fault of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kafka_maxcompute.errors import BatchError
from provisioning import network, reachability
from provisioning.broker_configuration import find_instance
from provisioning.connector_resources import other_stream
from provisioning.operations import DESCRIBE_SWITCHES, GET_FUNCTION, GET_PROGRESS, GET_QUOTA
from provisioning.reachability import Reached
from provisioning.resources import topics
from provisioning.resources.broker_group import BrokerGroup
from provisioning.resources.broker_topics import broker_topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from provisioning.cloud import Cloud
    from provisioning.resource import StateT, Stream
    from provisioning.resources.topics import TopicState

Learned = TypeVar("Learned")
NOTHING: dict[str, Any] = {}
"""A description of what isn't there, or couldn't be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found.

    `instance`, `quota` and `function` are as their services describe them, empty where there is none; so is `switch`,
    the settings' vSwitch where it isn't one of the instance's. `lag` is the group's records that nobody has read, None
    where it's unknown; `other_stream` whether the stream runs in the way that isn't asked for; `reached` is what the
    brokers themselves say, `refused_topics` why they wouldn't make topics that are missing; `unknown` says what
    couldn't be asked, and why.
    """

    account: str
    instance: dict[str, Any] = field(default_factory=dict)
    quota: dict[str, Any] = field(default_factory=dict)
    source: TopicState | None = None
    function: dict[str, Any] = field(default_factory=dict)
    switch: dict[str, Any] = field(default_factory=dict)
    other_stream: bool = False
    lag: int | None = None
    reached: Reached = field(default_factory=Reached)
    refused_topics: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class Asking:
    """Questions whose errors are kept instead of raised, each once."""

    faults: list[str] = field(default_factory=list)

    def learn(self, question: Callable[[], Learned], otherwise: Learned) -> Learned:
        """The answer, or `otherwise` with a fault."""
        try:
            return question()
        except BatchError as error:
            if str(error) not in self.faults:
                self.faults.append(str(error))
            return otherwise


def gather(cloud: Cloud) -> Facts:
    """Ask for all of it."""
    asking, settings = Asking(), cloud.request.settings
    place = {"RegionId": settings.region, "InstanceId": settings.instance_id}
    foreign, by_brokers = network.is_foreign(settings), settings.control == "admin"
    instance = {} if foreign else asking.learn(lambda: find_instance(settings, cloud.control), NOTHING)
    reached = reachability.look(cloud)
    # Without an instance, the questions about what is in it would only repeat that.
    there = bool(instance)
    return Facts(
        account=cloud.account,
        instance=instance,
        quota=asking.learn(lambda: _part(cloud.control.call(GET_QUOTA, place), "QuotaData"), NOTHING) if there else {},
        source=asking.learn(lambda: _source(cloud, reached), None) if there or by_brokers else None,
        function=asking.learn(
            lambda: dict(cloud.control.find(GET_FUNCTION, {"function": cloud.request.function}) or {}), NOTHING
        ),
        switch=asking.learn(lambda: _switch(cloud), NOTHING)
        if there and settings.vswitch_id not in {"", *network.switches(instance)}
        else {},
        other_stream=not foreign and asking.learn(lambda: _runs(other_stream(cloud.request), cloud), otherwise=False),
        lag=asking.learn(lambda: _lag(cloud), None) if there or (by_brokers and reached.topics) else None,
        reached=reached,
        refused_topics=_refused_topics(cloud, reached) if by_brokers and not reached.error else (),
        unknown=tuple(asking.faults),
    )


def progress(cloud: Cloud) -> dict[str, Any]:
    """How far the group has come, as the service describes it; empty where there's no such group."""
    settings = cloud.request.settings
    if settings.control == "admin":
        return BrokerGroup(settings).progress(cloud)
    parameters = {"RegionId": settings.region, "InstanceId": settings.instance_id, "ConsumerId": settings.group}
    return _part(cloud.control.find(GET_PROGRESS, parameters) or {}, "ConsumerProgress")


def _source(cloud: Cloud, reached: Reached) -> TopicState | None:
    """The source topic, as the brokers show it where they are in control."""
    settings = cloud.request.settings
    if settings.control != "admin":
        return topics.find(cloud, settings.instance_id, settings.region, settings.source_topic)
    partitions = reached.topics.get(settings.source_topic)
    return None if partitions is None else topics.TopicState(partitions, local=True, compact=False, running=True)


def _refused_topics(cloud: Cloud, reached: Reached) -> tuple[str, ...]:
    """Why the brokers wouldn't make the topics that an apply asks them for."""
    settings, refused = cloud.request.settings, Asking()
    if settings.resource_creation == "auto":
        for topic in broker_topics(settings):
            if topic.name not in reached.topics:
                refused.learn(partial(topic.validate, cloud), None)
    return tuple(refused.faults)


def _switch(cloud: Cloud) -> dict[str, Any]:
    settings = cloud.request.settings
    answer = cloud.control.call(DESCRIBE_SWITCHES, {"RegionId": settings.region, "VSwitchId": settings.vswitch_id})
    found = (answer.get("VSwitches") or {}).get("VSwitch") or []
    return next((one for one in found if one.get("VSwitchId") == settings.vswitch_id), {})


def _runs(stream: Stream[StateT], cloud: Cloud) -> bool:
    """Whether the stream is there and delivers."""
    found = stream.look(cloud)
    return found is not None and not stream.is_paused(found)


def _lag(cloud: Cloud) -> int | None:
    total = progress(cloud).get("TotalDiff")
    return None if total is None else int(total)


def _part(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found = answer.get(name)
    return found if isinstance(found, dict) else {}
