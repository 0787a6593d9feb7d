"""Advice about valid settings whose consequences the operator should know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.maxcompute.endpoint import locate
from kafka_maxcompute.settings.rules import OWN_TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_maxcompute.settings.settings import Settings


def advice(settings: Settings) -> tuple[str, ...]:
    """Return the advice about the settings, each as one line of text."""
    lines = []
    if settings.region != settings.table_region:
        route = f"from {settings.region} to {settings.table_region}"
        lines.append(f"records go {route} over the Internet: that is slower, and traffic is paid for")
    elif locate(settings.endpoint).network == "public":
        lines.append("endpoint is the public one; the VPC endpoint of the same region has lower latency")
    if settings.partition == "MINUTE":
        lines.append("partition MINUTE fills a table's 60,000 partitions in 41 days; give the table a lifecycle")
    lines += _advice_about_replacement(settings)
    if settings.security_protocol == "SASL_PLAINTEXT" and settings.sasl_mechanism == "PLAIN":
        lines.append("the brokers' password crosses the network in clear text; use SASL_SSL, or a SCRAM mechanism")
    if not settings.ssl_check_hostname:
        lines.append(
            "ssl_check_hostname is false: any host with a certificate of the same authority can pose as a broker"
        )
    for setting in OWN_TOPICS:
        topic, prefix = getattr(settings, setting), _prefix(setting)
        if not topic.startswith(prefix):
            lines.append(f"{setting} is best named {prefix}..., found {topic}")
    return tuple(lines)


def _advice_about_replacement(settings: Settings) -> Iterator[str]:
    """Yield advice about keys and values that aren't UTF-8: the stream replaces the invalid bytes by U+FFFD."""
    parts = {"DEFAULT": "keys and values", "KEY": "keys", "VALUE": "values"}[settings.mode]
    if settings.value_type == "Binary":
        if settings.mode == "VALUE":
            return
        parts = "keys"
    if not settings.bootstrap_servers:
        cause = f"the stream replaces bytes of {parts} that aren't UTF-8 by U+FFFD, and they can't be read again"
        yield f"bootstrap_servers isn't set: {cause}, so such {parts} are written as delivered; set the brokers"
    elif settings.format == "BINARY" and settings.mode != "KEY" and settings.value_type == "Text":
        cause = "values with bytes that aren't UTF-8 are read again from the topic, which costs their batch a read"
        yield f"value_type is Text: {cause}; if there are many, use Binary, here and in the stream"


def _prefix(setting: str) -> str:
    """Return the prefix that the connector document gives to the name of a setting's topic (D10-D13)."""
    return f"connect-{'error' if setting == 'dead_letter_topic' else setting.removesuffix('_topic')}"
