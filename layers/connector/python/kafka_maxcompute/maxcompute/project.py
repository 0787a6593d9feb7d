"""Reads a MaxCompute project's time zone, in which its SQL reads and shows times."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import ConfigurationError, RefusedError, UnavailableError
from kafka_maxcompute.retrying import until
from kafka_maxcompute.settings import time_zone

if TYPE_CHECKING:
    from datetime import tzinfo

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Service

PROPERTY = "odps.sql.timezone"
DEFAULT = "Asia/Shanghai"
"""The zone of a project without the property (MaxCompute's pages on time zones, 2026: UTC+8)."""
_REMEDY = "set value_time_zone to the zone of the times in your records"


def zone(service: Service, deadline: Deadline) -> tzinfo:
    """Return the project's time zone; asks again until the deadline if the service can't answer.

    Raises `ConfigurationError` if the project may not be read or this machine doesn't know its zone, and
    `UnavailableError`.
    """
    doing = f"read the time zone of project {service.project}"
    try:
        for attempt in until(deadline):
            with attempt:
                params = {"properties": "all"}
                answer = service.request("GET", "", params=params, doing=doing, deadline=deadline)
                name = _property(answer, doing)
        return time_zone.parse(name)
    except RefusedError as error:
        raise ConfigurationError([f"{error}; {_REMEDY}, or grant Read on the project"]) from error
    except ValueError as error:
        fault = f"project {service.project}: expected {PROPERTY} to be a known time zone, found another: {error}"
        raise ConfigurationError([f"{fault}; {_REMEDY}"]) from error


def _property(answer: bytes, doing: str) -> str:
    try:
        document = ET.fromstring(answer)  # noqa: S314 # the service that gets our data
    except ET.ParseError:
        message = f"could not {doing}: expected XML of a project, found {len(answer)} other bytes"
        raise UnavailableError(message) from None
    pairs = {node.findtext("Name"): node.findtext("Value") for node in document.iterfind("Properties/Property")}
    return pairs.get(PROPERTY) or DEFAULT
