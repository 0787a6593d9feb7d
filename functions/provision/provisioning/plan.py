"""The plan of one connector: its resources' states, the steps to do, and the faults that block the plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias

from kafka_maxcompute.errors import BatchError
from provisioning import (
    brokers,
    network,
    preflight,
    preflight_facts,
    unsafe_changes,
    unsafe_settings,
    upload_session_warning,
)
from provisioning.connector_resources import is_manual, resources, stream
from provisioning.resource import StateT
from provisioning.resources.broker_group import BrokerGroup
from provisioning.resources.broker_topics import BrokerTopic
from provisioning.resources.event_stream import EventStream
from provisioning.resources.foreign_stream import ForeignStream
from provisioning.resources.ledger import ConnectorLedger
from provisioning.resources.settings_record import SettingsRecord
from provisioning.resources.start import Start
from provisioning.resources.topics import Topic
from provisioning.resources.trigger import Trigger
from provisioning.step import Step, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provisioning.cloud import Cloud
    from provisioning.request import Request
    from provisioning.resource import Resource
    from provisioning.resources.settings_record import Recorded

IN_BROKERS = (BrokerGroup, BrokerTopic, ConnectorLedger, SettingsRecord, Start)
"""Resources that are read from the brokers, not from a control API."""
STREAMS = (EventStream, ForeignStream, Trigger)
TOPICS = (BrokerTopic, Topic)
NO_OFFSETS: dict[int, int] = {}
State = Literal["blocked", "changes", "unchanged"]


@dataclass(frozen=True, slots=True)
class Item(Generic[StateT]):
    """A resource, its state when it was read (None: the resource doesn't exist), and the planned step."""

    resource: Resource[StateT]
    state: StateT | None
    step: Step


AnyItem: TypeAlias = Item[Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan; `faults` has the faults that don't belong to a single step."""

    items: tuple[AnyItem, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def stream(self) -> AnyItem:
        """Return the plan's item for the stream."""
        return stream_of(self.items)

    @property
    def state(self) -> State:
        """Return "blocked", "changes" or "unchanged"."""
        steps = {item.step.do for item in self.items}
        if self.faults or "blocked" in steps:
            return "blocked"
        return "unchanged" if steps == {"keep"} else "changes"

    def has_topic(self, name: str) -> bool:
        """Return whether the plan has a topic of this name, and the topic exists."""
        return any(
            isinstance(item.resource, TOPICS) and item.resource.name == name and item.state for item in self.items
        )

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON for a reply."""
        return {
            "state": self.state,
            "faults": list(self.faults),
            "warnings": list(self.warnings),
            "steps": [item.step.as_json() for item in self.items],
        }


@dataclass(frozen=True, slots=True)
class _Look(Generic[StateT]):
    """The state of a resource (None: the resource doesn't exist), or the error of reading the state."""

    state: StateT | None
    error: str = ""


def stream_of(items: Iterable[AnyItem]) -> AnyItem:
    """Return the item for the connector's stream."""
    return next(item for item in items if isinstance(item.resource, STREAMS))


def make_plan(cloud: Cloud) -> Plan:
    """Read the states of all resources and return the plan; change nothing.

    If a service can't be read, the plan has a fault; no exception is raised.
    """
    facts = preflight_facts.gather(cloud)
    unreachable = facts.reached.error
    record, questions = _look(SettingsRecord(cloud.request), cloud, unreachable), preflight_facts.Questions()
    request = _in_network(cloud.request, facts.instance)
    request = request if unreachable else _with_recorded(cloud, request, record.state, questions)
    items = tuple(
        _item(
            resource, request, record if isinstance(resource, SettingsRecord) else _look(resource, cloud, unreachable)
        )
        for resource in resources(request, cloud.account)
    )
    before = _before(cloud, request, record.state, items)
    steps = tuple(item.step for item in items)
    named_in_steps = {reason for step in steps for reason in step.why}
    faults = (
        *([unreachable] if unreachable else ()),
        *(fault for fault in (*facts.unknown, *questions.faults) if fault not in {*named_in_steps, unreachable}),
        *preflight.faults(request, facts, steps),
        *unsafe_changes.faults(request, before),
        *_recreations(cloud, items, running=before.running),
        *unsafe_settings.refusals(request, facts, steps, unsafe_changes.risks(request, before)),
    )
    window = stream(request).window(stream_of(items).state)
    session_warning = upload_session_warning.warning(
        request.settings, facts.source.partitions if facts.source else 0, window
    )
    return Plan(items, faults, (*preflight.warnings(request, facts), *([session_warning] if session_warning else [])))


def _in_network(request: Request, instance: dict[str, Any]) -> Request:
    """Return the request; if it names no security group, with the instance's security group."""
    return replace(request, security_group=request.security_group or str(instance.get("SecurityGroup") or ""))


def _recreations(cloud: Cloud, items: Sequence[AnyItem], *, running: bool) -> Iterator[str]:
    """Yield a fault for each topic that the plan deletes and creates again while the stream is running."""
    titles = [item.resource.title for item in items if isinstance(item.resource, TOPICS) and item.step.do == "change"]
    if titles and network.is_foreign(cloud.request.settings):
        # No API reports the status of the stream of a foreign Kafka, but its consumers are members of the group.
        running = preflight_facts.Questions().ask(lambda: brokers.has_members(cloud), otherwise=True)
    for title in titles if running else ():
        yield f"{title} is to be deleted and created again, and the stream is running; pause it first"


def _with_recorded(
    cloud: Cloud, request: Request, recorded: Recorded | None, questions: preflight_facts.Questions
) -> Request:
    """Return the request, completed from the brokers and the settings record.

    The brokers return the first offsets at `start_timestamp`. The settings record has the accepted risk, which is used
    if the request has none. It also has the first offsets that were committed earlier: if the request's first offsets
    are the same, they are removed from the request.
    """
    moment = request.start_timestamp
    if moment is not None:
        request = replace(request, start=questions.ask(lambda: brokers.offsets_at(cloud, moment), NO_OFFSETS))
    if recorded is None:
        return request
    if recorded.starts == request.start:
        request = replace(request, start={})
    return request if request.accept_risk is not None else replace(request, accept_risk=recorded.accept_risk)


def _before(
    cloud: Cloud, request: Request, recorded: Recorded | None, items: Sequence[AnyItem]
) -> unsafe_changes.Before:
    """Return the connector as it was last applied.

    The ledger is read from the earlier offset topic if the request names another offset topic, or at-least-once
    delivery.
    """
    stream_state, settings = stream_of(items).state, request.settings
    before = unsafe_changes.Before(
        recorded=recorded,
        ledger=_state_of(items, ConnectorLedger),
        running=stream_state is not None and not stream(request).is_paused(stream_state),
        committed=start.committed if (start := _state_of(items, Start)) else {},
    )
    topic = str(before.applied("offset_topic"))
    if before.applied("delivery") == unsafe_changes.EXACTLY_ONCE and (
        not any(isinstance(item.resource, ConnectorLedger) for item in items) or topic != settings.offset_topic
    ):
        return replace(before, ledger=_look(ConnectorLedger(replace(settings, offset_topic=topic)), cloud).state)
    return before


def _state_of(items: Iterable[AnyItem], kind: type[Resource[StateT]]) -> StateT | None:
    """Return the state of the first resource of a kind; None if there is no such resource."""
    return next((item.state for item in items if isinstance(item.resource, kind)), None)


def _look(resource: Resource[StateT], cloud: Cloud, unreachable: str = "") -> _Look[StateT]:
    """Read a resource's state; with `unreachable`, the reason why no broker answers, nothing is read from brokers."""
    if unreachable and isinstance(resource, IN_BROKERS):
        return _Look(None, unreachable)
    try:
        return _Look(resource.look(cloud))
    except BatchError as error:
        return _Look(None, str(error))


def _item(resource: Resource[StateT], request: Request, look: _Look[StateT]) -> Item[StateT]:
    if look.error:
        return Item(resource, None, Step(resource, "blocked", why=(look.error,)))
    return Item(resource, look.state, step(resource, look.state, manual=is_manual(request, resource)))
