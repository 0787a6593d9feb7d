"""Rules for names: of the connector, Kafka's topics and groups, MaxCompute's projects, tables and columns.

Sources: the connector document (connector, group), Apache Kafka's topic rule (1-249 of letters, digits, '.', '_', '-',
neither "." nor ".."), ApsaraMQ for Kafka's CreateTopic (3-64; the service's documents disagree on the dot, so none),
MaxCompute's rule for names (a letter, then letters, digits and underscores, 128 bytes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NameRule:
    """A rule for names: `pattern` has to match the whole name, `expected` says the same in words."""

    pattern: re.Pattern[str]
    expected: str

    def allows(self, name: str) -> bool:
        """Whether the name keeps the rule."""
        return self.pattern.fullmatch(name) is not None


CONNECTOR = NameRule(
    re.compile(r"[0-9a-z][0-9a-z-]{0,47}"),
    "1 to 48 digits, lower-case letters and hyphens, not starting with a hyphen",
)
GROUP = NameRule(
    re.compile(r"connect-[0-9a-z][0-9a-z-]{0,47}"),
    "'connect-' and a name of 1 to 48 digits, lower-case letters and hyphens",
)
TOPIC = NameRule(
    re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}"),
    "1 to 249 letters, digits, dots, underscores and hyphens, neither '.' nor '..'",
)
CREATED_TOPIC = NameRule(
    re.compile(r"[A-Za-z0-9_-]{3,64}"),
    "3 to 64 letters, digits, underscores and hyphens, as ApsaraMQ for Kafka creates topics",
)
INSTANCE = NameRule(
    re.compile(r"alikafka_[A-Za-z0-9_-]{1,119}"),
    "the id of a Kafka instance, such as alikafka_post-cn-st21p8vj0001",
)
MAXCOMPUTE = NameRule(
    re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}"),
    "a letter and up to 127 letters, digits and underscores",
)
REGION = NameRule(
    re.compile(r"[a-z]{2}(-[a-z0-9]+)+"),
    "the id of a region, such as cn-hangzhou or ap-southeast-1",
)
VPC = NameRule(re.compile(r"vpc-[a-z0-9]+"), "the id of a VPC, such as vpc-bp1xpdnd3l0001")
VSWITCH = NameRule(re.compile(r"vsw-[a-z0-9]+"), "the id of a vSwitch, such as vsw-bp1d2jgg810001")
SECURITY_GROUP = NameRule(re.compile(r"sg-[A-Za-z0-9-]+"), "the id of a security group, such as sg-bp1fg655nh68xyz9")
FUNCTION = NameRule(
    re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}"), "1 to 64 letters, digits, underscores and hyphens, a letter first"
)
TRIGGER = NameRule(
    re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}"), "1 to 128 letters, digits, underscores and hyphens, a letter first"
)
ACCOUNT = NameRule(re.compile(r"[0-9]{1,20}"), "the digits of an Alibaba Cloud account id")
ROLE = NameRule(re.compile(r"[A-Za-z0-9.-]{1,64}"), "the name of a RAM role: 1 to 64 letters, digits, dots and hyphens")
