"""What one instance of the function keeps between invocations: checked settings and the table's shape."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import google_crc32c

from fc_powertools import logger
from kafka_maxcompute import table_definition
from kafka_maxcompute.errors import ConfigurationError, RefusedError, RejectedRecordsError
from kafka_maxcompute.service import Service
from kafka_maxcompute.settings import Settings
from kafka_maxcompute.table import check
from kafka_maxcompute.tunnel import TunnelUploadSessions, tunnel_endpoint
from maxcompute_sink.blocks import Preparation
from maxcompute_sink.delivery import deliver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fc_powertools import Deadline, Invocation
    from kafka_maxcompute.errors import RecordError

REPLY_SECONDS = 1.0
"""Kept of the invocation's time for the reply."""
LOGGED_TOGETHER = 500
"""Rejected records of one reason that one log line names."""

_log = logging.getLogger(__name__)


class Instance:
    """One connector in one process.

    Raises `ConfigurationError` with all faults of the settings. The service isn't asked for anything before a batch
    comes, since only an invocation is sure to have keys.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.settings = Settings.from_environment(environment)
        if google_crc32c.implementation != "c":
            fault = f"google_crc32c runs as {google_crc32c.implementation!r}, at a hundredth of the speed"
            raise ConfigurationError([f"{fault}; build the dependencies layer for this runtime"])
        self._preparation: Preparation | None = None
        self._tunnel_endpoint = self.settings.tunnel_endpoint

    def handle(self, payload: bytes, invocation: Invocation) -> dict[str, object]:
        """Write one batch; the reply says what was written where. Raises an error of `kafka_maxcompute.errors`."""
        logger.bind(connector=self.settings.name)
        metrics, deadline = invocation.metrics, invocation.deadline.earlier(REPLY_SECONDS)
        metrics.dimension("connector", self.settings.name)
        metrics.count("batches")
        metrics.count("payload", len(payload), "Bytes")
        service = Service(self.settings.endpoint, self.settings.project, invocation.credentials)
        preparation = self._prepared(service, deadline)
        try:
            with metrics.timed("prepare"):
                blocks = preparation.blocks(payload, now=time.time_ns() // 1_000_000)
        except RejectedRecordsError as error:
            for reason, rejected in _log_rejected(error.rejected).items():
                metrics.count(f"rejected:{reason}", rejected)
            raise
        sessions = TunnelUploadSessions(service.at(self._endpoint(service, deadline)), self.settings)
        try:
            staged = deliver(
                blocks, sessions, compression=self.settings.compression, deadline=deadline, metrics=metrics
            )
        except RefusedError:
            # The table may have changed; the next delivery looks at it anew.
            self._preparation = None
            raise
        metrics.count("records", blocks.records)
        metrics.count("uploaded", sum(len(block.body) for block in blocks.blocks), "Bytes")
        metrics.gauge("partition_values", len(staged))
        written = {
            one.block.partition_value: {"records": one.block.records, "upload_session": one.session.id}
            for one in staged
        }
        reply = {"connector": self.settings.name, "records": blocks.records, "partitions": written}
        _log.info("batch committed", extra={**reply, "offsets": blocks.offsets})
        return {**reply, "offsets": blocks.offsets}

    def _prepared(self, service: Service, deadline: Deadline) -> Preparation:
        """The preparation for the table as it was when it was last looked at."""
        if self._preparation is None:
            columns, partition_columns = table_definition.read(service, self.settings.table, deadline)
            check(self.settings, columns, partition_columns)
            self._preparation = Preparation(self.settings, columns)
        return self._preparation

    def _endpoint(self, service: Service, deadline: Deadline) -> str:
        if not self._tunnel_endpoint:
            self._tunnel_endpoint = tunnel_endpoint(service, deadline)
        return self._tunnel_endpoint


def _log_rejected(rejected: Iterable[RecordError]) -> dict[str, int]:
    """Name every rejected record in the log, those of one reason and path together; how many each reason has."""
    alike: dict[tuple[str, str], list[RecordError]] = defaultdict(list)
    for error in rejected:
        alike[error.reason, error.path].append(error)
    counts: dict[str, int] = defaultdict(int)
    for (reason, path), errors in alike.items():
        counts[reason] += len(errors)
        for start in range(0, len(errors), LOGGED_TOGETHER):
            some = errors[start : start + LOGGED_TOGETHER]
            fields = {"reason": reason, "path": path, "first": some[0].message, "records": [one.where for one in some]}
            _log.error("records can't be written", extra=fields)
    return counts
