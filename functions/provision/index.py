"""Entry points of the provisioning function: `handler` takes an action as JSON and answers with JSON."""

from __future__ import annotations

import json

from fc_powertools import Invocation, invocation, logger

NAMESPACE = "kafka_maxcompute_provision"


@invocation(namespace=NAMESPACE)
def handler(event: bytes, current: Invocation) -> str:
    """Plan, apply, look at, pause, resume or destroy a connector; docs/CONFIGURATION.md lists the event's fields."""
    logger.configure()
    # PyODPS takes a third of a second, which belongs into the invocation: its faults can be told in a reply.
    from provisioning.invocation import answer  # noqa: PLC0415

    return json.dumps(answer(event, current), ensure_ascii=False)
