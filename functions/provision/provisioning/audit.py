"""The action `audit`: whether every record is in the table or in the error topic, once, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.audit.audit import Sources
from kafka_maxcompute.audit.audit import audit as examine
from kafka_maxcompute.audit.reply import as_json
from kafka_maxcompute.diverted import ErrorTopic
from kafka_maxcompute.error_topics import KafkaDeadLetters
from kafka_maxcompute.errors import ConnectorError
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.roll_forward import Services, roll_forward
from kafka_maxcompute.row_counts import SqlRowCounts
from kafka_maxcompute.tunnel import TunnelUploadSessions, tunnel_endpoint
from provisioning import brokers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_maxcompute.ledger.operations import Pending
    from provisioning.cloud import Cloud

REQUEST = "audit"
"""What dead letters that an audit has to write say instead of an invocation of the sink."""


def audit(cloud: Cloud) -> dict[str, Any]:
    """Bring what is pending in the ledger to its end, then compare table, ledger, error topic and log.

    Every finding is a fault; so is a claim that can't be brought to its end.
    """
    settings, configuration = cloud.request.settings, brokers.configuration(cloud)
    sources = Sources(settings=settings, service=cloud.maxcompute, brokers=configuration)
    if settings.delivery == "at-least-once":
        return as_json(examine(sources, cloud.deadline))
    log = KafkaLog(configuration, settings.offset_topic)
    try:
        ledger = LogLedger(log)
        tunnel = settings.tunnel_endpoint or tunnel_endpoint(cloud.maxcompute, cloud.deadline)
        letters = KafkaDeadLetters(
            configuration, error_topic=settings.error_topic, dead_letter_topic=settings.dead_letter_topic
        )
        services = Services(
            ledger=ledger,
            sessions=TunnelUploadSessions(cloud.maxcompute.at(tunnel), settings),
            counts=SqlRowCounts(cloud.maxcompute, settings),
            errors=ErrorTopic(letters, sources.log(), settings.name, REQUEST),
        )
        faults = _rolled_forward(services, cloud)
        reply = as_json(examine(replace(sources, ledger=ledger), cloud.deadline))
    finally:
        log.close()
    return {**reply, "state": "unsound" if faults else reply["state"], "faults": [*faults, *reply["faults"]]}


def _rolled_forward(services: Services, cloud: Cloud) -> list[str]:
    """Why claims that are pending stay so; those that don't are at their end."""
    everything = services.ledger.read(cloud.deadline).pending.values()
    return [fault for pending in everything for fault in _fault(pending, services, cloud)]


def _fault(pending: Pending, services: Services, cloud: Cloud) -> Iterator[str]:
    try:
        roll_forward(pending, services, cloud.deadline)
    except ConnectorError as error:
        yield str(error)
