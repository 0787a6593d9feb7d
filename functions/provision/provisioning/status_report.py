"""Writes the connector's state after an action to the status topic.

Nothing depends on this report, so no action fails if it can't be written.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

from kafka_maxcompute.brokers.status_topic import Status, StatusTopic
from kafka_maxcompute.errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioning.cloud import Cloud

SECONDS = 5.0
_STATES: dict[tuple[str, str], Literal["running", "paused", "removed"]] = {
    ("pause", "paused"): "paused",
    ("resume", "running"): "running",
    ("destroy", "destroyed"): "removed",
}
"""The reported state, by the action and the state in its reply."""

_log = logging.getLogger(__name__)


def report(cloud: Cloud, reply: Mapping[str, Any]) -> None:
    """Write the connector's state, if the action changed it and the status topic still exists."""
    request = cloud.request
    state = _STATES.get((request.action, str(reply.get("state"))))
    if state is None or "topics" in request.remove:
        return
    deadline = cloud.deadline.within(SECONDS)
    try:
        appender = cloud.clients.appender
        appender.count_partitions([request.settings.status_topic], deadline)
    except BatchError as error:
        _log.warning("status isn't written", extra={"topic": request.settings.status_topic, "error": str(error)})
        return
    StatusTopic(appender, request.settings.status_topic).write(
        [Status(connector=request.settings.name, state=state)], deadline
    )
