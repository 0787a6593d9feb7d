"""All settings of a connector: those of the connector document, and a few more.

Settings are read once, as a whole, before anything is changed. All faults are reported in one `ConfigurationError`.
docs/CONFIGURATION.md explains each setting.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_type_hints

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.settings import names, rules
from kafka_maxcompute.settings.setting import (
    CERTIFICATE_PREFIX,
    SECRET_PREFIX,
    SHOWN_CHARACTERS,
    UNREADABLE,
    Setting,
    address,
    certificates,
    choice,
    flag,
    instant,
    login,
    named,
    number,
    seconds,
    secret,
    servers,
    unseen,
    zone,
)

PREFIX = "CONNECTOR_"
MOST_UNKNOWN = 20
"""Most unknown names that the faults list one by one."""

ConsumerOffset = Literal["earliest", "latest"]
FailurePolicy = Literal["continue", "stop"]
ResourceCreation = Literal["auto", "manual"]
Mode = Literal["DEFAULT", "KEY", "VALUE"]
Format = Literal["TEXT", "BINARY", "CSV"]
PartitionWindow = Literal["HOUR", "DAY", "MINUTE"]
PartitionNames = Literal["document", "iso"]
ValueType = Literal["Text", "Json", "Binary"]
Compression = Literal["deflate", "lz4", "zstd", "none"]
Delivery = Literal["exactly-once", "at-least-once"]
Control = Literal["alikafka", "admin"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

TEN_YEARS = 315_360_000
"""In seconds: the greatest `latest_timestamp`. A greater bound would accept wrong timestamps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One connector's settings, complete and checked; created by one of the `from_` methods.

    `earliest_timestamp` is in epoch milliseconds, `latest_timestamp` in seconds after the present.
    """

    name: Annotated[str, Setting("D01", named(names.CONNECTOR), meaning="the connector's name")]
    instance_id: Annotated[str, Setting("D03", named(names.INSTANCE), default="")]
    region: Annotated[str, Setting("D03", named(names.REGION), default="cn-hangzhou")]

    source_topic: Annotated[str, Setting("D04", named(names.TOPIC), meaning="the topic to read")]
    concurrency: Annotated[int, Setting("D05", number(1, 2, 3, 6, 12), default=6)]
    consumer_offset: Annotated[ConsumerOffset, Setting("D06", choice(ConsumerOffset), default="earliest")]
    vpc_id: Annotated[str, Setting("D07", named(names.VPC), default="")]
    vswitch_id: Annotated[str, Setting("D07", named(names.VSWITCH), default="")]
    failure_policy: Annotated[FailurePolicy, Setting("D08", choice(FailurePolicy), default="continue")]
    resource_creation: Annotated[ResourceCreation, Setting("D09", choice(ResourceCreation), default="auto")]
    group: Annotated[str, Setting("D02", named(names.GROUP), derived="connect-{name}")]
    offset_topic: Annotated[str, Setting("D10", named(names.TOPIC), derived="connect-offset-{name}")]
    config_topic: Annotated[str, Setting("D11", named(names.TOPIC), derived="connect-config-{name}")]
    status_topic: Annotated[str, Setting("D12", named(names.TOPIC), derived="connect-status-{name}")]
    error_topic: Annotated[str, Setting("D13", named(names.TOPIC), derived="connect-error-{name}")]
    dead_letter_topic: Annotated[str, Setting("D13", named(names.TOPIC), derived="{error_topic}")]

    endpoint: Annotated[str, Setting("D19", address(), meaning="the address of MaxCompute's API")]
    tunnel_endpoint: Annotated[str, Setting("D19", address(), default="")]
    allow_public_endpoint: Annotated[bool, Setting("D19", flag(), default=False)]
    project: Annotated[str, Setting("D20", named(names.MAXCOMPUTE), meaning="the MaxCompute project")]
    table: Annotated[str, Setting("D20", named(names.MAXCOMPUTE), meaning="the table to write into")]
    table_region: Annotated[str, Setting("D20", named(names.REGION), derived="{region}")]
    account_id: Annotated[str, Setting("D20", named(names.ACCOUNT), default="")]
    role: Annotated[str, Setting("D16", named(names.ROLE), default="AliyunKafkaMaxComputeUser1")]
    grant_select: Annotated[bool, Setting("D17", flag(), default=True)]
    mode: Annotated[Mode, Setting("D22", choice(Mode), default="DEFAULT")]
    format: Annotated[Format, Setting("D23", choice(Format), default="TEXT")]
    partition: Annotated[PartitionWindow, Setting("D24", choice(PartitionWindow), default="HOUR")]
    partition_names: Annotated[PartitionNames, Setting("D24", choice(PartitionNames), default="document")]
    partition_column: Annotated[str, Setting("D24", named(names.MAXCOMPUTE), default="pt")]
    time_zone: Annotated[str, Setting("D25", zone(), default="GMT 08:00")]
    value_time_zone: Annotated[str, Setting("", zone(), default="")]
    earliest_timestamp: Annotated[int, Setting("D24", instant("1973-01-01T00:00:00Z"), default="2000-01-01T00:00:00Z")]
    latest_timestamp: Annotated[int, Setting("D24", seconds(TEN_YEARS), default=86_400)]

    value_type: Annotated[ValueType, Setting("D23", choice(ValueType), default="Text")]
    compression: Annotated[Compression, Setting("", choice(Compression), default="deflate")]
    delivery: Annotated[Delivery, Setting("D10", choice(Delivery), default="exactly-once")]

    control: Annotated[Control, Setting("", choice(Control), default="alikafka")]
    bootstrap_servers: Annotated[str, Setting("", servers(), default="")]
    security_protocol: Annotated[SecurityProtocol, Setting("", choice(SecurityProtocol), default="PLAINTEXT")]
    sasl_mechanism: Annotated[SaslMechanism | Literal[""], Setting("", unseen(choice(SaslMechanism)), default="")]
    sasl_username: Annotated[str, Setting("", login(), default="")]
    sasl_password: Annotated[str, Setting("", secret(), default="")]
    ssl_ca: Annotated[str, Setting("", certificates(), default="")]
    ssl_check_hostname: Annotated[bool, Setting("", flag(), default=True)]

    @classmethod
    def from_mapping(cls, given: Mapping[str, object]) -> "Settings":
        """Read settings by name; None and "" stand for a setting that isn't given. Raises `ConfigurationError`."""
        return cls(**_read(given.items(), prefix=""))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables CONNECTOR_NAME, CONNECTOR_MODE and so on. Raises `ConfigurationError`."""
        return cls(**_read(own_variables(environment), prefix=PREFIX))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Settings":
        """Read a JSON object of settings; a repeated name is a fault. Raises `ConfigurationError`."""
        try:
            # Tuples show repeated names, and distinguish an object from an array.
            pairs = json.loads(text, object_pairs_hook=tuple)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError([f"expected a JSON object of settings, found no JSON: {error}"]) from error
        if not isinstance(pairs, tuple):
            raise ConfigurationError([f"expected a JSON object of settings, found {type(pairs).__name__}"])
        return cls(**_read(pairs, prefix=""))


SETTINGS: Mapping[str, Setting] = {
    field: hint.__metadata__[0] for field, hint in get_type_hints(Settings, include_extras=True).items()
}
"""Every setting by name, in reading order."""


def own_variables(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that are settings; variables of secrets and certificates are left out."""
    return [
        (name, value)
        for name, value in environment.items()
        if name.upper().startswith(PREFIX) and not name.upper().startswith((SECRET_PREFIX, CERTIFICATE_PREFIX))
    ]


