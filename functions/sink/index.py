"""Entry points of the sink function: `handler`, `initialize` (instance start) and `pre_stop` (instance end)."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

from fc_powertools import Invocation, hook, invocation, logger
from fc_powertools.deadline import EVENTBRIDGE_LIMIT_SECONDS
from kafka_maxcompute import __version__

if TYPE_CHECKING:
    from maxcompute_sink.instance import Instance

NAMESPACE = "kafka_maxcompute"

_log = logging.getLogger(__name__)
_starting = threading.Lock()
_instances: list[Instance] = []


@hook(namespace=NAMESPACE)
def initialize(current: Invocation) -> None:
    """Import heavy modules, check the settings and connect to the brokers; raises an error with all faults."""
    _instance(current).start(current)


@invocation(namespace=NAMESPACE, limit_seconds=EVENTBRIDGE_LIMIT_SECONDS)
def handler(event: bytes, current: Invocation) -> str:
    """Write one batch of Kafka events into the table; raises if it isn't written, so that it's delivered again."""
    return json.dumps(_instance(current).handle(event, current))


@hook(namespace=NAMESPACE)
def pre_stop(current: Invocation) -> None:
    """Write the last status and disconnect from the brokers; answered batches are already in the table and topics."""
    with _starting:
        while _instances:
            _instances.pop().stop(current.deadline)
    _log.info("instance stops")


def _instance(current: Invocation) -> Instance:
    """Return the only `Instance` of this process; create it if the initializer wasn't called."""
    with _starting:
        if not _instances:
            logger.configure()
            _log.info("instance starts", extra={"version": __version__})
            # These imports take half a second: they belong into the initializer and not into loading this file.
            from maxcompute_sink.instance import Instance  # noqa: PLC0415

            _instances.append(Instance(current.environment))
        return _instances[0]
