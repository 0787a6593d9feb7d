"""The facts that a plan reads from the cloud first; a question that fails becomes a fault of the plan."""

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
"""The description of something that doesn't exist, or that couldn't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts about one connector's surroundings.

    `instance`, `quota` and `function` are the descriptions by their services, empty if there is no such thing.
    `switch` describes the vSwitch of the settings, if the instance doesn't list that vSwitch. `lag` counts the source
    topic's records that the group hasn't committed, None if the count is unknown. `other_stream`: a stream of the kind
    that wasn't requested is running. `reached` is the answer of the brokers, `refused_topics` has the reasons why the
    brokers would refuse to create missing topics. `unknown` has a line for each question that failed.
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
class Questions:
    """Questions to services; an error is kept in `faults`, once, instead of raised."""

    faults: list[str] = field(default_factory=list)

    def ask(self, question: Callable[[], Learned], otherwise: Learned) -> Learned:
        """Return the answer; if the question fails, keep the error as a fault and return `otherwise`."""
        try:
            return question()
        except BatchError as error:
            if str(error) not in self.faults:
                self.faults.append(str(error))
            return otherwise


def gather(cloud: Cloud) -> Facts:
    """Ask the services for all facts."""
    questions, settings = Questions(), cloud.request.settings
    place = {"RegionId": settings.region, "InstanceId": settings.instance_id}
    foreign, by_brokers = network.is_foreign(settings), settings.control == "admin"
    instance = {} if foreign else questions.ask(lambda: find_instance(settings, cloud.control), NOTHING)
    reached = reachability.look(cloud)
    # Without an instance, the questions about its content would only repeat that fault.
    has_instance = bool(instance)
    return Facts(
        account=cloud.account,
        instance=instance,
        quota=questions.ask(lambda: _part(cloud.control.call(GET_QUOTA, place), "QuotaData"), NOTHING)
        if has_instance
        else {},
        source=questions.ask(lambda: _source(cloud, reached), None) if has_instance or by_brokers else None,
        function=questions.ask(
            lambda: dict(cloud.control.find(GET_FUNCTION, {"function": cloud.request.function}) or {}), NOTHING
        ),
        switch=questions.ask(lambda: _switch(cloud), NOTHING)
        if has_instance and settings.vswitch_id not in {"", *network.switches(instance)}
        else {},
        other_stream=not foreign and questions.ask(lambda: _runs(other_stream(cloud.request), cloud), otherwise=False),
        lag=questions.ask(lambda: _lag(cloud), None) if has_instance or (by_brokers and reached.topics) else None,
        reached=reached,
        refused_topics=_refused_topics(cloud, reached) if by_brokers and not reached.error else (),
        unknown=tuple(questions.faults),
    )


def progress(cloud: Cloud) -> dict[str, Any]:
    """Return the group's progress as the service describes it; empty if there is no such group."""
    settings = cloud.request.settings
    if settings.control == "admin":
        return BrokerGroup(settings).progress(cloud)
    parameters = {"RegionId": settings.region, "InstanceId": settings.instance_id, "ConsumerId": settings.group}
    return _part(cloud.control.find(GET_PROGRESS, parameters) or {}, "ConsumerProgress")


def _source(cloud: Cloud, reached: Reached) -> TopicState | None:
    """Return the state of the source topic, from the brokers if they manage topics; None if the topic doesn't exist."""
    settings = cloud.request.settings
    if settings.control != "admin":
        return topics.find(cloud, settings.instance_id, settings.region, settings.source_topic)
    partitions = reached.topics.get(settings.source_topic)
    return None if partitions is None else topics.TopicState(partitions, local=True, compact=False, running=True)


def _refused_topics(cloud: Cloud, reached: Reached) -> tuple[str, ...]:
    """Return why the brokers would refuse to create the topics that an apply requests."""
    settings, questions = cloud.request.settings, Questions()
    if settings.resource_creation == "auto":
        for topic in broker_topics(settings):
            if topic.name not in reached.topics:
                questions.ask(partial(topic.validate, cloud), None)
    return tuple(questions.faults)


def _switch(cloud: Cloud) -> dict[str, Any]:
    settings = cloud.request.settings
    answer = cloud.control.call(DESCRIBE_SWITCHES, {"RegionId": settings.region, "VSwitchId": settings.vswitch_id})
    listed = (answer.get("VSwitches") or {}).get("VSwitch") or []
    return next((switch for switch in listed if switch.get("VSwitchId") == settings.vswitch_id), {})


def _runs(stream: Stream[StateT], cloud: Cloud) -> bool:
    """Return whether the stream exists and isn't paused."""
    state = stream.look(cloud)
    return state is not None and not stream.is_paused(state)


def _lag(cloud: Cloud) -> int | None:
    total = progress(cloud).get("TotalDiff")
    return None if total is None else int(total)


def _part(answer: dict[str, Any], name: str) -> dict[str, Any]:
    part = answer.get(name)
    return part if isinstance(part, dict) else {}