def _read(pairs: Iterable[tuple[str, object]], *, prefix: str) -> dict[str, Any]:
    """Return the values by setting, with defaults filled in; raises `ConfigurationError` with all faults."""
    faults: list[str] = []
    given = _given(pairs, prefix, faults)
    values: dict[str, Any] = {}
    for field, setting in SETTINGS.items():
        key, value = given.get(field, (_key(field, prefix), None))
        if value is None or value == "":
            if setting.required:
                where = "it" if prefix else f"it, or the variable {_key(field, PREFIX)},"
                faults.append(f"{key} isn't set; set {where} to {setting.meaning}: {setting.kind.expected}")
            else:
                _default(field, setting, values)
            continue
        try:
            values[field] = setting.kind.read(value)
        except UNREADABLE:
            faults.append(f"{setting.kind.fault(key, value)}; {_remedy(setting)}")
    faults += [f"{_key(field, prefix)}: {fault}" for field, fault in rules.faults(values)]
    if faults:
        raise ConfigurationError(faults)
    return values


def _given(pairs: Iterable[tuple[str, object]], prefix: str, faults: list[str]) -> dict[str, tuple[str, object]]:
    """Return key and value by setting; unknown and repeated settings become faults, which show no value."""
    given: dict[str, tuple[str, object]] = {}
    unknown = 0
    for key, value in pairs:
        field = str(key)[len(prefix) :].lower()
        if field not in SETTINGS:
            unknown += 1
            if unknown <= MOST_UNKNOWN:
                close = get_close_matches(field[:SHOWN_CHARACTERS], SETTINGS, n=1)
                hint = f"did you mean {_key(close[0], prefix)}?" if close else "docs/CONFIGURATION.md lists all"
                faults.append(f"{str(key)[:SHOWN_CHARACTERS]}: no such setting; {hint}")
        elif field in given:
            faults.append(f"{key}: set twice, also as {given[field][0]}; keep one of them")
        else:
            given[field] = (str(key), value)
    if unknown > MOST_UNKNOWN:
        faults.append(f"{unknown - MOST_UNKNOWN} more names that are no settings; docs/CONFIGURATION.md lists all")
    return given


def _default(field: str, setting: Setting, values: dict[str, Any]) -> None:
    """Fill in a setting's default, unless the default is derived from a setting that is wrong."""
    if setting.derived:
        try:
            values[field] = setting.derived.format_map(values)
        except KeyError:
            return
    else:
        values[field] = setting.kind.read(setting.default) if setting.default != "" else ""


def _remedy(setting: Setting) -> str:
    """Return the remedy for a value that can't be read."""
    if setting.required:
        return "fix it"
    default = setting.derived or setting.default
    return f"fix it, or leave it out for {default}" if default != "" else "fix it, or leave it out"


def _key(field: str, prefix: str) -> str:
    """Return a setting's spelling in its source: a variable's name or a key."""
    return f"{prefix}{field.upper()}" if prefix else field
