"""What an invocation asks for: the event's fields and the connector's settings, checked as a whole."""

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
from provisioning.redrive import selection
from provisioning.redrive.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_maxcompute.settings.names import NameRule

ActionName = Literal[
    "bootstrap", "plan", "apply", "status", "test", "pause", "resume", "destroy", "redrive", "audit", "reset"
]
Stream = Literal["trigger", "event_stream"]
ACTIONS: tuple[str, ...] = get_args(ActionName)

RISKS = {
    "tolerance": "errorsTolerance ALL: a batch that can't be delivered is given up",
    "retry": "BACKOFF_RETRY: an outage of a minute ends all tries of a batch",
    "asynchronous": "asynchronous delivery: the stream doesn't see that the function failed",
    "filter": "a filter: events that it doesn't match are never written",
    "timeout": "a function's timeout above 300 s, after which the stream has given the batch up",
    "bytes": "a stream that makes text of values, and no brokers to read them from: bytes that aren't UTF-8 are lost",
    "latest": "consumer offset latest for a stream or group that is created again: records between are never written",
    "letters": "dead letters that nobody has redriven are deleted with their topic",
    "again": "records that are delivered again aren't known as written, and are written again",
}
"""What loses data, and can be had only by naming it in accept_risk."""

IDENTITY = ("instance_id", "source_topic", "project", "table")
"""Settings that say which connector it is (D01): another value is a name in use, unless it's named in change."""

REMOVABLE = ("grants", "role", "table", "topics")
"""What `destroy` keeps unless it's named: others may use it, or it holds data."""

BATCH_RECORDS, BATCH_SECONDS = (1, 10_000), (0, 15)
"""Least and most of a stream's batch window (Serverless Devs' documents on triggers)."""

CALLED_AFTER_IT = frozenset(
    name for name, setting in SETTINGS.items() if any(word in setting.derived for word in ("{name}", "{error_topic}"))
)
"""Settings whose defaults hold the connector's name: those of one connector are nothing for another."""

TOPIC_PARTITIONS, WAIT_SECONDS = (0, 2**31 - 1), (1, 3_600)
"""Least and most of a test message's topic-partition, which is Kafka's own number, and of the wait for its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One invocation's event, complete and checked; `columns` are those of a CSV line, for a table that is made.

    `accept_risk` None means the risks that are accepted already, by the settings record. `start` has first offsets by
    topic-partition of the source topic, `start_timestamp` (epoch ms) stands for those of the records of that time.
    With `same_topic` the caller vouches that the source topic is the one that the ledger is about.
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
    confirm: str = ""
    remove: frozenset[str] = frozenset()
    dry_run: bool = True
    letters: Selection = field(default_factory=Selection)

    @property
    def accepted(self) -> frozenset[str]:
        """The risks that are accepted."""
        return self.accept_risk or frozenset()

    @property
    def stream_name(self) -> str:
        """The name of the connector's event stream, where it isn't a trigger's."""
        return f"connect-{self.settings.name}"


def read(event: bytes, environment: Mapping[str, str]) -> Request:
    """An invocation's event, with the function's environment for the settings that it leaves out.

    Raises `ConfigurationError` with every fault of both.
    """
    reading = _Reading()
    given = reading.fields(event)
    values = {name: reading.value(name, given[name]) for name in given if name in _KINDS}
    if {"start", "start_timestamp"} <= values.keys():
        reading.faults.append("start_timestamp: set beside start; keep one of them")
    if "action" not in given:
        reading.faults.append(f"action isn't set; set it to one of {', '.join(ACTIONS)}")
    # Where the brokers are is what `bootstrap` finds out; until then nothing can be wanted of them.
    unknown = {"delivery": "at-least-once"} if values.get("action") == "bootstrap" else {}
    settings = reading.settings(given.get("settings", {}), environment, unknown)
    if settings is not None:
        reading.faults += fields.at_odds(values, foreign=network.is_foreign(settings))
    if reading.faults or settings is None:
        raise ConfigurationError(reading.faults)
    values.setdefault("function", f"maxcompute-sink-{settings.name}")
    return Request(settings=settings, **values)


@dataclass(slots=True)
class _Reading:
    """The faults found so far."""

    faults: list[str] = field(default_factory=list)

    def fields(self, event: bytes) -> dict[str, Any]:
        """The event's fields; those that its action doesn't take become faults."""
        try:
            given = json.loads(event, object_pairs_hook=self.once)
            # What can't be written again can't be in a reply, nor in Kafka: half a surrogate pair.
            json.dumps(given, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            told = str(error)[:SHOWN_CHARACTERS]
            raise ConfigurationError([f"expected an event of JSON in UTF-8, found none: {told}"]) from None
        if not isinstance(given, dict):
            raise ConfigurationError([f"expected an event that is a JSON object, found {type(given).__name__}"])
        self.faults += fields.without_effect(given)
        return given

    def once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """A JSON object; a name that is there twice becomes a fault."""
        made = dict(pairs)
        if len(made) < len(pairs):
            names = Counter(name for name, _ in pairs)
            twice = [name for name in made if names[name] > 1]
            self.faults += [
                f"{name[:SHOWN_CHARACTERS]}: set twice; keep one of them" for name in twice[: fields.MOST_UNKNOWN]
            ]
        return made

    def value(self, name: str, value: object) -> Any:
        """A field's value, or a fault."""
        kind = _KINDS[name]
        try:
            return kind.read(value)
        except ConfigurationError as error:
            self.faults += [f"{name}.{fault}" for fault in error.faults]
            return None
        except UNREADABLE:
            self.faults.append(f"{kind.fault(name, value)}; fix it")
            return None

    def settings(self, given: Any, environment: Mapping[str, str], unknown: Mapping[str, str]) -> Settings | None:
        """The connector's settings: the event's, then the environment's, but for what is called after another one.

        `unknown` replaces settings as long as there are no brokers.
        """
        if not isinstance(given, dict):
            self.faults.append(f"settings: expected an object of settings, found {type(given).__name__}; fix it")
            return None
        own = {str(name).lower(): value for name, value in given.items()}
        around = {name[len(PREFIX) :].lower(): value for name, value in own_variables(environment)}
        if own.get("name", around.get("name")) != around.get("name"):
            around = {name: value for name, value in around.items() if name not in CALLED_AFTER_IT}
        known: dict[str, object] = {**{name: around[name] for name in around if name not in own}, **given}
        if not (own.get("bootstrap_servers") or around.get("bootstrap_servers")):
            known = {**{name: value for name, value in known.items() if name.lower() not in unknown}, **unknown}
        try:
            settings = Settings.from_mapping(known)
            self.faults += Destinations.of(environment).faults(settings)
        except ConfigurationError as error:
            self.faults += error.faults
            return None
        return settings


def _named(what: str, rule: NameRule) -> Kind:
    """A name that becomes a part of a request's path."""
    return Kind(f"{what}, {rule.expected}", named(rule).read)


def _offsets(value: object) -> object:
    """Offsets by topic-partition; JSON's names are text."""
    if not isinstance(value, dict) or not value:
        raise TypeError(value)
    if not all(type(offset) is int and offset >= 0 for offset in value.values()):
        raise ValueError(value)
    if not all(number.isascii() and number.isdecimal() and number == str(int(number)) for number in value):
        raise ValueError(value)
    return {int(number): offset for number, offset in value.items()}


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
    "confirm": content("the connector's name", fewest=1),
    "remove": some_of(*REMOVABLE),
    "dry_run": flag(),
    "letters": Kind(selection.EXPECTED, selection.read),
}
