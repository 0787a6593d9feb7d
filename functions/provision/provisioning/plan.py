"""The plan of one connector: its resources as they are, what is to be done, and all that stands against it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias

from kafka_maxcompute.errors import BatchError
from provisioning import brokers, budget, network, preflight, refused_settings, unsafe_changes
from provisioning import preflight_facts as looking
from provisioning.connector_resources import left_alone, resources, stream
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
"""What is asked of the brokers themselves, and not of a control API."""
STREAMS = (EventStream, ForeignStream, Trigger)
TOPICS = (BrokerTopic, Topic)
NO_OFFSETS: dict[int, int] = {}
State = Literal["blocked", "changes", "unchanged"]


@dataclass(frozen=True, slots=True)
class Item(Generic[StateT]):
    """A resource, its state when it was looked at, and the step that follows from it."""

    resource: Resource[StateT]
    found: StateT | None
    step: Step


AnyItem: TypeAlias = Item[Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan says; `faults` are those that no single step has."""

    items: tuple[AnyItem, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def stream(self) -> AnyItem:
        """What delivers the records."""
        return stream_of(self.items)

    @property
    def state(self) -> State:
        """Whether it can be carried out, and whether there's anything to do."""
        done = {item.step.do for item in self.items}
        if self.faults or "blocked" in done:
            return "blocked"
        return "unchanged" if done == {"keep"} else "changes"

    def has_topic(self, name: str) -> bool:
        """Whether one of the connector's topics was found."""
        return any(
            isinstance(item.resource, TOPICS) and item.resource.name == name and item.found for item in self.items
        )

    def as_json(self) -> dict[str, Any]:
        """As a reply shows it."""
        return {
            "state": self.state,
            "faults": list(self.faults),
            "warnings": list(self.warnings),
            "steps": [item.step.as_json() for item in self.items],
        }


@dataclass(frozen=True, slots=True)
class _Look(Generic[StateT]):
    """What a look found, or why it couldn't."""

    found: StateT | None
    error: str = ""


def stream_of(items: Iterable[AnyItem]) -> AnyItem:
    """The one among the items of a connector that delivers its records."""
    return next(item for item in items if isinstance(item.resource, STREAMS))


def make_plan(cloud: Cloud) -> Plan:
    """Look at everything; changes nothing, and raises nothing that a reply can say."""
    found = looking.gather(cloud)
    silent = found.reached.error
    record, asking = _look(SettingsRecord(cloud.request), cloud, silent), looking.Asking()
    request = _in_network(cloud.request, found.instance)
    request = request if silent else _completed(cloud, request, record.found, asking)
    items = tuple(
        _item(resource, request, record if isinstance(resource, SettingsRecord) else _look(resource, cloud, silent))
        for resource in resources(request, cloud.account)
    )
    before = _before(cloud, request, record.found, items)
    steps = tuple(item.step for item in items)
    shown = {line for one in steps for line in one.why}
    faults = (
        *([silent] if silent else ()),
        *(fault for fault in (*found.unknown, *asking.faults) if fault not in {*shown, silent}),
        *preflight.faults(request, found, steps),
        *unsafe_changes.faults(request, before),
        *_recreations(cloud, items, running=before.running),
        *refused_settings.refusals(request, found, steps, unsafe_changes.risks(request, before)),
    )
    window = stream(request).window(stream_of(items).found)
    over = budget.warning(request.settings, found.source.partitions if found.source else 0, window)
    return Plan(items, faults, (*preflight.warnings(request, found), *([over] if over else [])))


def _in_network(request: Request, instance: dict[str, Any]) -> Request:
    """With the instance's security group for an event stream in a VPC, if the request names none."""
    return replace(request, security_group=request.security_group or str(instance.get("SecurityGroup") or ""))


def _recreations(cloud: Cloud, items: Sequence[AnyItem], *, running: bool) -> Iterator[str]:
    """What stands against deleting topics: a stream that may have something written into them."""
    titles = [item.resource.title for item in items if isinstance(item.resource, TOPICS) and item.step.do == "change"]
    if titles and network.is_foreign(cloud.request.settings):
        # Nothing tells of the stream, but its consumers are in the group.
        running = looking.Asking().learn(lambda: brokers.has_members(cloud), otherwise=True)
    for title in titles if running else ():
        yield f"{title} is to be deleted and created again, and the stream is running; pause it first"


def _completed(cloud: Cloud, request: Request, recorded: Recorded | None, asking: looking.Asking) -> Request:
    """With what the record and the brokers know: risks that are accepted already, offsets of a time, a start made."""
    moment = request.start_timestamp
    if moment is not None:
        request = replace(request, start=asking.learn(lambda: brokers.offsets_at(cloud, moment), NO_OFFSETS))
    if recorded is None:
        return request
    if recorded.starts == request.start:
        request = replace(request, start={})
    return request if request.accept_risk is not None else replace(request, accept_risk=recorded.accept_risk)


def _before(
    cloud: Cloud, request: Request, recorded: Recorded | None, items: Sequence[AnyItem]
) -> unsafe_changes.Before:
    """The connector as it was applied; a ledger that it had elsewhere, or isn't to have any more, is read too."""
    feeding, settings = stream_of(items).found, request.settings
    before = unsafe_changes.Before(
        recorded=recorded,
        ledger=_found(items, ConnectorLedger),
        running=feeding is not None and not stream(request).is_paused(feeding),
        committed=starting.committed if (starting := _found(items, Start)) else {},
    )
    topic = str(before.had("offset_topic"))
    if before.had("delivery") == unsafe_changes.EXACTLY_ONCE and (
        not any(isinstance(item.resource, ConnectorLedger) for item in items) or topic != settings.offset_topic
    ):
        return replace(before, ledger=_look(ConnectorLedger(replace(settings, offset_topic=topic)), cloud).found)
    return before


def _found(items: Iterable[AnyItem], kind: type[Resource[StateT]]) -> StateT | None:
    """The state of the first resource of a kind; None where there is none."""
    return next((item.found for item in items if isinstance(item.resource, kind)), None)


def _look(resource: Resource[StateT], cloud: Cloud, silent: str = "") -> _Look[StateT]:
    """Look at it; not at what is in the brokers, where they are `silent` for the reason given."""
    if silent and isinstance(resource, IN_BROKERS):
        return _Look(None, silent)
    try:
        return _Look(resource.look(cloud))
    except BatchError as error:
        return _Look(None, str(error))


def _item(resource: Resource[StateT], request: Request, look: _Look[StateT]) -> Item[StateT]:
    if look.error:
        return Item(resource, None, Step(resource, "blocked", why=(look.error,)))
    return Item(resource, look.found, step(resource, look.found, manual=left_alone(request, resource)))
