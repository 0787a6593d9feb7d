"""Completes the claims that are pending in the ledger, in the same way as a delivery does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from kafka_maxcompute.dead_letters.error_topic import ErrorTopic
from kafka_maxcompute.dead_letters.kafka_dead_letters import KafkaDeadLetters
from kafka_maxcompute.errors import ConnectorError, LedgerError
from kafka_maxcompute.ledger import identity
from kafka_maxcompute.ledger.roll_forward import Services, roll_forward
from kafka_maxcompute.maxcompute.row_counts import SqlRowCounts
from kafka_maxcompute.maxcompute.tunnel import TunnelUploadSessions, tunnel_endpoint
from kafka_maxcompute.settings.destinations import Destinations

if TYPE_CHECKING:
    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.ledger.operations import Pending
    from provisioning.cloud import Cloud

BUDGET_SECONDS = 120.0
"""The longest time that one action spends on all pending claims."""
LEAST_SECONDS = 2.0
"""The least time that each claim gets while the budget lasts: enough for a few requests."""
SHARE = 0.5
"""The largest share of the invocation's time for pending claims; the action needs the rest afterwards."""


def services(cloud: Cloud, ledger: Ledger) -> Services:
    """Return the services that complete a claim; dead letters have the action's name as their request id."""
    settings, destinations = cloud.request.settings, Destinations.of(cloud.environment)
    if settings.tunnel_endpoint:
        tunnel = destinations.service(settings.tunnel_endpoint)
    else:
        tunnel = tunnel_endpoint(cloud.maxcompute, destinations, cloud.deadline)
    letters = KafkaDeadLetters(
        cloud.clients.appender, error_topic=settings.error_topic, dead_letter_topic=settings.dead_letter_topic
    )
    return Services(
        ledger=ledger,
        sessions=TunnelUploadSessions(cloud.maxcompute.at(tunnel), settings),
        counts=SqlRowCounts(cloud.maxcompute, settings),
        errors=ErrorTopic(letters, cloud.clients.logs(), settings.name, cloud.request.action),
    )


def complete(pending_services: Services, cloud: Cloud) -> dict[str, str]:
    """Complete all pending claims; return why a claim stays pending, by the claim's id.

    All claims together take `BUDGET_SECONDS` at most, each claim at most an even share of the remaining time. The order
    is random, so that each claim has its turn in some call if the time isn't enough for all. All claims stay pending if
    the ledger has another table's name: the table of the settings has neither their upload sessions nor their rows.
    """
    state, settings = pending_services.ledger.read(cloud.deadline), cloud.request.settings
    try:
        identity.check(state, identity.Observed(table=f"{settings.project}.{settings.table}"))
    except LedgerError as error:
        return dict.fromkeys(state.pending, str(error))
    until = cloud.deadline.within(min(BUDGET_SECONDS, cloud.deadline.remaining() * SHARE))
    waiting = list(state.pending.values())
    random.shuffle(waiting)
    reasons = {}
    while waiting:
        share = max(LEAST_SECONDS, until.remaining() / len(waiting))
        claim = waiting.pop()
        if reason := _obstacle(claim, pending_services, until.within(share)):
            reasons[claim.operation.id] = reason
    return reasons


def _obstacle(claim: Pending, pending_services: Services, deadline: Deadline) -> str:
    """Complete one claim; return why it stays pending, "" if it is completed."""
    if deadline.remaining() < LEAST_SECONDS / 2:
        return f"other claims used up the {BUDGET_SECONDS:.0f} s for pending claims; call again"
    try:
        roll_forward(claim, pending_services, deadline)
    except ConnectorError as error:
        return str(error)
    return ""
