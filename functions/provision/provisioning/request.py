"""The request of an invocation: the event's fields and the connector's settings, checked as a whole."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import type_fault
from kafka_maxcompute.settings.destinations import Destinations
from kafka_maxcompute.settings.names import FUNCTION, MAXCOMPUTE, SECURITY_GROUP, TRIGGER
from kafka_maxcompute.settings.setting import (
    SHOWN_CHARACTERS,
    UNREADABLE,
    Kind,
    choice,
    content,
    flag,
    instant,
    named,
    one_of,
    some_of,
    whole,
)
from kafka_maxcompute.settings.settings import PREFIX, SETTINGS, Settings, own_variables
from provisioning import fields, network
from provisioning.redrive import pages, selection
from provisioning.redrive.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_maxcompute.settings.names import NameRule

ActionName = Literal[
    "bootstrap", "plan", "apply", "status", "test", "pause", "resume", "destroy", "letters", "redrive", "audit", "reset"
]
Stream = Literal["trigger", "event_stream"]
ACTIONS: tuple[str, ...] = get_args(ActionName)

RISKS = {
    "tolerance": "errorsTolerance ALL: the stream drops a batch that can't be delivered",
    "retry": "BACKOFF_RETRY: the stream drops a batch after an outage of a minute",
    "asynchronous": "asynchronous delivery: the stream doesn't see that the function failed",
    "filter": "a filter: events that it doesn't match are never written",
    "timeout": "a function's timeout above 300 s, after which the stream has dropped the batch",
    "bytes": "a stream that decodes values as text, and no brokers to read them from: bytes that aren't UTF-8 are lost",
    "latest": "consumer offset latest for a stream or group that is created again: records before it are never written",
    "letters": "dead letters that nobody has redriven are deleted with their topic",
    "again": "records that are delivered again aren't known as written, and are written again",
}
"""Choices that lose or double data, allowed only if accept_risk names them: name and meaning of each risk."""

IDENTITY = ("instance_id", "source_topic", "project", "table")
"""Settings that identify a connector (D01).

Another value means that the connector's name is in use already, unless the event names the setting in change."""

REMOVABLE = ("grants", "role", "table", "topics")
"""The kinds of resources that `destroy` keeps unless `remove` names them: others may use them, or they hold data."""

BATCH_RECORDS, BATCH_SECONDS = (1, 10_000), (0, 15)
"""Least and most of a stream's batch window (Serverless Devs' documents on triggers)."""

NAMED_AFTER_CONNECTOR = frozenset(
    name for name, setting in SETTINGS.items() if any(word in setting.derived for word in ("{name}", "{error_topic}"))
)
"""Settings whose defaults contain the connector's name: their values belong to one connector only."""

TOPIC_PARTITIONS, WAIT_SECONDS = (0, 2**31 - 1), (1, 3_600)
"""Least and most of a test message's topic-partition, which is Kafka's own number, and of the wait for its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One invocation's event, complete and checked.

    `columns` are the columns of a CSV line, for a table that apply creates. `accept_risk` None means the risks that the
    settings record has as accepted. `start` has first offsets by topic-partition of the source topic;
    `start_timestamp` (epoch ms) stands for the first offsets of that time or later. With `same_topic` the caller
    confirms that the source topic is the one whose records the ledger has. With `keep_settled` a reset sets the group's
    offsets and leaves the ledger unchanged. `after`, `limit` and `payload_bytes` are the
    page of dead letters that `letters` returns.
    """

    action: ActionName
    settings: Settings
    stream: Stream = "trigger"
    function: str
    trigger: str = "kafka-stream"
    create_table: bool = False
    columns: tuple[Column, ...] = ()
    accept_risk: frozenset[str] | None = None
    change: frozenset[str] = frozenset()
    start: Mapping[int, int] = field(default_factory=dict)
    start_timestamp: int | None = None
    batch_records: int = 10_000
    batch_seconds: int = 10
    security_group: str = ""
    key: str = "demo"
    value: str = '{"key": "test"}'
    topic_partition: int | None = None
    wait_seconds: int = 300
    probe: bool = False
    same_topic: bool = False
    keep_settled: bool = False
    confirm: str = ""
    remove: frozenset[str] = frozenset()
    dry_run: bool = True
    letters: Selection = field(default_factory=Selection)
    after: pages.Position = pages.START
    limit: int = 100
    payload_bytes: int = 0

    @property
    def accepted(self) -> frozenset[str]:
        """Return the names of the accepted risks."""
        return self.accept_risk or frozenset()

    @property
    def stream_name(self) -> str:
        """Return the name of the connector's event stream, if the stream isn't made by a trigger."""
        return f"connect-{self.settings.name}"


def read(event: bytes, environment: Mapping[str, str]) -> Request:
    """Return the request in an event; the function's environment has the settings that the event leaves out.

    Raises `ConfigurationError` with every fault of event and environment.
    """
    reading = _Reading()
    given = reading.fields(event)
    values = {name: reading.value(name, given[name]) for name in given if name in _KINDS}
    if {"start", "start_timestamp"} <= values.keys():
        reading.faults.append("start_timestamp: set beside start; keep one of them")
    if "action" not in given:
        reading.faults.append(f"action isn't set; set it to one of {', '.join(ACTIONS)}")
    # `bootstrap` finds the brokers' addresses; until then no setting may need brokers.
    without_brokers = {"delivery": "at-least-once"} if values.get("action") == "bootstrap" else {}
    settings = reading.settings(given.get("settings", {}), environment, without_brokers)
    if settings is not None:
        reading.faults += fields.ineffective(values, foreign=network.is_foreign(settings))
    if reading.faults or settings is None:
        raise ConfigurationError(reading.faults)
    values.setdefault("function", f"maxcompute-sink-{settings.name}")
    return Request(settings=settings, **values)


