"""What is worth knowing about settings that work, before they are deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.maxcompute.endpoint import locate
from kafka_maxcompute.settings.rules import OWN_TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_maxcompute.settings.settings import Settings


def advice(settings: Settings) -> tuple[str, ...]:
    """One line for each thing that is worth knowing."""
    found = []
    if settings.region != settings.table_region:
        way = f"from {settings.region} to {settings.table_region}"
        found.append(f"records go {way} over the Internet: that is slower, and traffic is paid for")
    elif locate(settings.endpoint).network == "public":
        found.append("endpoint is the public one; the VPC endpoint of the same region has lower latency")
    if settings.partition == "MINUTE":
        found.append("partition MINUTE fills a table's 60,000 partitions in 41 days; give the table a lifecycle")
    found += _replaced(settings)
    if settings.security_protocol == "SASL_PLAINTEXT" and settings.sasl_mechanism == "PLAIN":
        found.append("the brokers' password crosses the network in clear text; use SASL_SSL, or a SCRAM mechanism")
    if not settings.ssl_check_hostname:
        found.append(
            "ssl_check_hostname is false: whoever has a certificate of the same authority can pose as a broker"
        )
    for setting in OWN_TOPICS:
        topic, prefix = getattr(settings, setting), _prefix(setting)
        if not topic.startswith(prefix):
            found.append(f"{setting} is best named {prefix}..., found {topic}")
    return tuple(found)


def _replaced(settings: Settings) -> Iterator[str]:
    """What becomes of bytes that aren't UTF-8, of which the stream makes U+FFFD."""
    parts = {"DEFAULT": "keys and values", "KEY": "keys", "VALUE": "values"}[settings.mode]
    if settings.value_type == "Binary":
        if settings.mode == "VALUE":
            return
        parts = "keys"
    if not settings.bootstrap_servers:
        found = f"the stream replaces bytes of {parts} that aren't UTF-8 by U+FFFD, and they can't be read again"
        yield f"bootstrap_servers isn't set: {found}, so such {parts} are written as delivered; set the brokers"
    elif settings.format == "BINARY" and settings.mode != "KEY" and settings.value_type == "Text":
        found = "values with bytes that aren't UTF-8 are read again from the topic, which costs their batch a read"
        yield f"value_type is Text: {found}; if there are many, use Binary, here and in the stream"


def _prefix(setting: str) -> str:
    """How the connector document has the names of its topics begin (D10-D13)."""
    return f"connect-{'error' if setting == 'dead_letter_topic' else setting.removesuffix('_topic')}"
