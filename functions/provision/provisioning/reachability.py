"""Whether the brokers let provisioning in, with the settings that the sink has too, and what they don't allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka_maxcompute.broker_connection import reach
from kafka_maxcompute.errors import ConfigurationError, RefusedError
from provisioning import brokers, rights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioning.cloud import Cloud
    from provisioning.rights import Right


@dataclass(frozen=True, slots=True)
class Reached:
    """The topics that the brokers show, by their count of topic-partitions, and the rights that lack."""

    topics: Mapping[str, int] = field(default_factory=dict)
    lacking: tuple[Right, ...] = ()


def look(cloud: Cloud) -> Reached:
    """Ask the brokers; raises a `BatchError` with their own words where that can't be done."""
    configuration, settings = brokers.configuration(cloud), cloud.request.settings
    try:
        topics = reach(configuration, cloud.deadline)
    except ConfigurationError as error:
        raise RefusedError("; ".join(error.faults), code=brokers.NO_WAY) from None
    # Who comes without a login can't be told from others, so ACLs are of no use there, and nobody is asked for them.
    logged_in = settings.security_protocol.startswith("SASL_")
    return Reached(topics, rights.missing(configuration, settings, cloud.deadline) if logged_in else ())
