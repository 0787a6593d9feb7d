"""Entry point of the provisioning function: `handler` takes an action as JSON and returns a reply as JSON."""

from __future__ import annotations

import json
import logging

from fc_powertools import Invocation, invocation, logger
from kafka_maxcompute import __version__

NAMESPACE = "kafka_maxcompute_provision"

_log = logging.getLogger(__name__)


@invocation(namespace=NAMESPACE)
def handler(event: bytes, current: Invocation) -> str:
    """Do the event's action on a connector; docs/CONFIGURATION.md lists the actions and their fields."""
    logger.configure()
    if current.cold_start:
        _log.info("instance starts", extra={"version": __version__})
    # The import of PyODPS takes a third of a second; within the invocation, the reply can report an error of it.
    from provisioning.invocation import answer  # noqa: PLC0415

    return json.dumps(answer(event, current), ensure_ascii=False)
