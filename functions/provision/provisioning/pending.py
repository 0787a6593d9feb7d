"""Claims that are pending in the ledger, brought to their end as a delivery would."""

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
"""The longest that one action works at all that is pending."""
LEAST_SECONDS = 2.0
"""What each claim gets at least while that lasts: a few requests."""
SHARE = 0.5
"""The most of the invocation's time that it may take; the rest is for what the action does afterwards."""


def services(cloud: Cloud, ledger: Ledger) -> Services:
    """What it takes; dead letters say the action's name instead of an invocation of the sink."""
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


def bring_to_end(using: Services, cloud: Cloud) -> dict[str, str]:
    """Why each claim that stays pending does so, by its id; the others are at their end.

    All of them together take `BUDGET_SECONDS` at most, each at most its even share of what is left; the order is
    random, so that each has its turn if the time isn't enough for all. All stay if the ledger is about a table of
    another name: this one has neither their sessions nor their rows.
    """
    state, settings = using.ledger.read(cloud.deadline), cloud.request.settings
    try:
        identity.check(state, identity.Observed(table=f"{settings.project}.{settings.table}"))
    except LedgerError as error:
        return dict.fromkeys(state.pending, str(error))
    until = cloud.deadline.within(min(BUDGET_SECONDS, cloud.deadline.remaining() * SHARE))
    waiting = list(state.pending.values())
    random.shuffle(waiting)
    stays = {}
    while waiting:
        share = max(LEAST_SECONDS, until.remaining() / len(waiting))
        one = waiting.pop()
        if why := _unended(one, using, until.within(share)):
            stays[one.operation.id] = why
    return stays


def _unended(pending: Pending, using: Services, deadline: Deadline) -> str:
    if deadline.remaining() < LEAST_SECONDS / 2:
        return f"the {BUDGET_SECONDS:.0f} s for what is pending were used up by others; call again"
    try:
        roll_forward(pending, using, deadline)
    except ConnectorError as error:
        return str(error)
    return ""
