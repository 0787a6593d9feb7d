"""Rules about the values of several settings together.

A rule is a function: its parameters are settings, and it yields each fault as the setting to fix and the problem. A
rule is applied if all its settings are readable, even if others aren't, so that one check reports every fault.
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
    """With format CSV, either the key or the value is split into fields, so the mode must be KEY or VALUE (D23)."""
    if mode == "DEFAULT" and format == "CSV":
        yield "format", "CSV needs mode KEY or VALUE, found mode DEFAULT; set KEY or VALUE, or format TEXT or BINARY"


def format_of_values(mode: str, format: str, value_type: str) -> Faults:  # noqa: A002 # the setting's name
    """With value type Json, the stream parses values: then they are neither the producer's bytes nor lines of CSV."""
    if mode != "KEY" and format != "TEXT" and value_type == "Json":
        remedy = "Binary" if format == "BINARY" else "Text or Binary"
        problem = f"format {format} needs values as they were sent, found Json, which the stream parses"
        yield "value_type", f"{problem}; set it to {remedy}, here and in the stream"


def endpoint_in_region(endpoint: str, table_region: str) -> Faults:
    """The endpoint must belong to the table's region (D19)."""
    region = locate(endpoint).region
    if region and region != table_region:
        yield "endpoint", f"leads to {region}, but table_region is {table_region}; fix the one that is wrong"


def tunnel_in_region(tunnel_endpoint: str, table_region: str) -> Faults:
    """The Tunnel endpoint must belong to the table's region (D19)."""
    region = locate(tunnel_endpoint).region
    if region and region != table_region:
        problem = f"leads to {region}, but table_region is {table_region}"
        yield "tunnel_endpoint", f"{problem}; leave tunnel_endpoint out: then the endpoint returns its Tunnel"


def endpoint_reachable(endpoint: str, region: str, table_region: str, *, allow_public_endpoint: bool) -> Faults:
    """Functions reach VPC endpoints of their own region only.

    A public endpoint of another region needs `allow_public_endpoint` (D19).
    """
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
    """The connector's topics must differ; only the error topic and the dead-letter topic may be one topic (D10-D13)."""
    setting_of_topic = {source_topic: "source_topic"}
    for setting, topic in own_topics.items():
        other = setting_of_topic.setdefault(topic, setting)
        if other != setting and {other, setting} != {"dead_letter_topic", "error_topic"}:
            yield setting, f"topic {topic} is {other} already; give it a topic of its own"


def topics_creatable(resource_creation: str, **topics: str) -> Faults:
    """With resource_creation auto, topics must have names that the service accepts (D09, D15)."""
    if resource_creation == "auto":
        for setting, topic in topics.items():
            if not CREATED_TOPIC.allows(topic):
                yield setting, f"with resource_creation auto, expected {CREATED_TOPIC.expected}, found {topic!r}"


def partition_column_apart(partition_column: str) -> Faults:
    """A table's partition column can't have the name of another column."""
    if partition_column.lower() in TABLE_COLUMNS:
        yield "partition_column", f"{partition_column} is the name of another column; choose another name, such as pt"


def login_of_protocol(security_protocol: str, sasl_mechanism: str, sasl_username: str, sasl_password: str) -> Faults:
    """A protocol with SASL needs mechanism, user name and password; a protocol without SASL uses none of them."""
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
    """The settings `ssl_...` need a protocol with TLS."""
    if not security_protocol.endswith("SSL"):
        for setting, given in (("ssl_ca", bool(ssl_ca)), ("ssl_check_hostname", not ssl_check_hostname)):
            if given:
                problem = f"security_protocol {security_protocol} uses no TLS"
                yield setting, f"{problem}; set security_protocol to SASL_SSL or SSL, or leave {setting} out"


def servers_of_delivery(delivery: str, bootstrap_servers: str) -> Faults:
    """Exactly-once needs the brokers' addresses, because the sink reads and writes the ledger's topic (D10)."""
    if delivery == "exactly-once" and not bootstrap_servers:
        yield (
            "bootstrap_servers",
            "delivery exactly-once needs it; set it to host:port of the brokers, or delivery to at-least-once",
        )


def servers_of_control(control: str, bootstrap_servers: str) -> Faults:
    """With control admin, no API returns the brokers' addresses, so the setting is needed."""
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