@dataclass(slots=True)
class _Reading:
    """A reading of one event, and its faults so far."""

    faults: list[str] = field(default_factory=list)

    def fields(self, event: bytes) -> dict[str, Any]:
        """Return the event's fields; a field that the action doesn't take becomes a fault."""
        try:
            given = json.loads(event, object_pairs_hook=self.without_duplicates)
            # Half a surrogate pair can't be encoded, so neither a reply nor Kafka can take it.
            json.dumps(given, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            message = str(error)[:SHOWN_CHARACTERS]
            raise ConfigurationError([f"expected an event of JSON in UTF-8, found none: {message}"]) from None
        if not isinstance(given, dict):
            raise ConfigurationError([f"expected an event that is a JSON object, found {type(given).__name__}"])
        self.faults += fields.unknown(given)
        return given

    def without_duplicates(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return a JSON object; a name that occurs twice becomes a fault."""
        unique = dict(pairs)
        if len(unique) < len(pairs):
            names = Counter(name for name, _ in pairs)
            twice = [name for name in unique if names[name] > 1]
            self.faults += [
                f"{name[:SHOWN_CHARACTERS]}: set twice; keep one of them" for name in twice[: fields.MOST_UNKNOWN]
            ]
        return unique

    def value(self, name: str, value: object) -> Any:
        """Return a field's value; an unreadable value becomes a fault."""
        kind = _KINDS[name]
        try:
            return kind.read(value)
        except ConfigurationError as error:
            self.faults += [f"{name}.{fault}" for fault in error.faults]
            return None
        except UNREADABLE:
            self.faults.append(f"{kind.fault(name, value)}; fix it")
            return None

    def settings(
        self, given: Any, environment: Mapping[str, str], without_brokers: Mapping[str, str]
    ) -> Settings | None:
        """Return the connector's settings: the event's first, then the environment's; None if they have faults.

        If the event names another connector, the environment's settings of `NAMED_AFTER_CONNECTOR` aren't used.
        `without_brokers` replaces settings if neither event nor environment has bootstrap_servers.
        """
        if not isinstance(given, dict):
            self.faults.append(f"settings: expected an object of settings, found {type(given).__name__}; fix it")
            return None
        own = {str(name).lower(): value for name, value in given.items()}
        defaults = {name[len(PREFIX) :].lower(): value for name, value in own_variables(environment)}
        if own.get("name", defaults.get("name")) != defaults.get("name"):
            defaults = {name: value for name, value in defaults.items() if name not in NAMED_AFTER_CONNECTOR}
        merged: dict[str, object] = {**{name: defaults[name] for name in defaults if name not in own}, **given}
        if not (own.get("bootstrap_servers") or defaults.get("bootstrap_servers")):
            kept = {name: value for name, value in merged.items() if name.lower() not in without_brokers}
            merged = {**kept, **without_brokers}
        try:
            settings = Settings.from_mapping(merged)
            self.faults += Destinations.of(environment).faults(settings)
        except ConfigurationError as error:
            self.faults += error.faults
            return None
        return settings


def _named(what: str, rule: NameRule) -> Kind:
    """Return the kind of a name that becomes a part of a request's path."""
    return Kind(f"{what}, {rule.expected}", named(rule).read)


_OFFSET = whole(0, selection.LAST_OFFSET)


def _offsets(value: object) -> object:
    """Return offsets by topic-partition; the names of a JSON object are text."""
    if not isinstance(value, dict) or not value:
        raise TypeError(value)
    if not all(number.isascii() and number.isdecimal() and number == str(int(number)) for number in value):
        raise ValueError(value)
    return {int(number): _OFFSET.read(offset) for number, offset in value.items()}


def _columns(value: object) -> object:
    if not isinstance(value, dict) or not all(isinstance(kind, str) for kind in value.values()):
        raise TypeError(value)
    if not all(MAXCOMPUTE.allows(name) for name in value):
        raise ValueError(value)
    faults = [f"{name}: {fault}" for name, kind in value.items() if (fault := type_fault(kind))]
    if faults:
        raise ConfigurationError(faults)
    return tuple(Column(name, kind) for name, kind in value.items())


_KINDS: dict[str, Kind] = {
    "action": one_of(*ACTIONS),
    "stream": choice(Stream),
    "function": _named("the sink function's name", FUNCTION),
    "trigger": _named("the name of its trigger", TRIGGER),
    "create_table": flag(),
    "columns": Kind('columns and their types, such as {"price": "DOUBLE"}', _columns),
    "accept_risk": some_of(*RISKS),
    "change": some_of(*IDENTITY),
    "start": Kind('first offsets by topic-partition, such as {"0": 123}', _offsets),
    "start_timestamp": instant("1970-01-01T00:00:00Z"),
    "batch_records": whole(*BATCH_RECORDS),
    "batch_seconds": whole(*BATCH_SECONDS),
    "security_group": named(SECURITY_GROUP),
    "key": content(),
    "value": content(),
    "topic_partition": whole(*TOPIC_PARTITIONS),
    "wait_seconds": whole(*WAIT_SECONDS),
    "probe": flag(),
    "same_topic": flag(),
    "keep_settled": flag(),
    "confirm": content("the connector's name", fewest=1),
    "remove": some_of(*REMOVABLE),
    "dry_run": flag(),
    "letters": Kind(selection.EXPECTED, selection.read),
    "after": pages.POSITION,
    "limit": whole(1, pages.MOST_LETTERS),
    "payload_bytes": whole(0, pages.MOST_PAYLOAD_BYTES),
}
