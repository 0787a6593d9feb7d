"""Claims that are pending in the ledger, brought to their end as a delivery would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.diverted import ErrorTopic
from kafka_maxcompute.error_topics import KafkaDeadLetters
from kafka_maxcompute.errors import ConnectorError, LedgerError
from kafka_maxcompute.ledger import identity
from kafka_maxcompute.roll_forward import Services, roll_forward
from kafka_maxcompute.row_counts import SqlRowCounts
from kafka_maxcompute.topic_log import KafkaOriginals
from kafka_maxcompute.tunnel import TunnelUploadSessions, tunnel_endpoint
from provisioning import brokers

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.ledger.operations import Pending
    from provisioning.cloud import Cloud


def services(cloud: Cloud, ledger: Ledger) -> Services:
    """What it takes; dead letters say the action's name instead of an invocation of the sink."""
    settings, configuration = cloud.request.settings, brokers.configuration(cloud)
    tunnel = settings.tunnel_endpoint or tunnel_endpoint(cloud.maxcompute, cloud.deadline)
    letters = KafkaDeadLetters(
        configuration, error_topic=settings.error_topic, dead_letter_topic=settings.dead_letter_topic
    )
    logs = KafkaOriginals(configuration, settings.group)
    return Services(
        ledger=ledger,
        sessions=TunnelUploadSessions(cloud.maxcompute.at(tunnel), settings),
        counts=SqlRowCounts(cloud.maxcompute, settings),
        errors=ErrorTopic(letters, logs, settings.name, cloud.request.action),
    )


def bring_to_end(using: Services, cloud: Cloud) -> dict[str, str]:
    """Why each claim that stays pending does so, by its id; the others are at their end.

    All stay where the ledger is about a table of another name: this one has neither their sessions nor their rows.
    """
    state, settings = using.ledger.read(cloud.deadline), cloud.request.settings
    try:
        identity.check(state, identity.Observed(table=f"{settings.project}.{settings.table}"))
    except LedgerError as error:
        return dict.fromkeys(state.pending, str(error))
    return {name: why for name, pending in state.pending.items() if (why := _unended(pending, using, cloud))}


def _unended(pending: Pending, using: Services, cloud: Cloud) -> str:
    try:
        roll_forward(pending, using, cloud.deadline)
    except ConnectorError as error:
        return str(error)
    return ""
