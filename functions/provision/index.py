"""Entry points of the provisioning function: `handler` takes an action as JSON and answers with JSON."""

from __future__ import annotations

import json
import logging

from fc_powertools import Invocation, invocation, logger
from kafka_maxcompute import __version__

NAMESPACE = "kafka_maxcompute_provision"

_log = logging.getLogger(__name__)


@invocation(namespace=NAMESPACE)
def handler(event: bytes, current: Invocation) -> str:
    """Plan, apply, look at, pause, resume or destroy a connector; docs/CONFIGURATION.md lists the event's fields."""
    logger.configure()
    if current.cold_start:
        _log.info("instance starts", extra={"version": __version__})
    # PyODPS takes a third of a second, which belongs into the invocation: its faults can be told in a reply.
    from provisioning.invocation import answer  # noqa: PLC0415

    return json.dumps(answer(event, current), ensure_ascii=False)
