"""Rules that combine several settings.

A rule takes the settings that it names, and yields its faults: the setting to fix, and what is wrong. A rule is applied
if its settings can be read, even if others can't, so that one pass reports every fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.maxcompute.endpoint import locate
from kafka_maxcompute.settings.names import CREATED_TOPIC
from kafka_maxcompute.settings.setting import SECRET_EXPECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Faults = Iterator[tuple[str, str]]

OWN_TOPICS = ("offset_topic", "config_topic", "status_topic", "dead_letter_topic", "error_topic")
TABLE_COLUMNS = ("topic", "partition", "offset", "key", "value")


def format_of_mode(mode: str, format: str) -> Faults:  # noqa: A002 # the setting's name
    """CSV splits a record's key or its value into fields, not both (D23)."""
    if mode == "DEFAULT" and format == "CSV":
        yield "format", "CSV needs mode KEY or VALUE, found mode DEFAULT; set KEY or VALUE, or format TEXT or BINARY"


def format_of_values(mode: str, format: str, value_type: str) -> Faults:  # noqa: A002 # the setting's name
    """A value that the stream has parsed as JSON isn't the producer's bytes any more, and no CSV line."""
    if mode != "KEY" and format != "TEXT" and value_type == "Json":
        remedy = "Binary" if format == "BINARY" else "Text or Binary"
        problem = f"format {format} needs values as they were sent, found Json, which the stream parses"
        yield "value_type", f"{problem}; set it to {remedy}, here and in the stream"


def endpoint_in_region(endpoint: str, table_region: str) -> Faults:
    """The endpoint must be the one of the table's region (D19)."""
    region = locate(endpoint).region
    if region and region != table_region:
        yield "endpoint", f"leads to {region}, but table_region is {table_region}; fix the one that is wrong"


def tunnel_in_region(tunnel_endpoint: str, table_region: str) -> Faults:
    """The tunnel endpoint must be the one of the table's region (D19)."""
    region = locate(tunnel_endpoint).region
    if region and region != table_region:
        problem = f"leads to {region}, but table_region is {table_region}"
        yield "tunnel_endpoint", f"{problem}; leave it out, so that the endpoint is asked for its Tunnel"


def endpoint_reachable(endpoint: str, region: str, table_region: str, *, allow_public_endpoint: bool) -> Faults:
    """Functions reach a VPC endpoint of their own region, and a public endpoint if that is allowed (D19)."""
    network = locate(endpoint).network
    if network == "intranet":
        reachable = f"service.{table_region}-vpc.maxcompute.aliyun-inc.com"
        yield "endpoint", f"functions can't reach an -intranet endpoint; use {reachable}"
    if region == table_region:
        return
    if network == "vpc":
        problem = f"functions in {region} can't reach a VPC endpoint of {table_region}"
        remedy = "put the table into the same region, or use the public endpoint and set allow_public_endpoint to true"
        yield "endpoint", f"{problem}; {remedy}"
    elif not allow_public_endpoint:
        problem = f"records would go from {region} to {table_region} over the Internet, which is slower and paid"
        yield "allow_public_endpoint", f"{problem}; put the table into the same region, or set this to true"


def topics_apart(source_topic: str, **own_topics: str) -> Faults:
    """The connector's topics must differ; only dead letters and error data may share a topic (D10-D13)."""
    setting_of_topic = {source_topic: "source_topic"}
    for setting, topic in own_topics.items():
        other = setting_of_topic.setdefault(topic, setting)
        if other != setting and {other, setting} != {"dead_letter_topic", "error_topic"}:
            yield setting, f"topic {topic} is {other} already; give it a topic of its own"


def topics_creatable(resource_creation: str, **topics: str) -> Faults:
    """The service creates only topics with certain names (D09, D15)."""
    if resource_creation == "auto":
        for setting, topic in topics.items():
            if not CREATED_TOPIC.allows(topic):
                yield setting, f"with resource_creation auto, expected {CREATED_TOPIC.expected}, found {topic!r}"


def partition_column_apart(partition_column: str) -> Faults:
    """A table can't have a partition column of the same name as another column."""
    if partition_column.lower() in TABLE_COLUMNS:
        yield "partition_column", f"{partition_column} is the name of another column; choose another name, such as pt"


def login_of_protocol(security_protocol: str, sasl_mechanism: str, sasl_username: str, sasl_password: str) -> Faults:
    """SASL needs mechanism, user name and password; without SASL none of them would be used."""
    given = {"sasl_mechanism": sasl_mechanism, "sasl_username": sasl_username, "sasl_password": sasl_password}
    expected = {
        "sasl_mechanism": "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        "sasl_username": "the user's name",
        "sasl_password": SECRET_EXPECTED,
    }
    for setting, value in given.items():
        if security_protocol.startswith("SASL_") and not value:
            yield setting, f"security_protocol {security_protocol} needs it; set it to {expected[setting]}"
        elif value and not security_protocol.startswith("SASL_"):
            problem = f"security_protocol {security_protocol} uses no login"
            yield setting, f"{problem}; set security_protocol to SASL_SSL or SASL_PLAINTEXT, or leave {setting} out"


def certificates_of_protocol(security_protocol: str, ssl_ca: str, *, ssl_check_hostname: bool) -> Faults:
    """Settings for TLS need a protocol with TLS."""
    if not security_protocol.endswith("SSL"):
        for setting, given in (("ssl_ca", bool(ssl_ca)), ("ssl_check_hostname", not ssl_check_hostname)):
            if given:
                problem = f"security_protocol {security_protocol} uses no TLS"
                yield setting, f"{problem}; set security_protocol to SASL_SSL or SSL, or leave {setting} out"


def servers_of_delivery(delivery: str, bootstrap_servers: str) -> Faults:
    """The sink reads and writes the ledger of claims, a topic, so exactly-once needs the brokers (D10)."""
    if delivery == "exactly-once" and not bootstrap_servers:
        yield (
            "bootstrap_servers",
            "delivery exactly-once needs it; set it to host:port of the brokers, or delivery to at-least-once",
        )


def servers_of_control(control: str, bootstrap_servers: str) -> Faults:
    """Without the service's API, only the setting has the brokers' addresses."""
    if control == "admin" and not bootstrap_servers:
        yield "bootstrap_servers", "control admin needs it; set it to host:port of the brokers"


RULES: tuple[tuple[tuple[str, ...], Callable[..., Faults]], ...] = (
    (("mode", "format"), format_of_mode),
    (("mode", "format", "value_type"), format_of_values),
    (("endpoint", "table_region"), endpoint_in_region),
    (("tunnel_endpoint", "table_region"), tunnel_in_region),
    (("endpoint", "region", "table_region", "allow_public_endpoint"), endpoint_reachable),
    (("source_topic", *OWN_TOPICS), topics_apart),
    *((("resource_creation", topic), topics_creatable) for topic in OWN_TOPICS),
    (("partition_column",), partition_column_apart),
    (("security_protocol", "sasl_mechanism", "sasl_username", "sasl_password"), login_of_protocol),
    (("security_protocol", "ssl_ca", "ssl_check_hostname"), certificates_of_protocol),
    (("control", "bootstrap_servers"), servers_of_control),
    (("delivery", "bootstrap_servers"), servers_of_delivery),
)


def faults(values: Mapping[str, Any]) -> Faults:
    """Yield the faults of all rules whose settings are among the values."""
    for needed, rule in RULES:
        if all(setting in values for setting in needed):
            yield from rule(**{setting: values[setting] for setting in needed})
