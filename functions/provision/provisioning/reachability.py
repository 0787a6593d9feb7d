"""Whether the brokers let provisioning in, with the settings that the sink has too, and what they don't allow."""

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
    """The topics that the brokers show, by their count of topic-partitions, and the rights that lack.

    `error` says why they couldn't be asked: then nothing else that is in them needs to be asked for.
    """

    topics: Mapping[str, int] = field(default_factory=dict)
    lacking: tuple[Right, ...] = ()
    error: str = ""


def look(cloud: Cloud) -> Reached:
    """Ask the brokers. If they can't be asked, `error` of the result says why."""
    settings = cloud.request.settings
    try:
        topics = reach(cloud.clients.configuration, cloud.deadline)
        # Who comes without a login can't be told from others, so ACLs are of no use there, and none are asked for.
        logged_in = settings.security_protocol.startswith("SASL_")
        return Reached(topics, rights.missing(cloud.clients.admin, settings, cloud.deadline) if logged_in else ())
    except ConfigurationError as error:
        return Reached(error="; ".join(error.faults))
    except BatchError as error:
        return Reached(error=str(error))
