"""Whether the brokers accept the sink's login, and which rights its user lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import BatchError, ConfigurationError
from provisioning import rights
from provisioning.broker_connection import reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioning.cloud import Cloud
    from provisioning.rights import Right


@dataclass(frozen=True, slots=True)
class Reached:
    """The topics that the brokers list, each with its number of topic-partitions, and the rights that the user lacks.

    `error` says why no broker could be asked; then the brokers are asked nothing else.
    """

    topics: Mapping[str, int] = field(default_factory=dict)
    lacking: tuple[Right, ...] = ()
    error: str = ""


def look(cloud: Cloud) -> Reached:
    """Ask the brokers for topics and rights; the result's `error` says why they can't be asked."""
    settings = cloud.request.settings
    try:
        topics = reach(cloud.clients.configuration, cloud.deadline)
        # Without a login the brokers know no user, so ACLs mean nothing, and no rights are asked for.
        logged_in = settings.security_protocol.startswith("SASL_")
        return Reached(topics, rights.missing(cloud.clients.admin, settings, cloud.deadline) if logged_in else ())
    except ConfigurationError as error:
        return Reached(error="; ".join(error.faults))
    except BatchError as error:
        return Reached(error=str(error))
