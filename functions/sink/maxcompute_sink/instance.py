"""One instance of the function, and what it keeps between invocations: settings, the table's definition, clients."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import google_crc32c

from fc_powertools import logger
from kafka_maxcompute.brokers import login
from kafka_maxcompute.dead_letters.error_topic import ErrorTopic
from kafka_maxcompute.errors import (
    BatchError,
    ConfigurationError,
    LedgerError,
    RefusedError,
    RejectedRecordsError,
    TableChangedError,
    UnavailableError,
)
from kafka_maxcompute.ledger import offset_topic, source_topics
from kafka_maxcompute.ledger.roll_forward import Services
from kafka_maxcompute.maxcompute.row_counts import SqlRowCounts
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.maxcompute.tunnel import TunnelUploadSessions, tunnel_endpoint
from kafka_maxcompute.settings.destinations import Destinations
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink import at_least_once, batch, exactly_once, probe, rejected
from maxcompute_sink.batch_table import BatchTable
from maxcompute_sink.broker_clients import BrokerClients
from maxcompute_sink.framing import ENCODINGS
from maxcompute_sink.old_claims import OldClaims
from maxcompute_sink.replaced_text import ReplacedText
from maxcompute_sink.reply import Reply
from maxcompute_sink.source_check import SourceCheck
from maxcompute_sink.staging import Stager
from maxcompute_sink.target_table import TargetTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fc_powertools import Deadline, Invocation, Metrics
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.probe_records import Sighting
    from kafka_maxcompute.settings.destinations import TrustedAddress
    from maxcompute_sink.blocks import Blocks
    from maxcompute_sink.connections import Connections
    from maxcompute_sink.decode import Decoded
    from maxcompute_sink.rejected import Rejected

REPLY_SECONDS = 1.0
"""The part of the invocation's time that is kept for the reply."""
CHECK_SECONDS = 10.0
"""How long an instance's start may check the offset topic; if this fails, its first batch checks the topic."""

_log = logging.getLogger(__name__)


class Instance:
    """One connector in one process.

    Raises `ConfigurationError` with all faults of the settings. No request to MaxCompute is sent before the first
    batch, because only an invocation is sure to have keys.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.settings = Settings.from_environment(environment)
        if google_crc32c.implementation != "c":
            fault = f"google_crc32c runs as {google_crc32c.implementation!r}, at a hundredth of the speed"
            raise ConfigurationError([f"{fault}; build the dependencies layer for this runtime"])
        self._table = TargetTable(self.settings)
        self._destinations = Destinations.of(environment)
        self._endpoint = self._destinations.service(self.settings.endpoint)
        self._tunnel_endpoint = self._named_tunnel()
        self._clients = BrokerClients(self.settings)
        self._checked = False
        self._state: State | None = None
        self._old_claims = OldClaims()
        self._announcements = probe.Announcements(self.settings)

    def handle(self, payload: bytes, invocation: Invocation) -> dict[str, object]:
        """Write one batch and return the reply, with the rows and where they are; raises a `ConnectorError`."""
        logger.bind(connector=self.settings.name)
        metrics, deadline = invocation.metrics, invocation.deadline.earlier(REPLY_SECONDS)
        metrics.dimension("connector", self.settings.name)
        metrics.count("batches")
        metrics.count("payload", len(payload), "Bytes")
        payload = self._without_probes(payload, invocation, deadline)
        service = Service(self._endpoint, self.settings.project, invocation.credentials)
        try:
            reply = self._write_with_login(payload, _Call(invocation, service, deadline))
        except BatchError as error:
            if isinstance(error, RefusedError | LedgerError | TableChangedError):
                # The table may have changed; the next delivery reads its definition.
                self._table.forget()
            if isinstance(error, RefusedError | UnavailableError):
                # Tunnel may have moved; the next delivery requests its address.
                self._tunnel_endpoint = self._named_tunnel()
            if self._clients.upkeep is not None:
                self._clients.upkeep.after_failure(error, deadline)
            raise
        if self._clients.upkeep is not None:
            self._clients.upkeep.after_batch(reply.offsets, self._state, metrics, deadline)
        metrics.count("records", reply.records)
        metrics.gauge("partition_values", len(reply.parts))
        answer = reply.as_json(self.settings.name)
        _log.info("batch committed", extra=answer)
        return answer

    def _without_probes(self, payload: bytes, invocation: Invocation, deadline: Deadline) -> bytes:
        """Return the batch without records of announced probes; raises `ProbeError` if a probe wants a failure."""

        def connect() -> Connections | None:
            return self._clients.connect(invocation, deadline)

        def report(sightings: Sequence[Sighting]) -> None:
            if (connections := connect()) is not None:
                probe.report(connections, self.settings.status_topic, sightings, deadline)

        return probe.without_probes(
            payload,
            lambda nonces: self._announcements.of(nonces, connect, deadline),
            report,
            request_id=str(invocation.context.request_id),
            now=time.time_ns() // 1_000_000,
        )

    def start(self, invocation: Invocation) -> None:
        """Connect to the brokers and check the offset topic before the first batch; raises `ConfigurationError`."""
        connections = self._clients.connect(invocation)
        if connections is not None and connections.ledger is not None:
            try:
                self._check_offset_topic(connections, invocation.deadline.within(CHECK_SECONDS))
            except BatchError as error:
                _log.warning("the offset topic can't be checked now, the first batch checks it: %s", error)

    def stop(self, deadline: Deadline) -> None:
        """Write the statuses that were held back, and disconnect from the brokers."""
        if self._clients.connections is not None:
            self._clients.connections.status.write_held(deadline)
        self.close()

    def close(self) -> None:
        """Disconnect from the brokers; answered batches are already in the topics, so nothing is lost."""
        self._clients.close()

    def _write_with_login(self, payload: bytes, call: _Call) -> Reply:
        """Write a batch; if the brokers refuse the clients' login, write it again with new clients."""
        try:
            return self._write(payload, call)
        except RefusedError as error:
            if error.code != login.REFUSED or not self._clients.renew(call.invocation, call.deadline):
                raise
        return self._write(payload, call)

    def _write(self, payload: bytes, call: _Call) -> Reply:
        preparation = self._table.known(call.service, call.deadline).preparation
        with call.metrics.timed("prepare"):
            decoded = preparation.decode(payload)
        connections = self._clients.connect(call.invocation, call.deadline)
        table = self._batch_table(connections, call)
        errors = None
        if connections is not None:
            request = str(call.invocation.context.request_id)
            errors = ErrorTopic(connections.letters, connections.originals, self.settings.name, request)
        upkeep = self._clients.upkeep
        if connections is None or connections.ledger is None or errors is None or upkeep is None:
            return self._at_least_once(decoded, table, errors, call)
        self._check_offset_topic(connections, call.deadline)
        services = Services(connections.ledger, self._sessions(call), SqlRowCounts(call.service, self.settings), errors)
        topics = source_topics.SourceTopics(connections.configuration, connections.originals)
        name = f"{self.settings.project}.{self.settings.table}"
        parts = exactly_once.ExactlyOnce(
            services,
            table,
            SourceCheck(name, table, topics, call.deadline),
            upkeep,
            ENCODINGS[self.settings.compression],
            self.settings.failure_policy,
            self._old_claims,
        )
        return self._exactly_once(decoded, parts, call)

    def _at_least_once(self, decoded: Decoded, table: BatchTable, errors: ErrorTopic | None, call: _Call) -> Reply:
        """Write a batch without a ledger; rejected records go to the error topic, or they fail the batch."""
        error_topic = errors if self.settings.failure_policy == "continue" else None

        def set_aside(bad: Sequence[Rejected]) -> None:
            if error_topic is None:
                raise RejectedRecordsError([rejection.error for rejection in bad], records=decoded.elements)
            error_topic.write(batch.reasons(bad), call.deadline, batch.known(decoded, bad))
            error_topic.write_elements(
                [(element.error, element.element) for element in batch.placeless(bad)], call.deadline
            )

        def prepare() -> Blocks:
            blocks = table.prepare(decoded, None)
            if blocks.rejected and error_topic is None:
                set_aside(blocks.rejected)
            return blocks

        def stager() -> Stager:
            return Stager(
                self._sessions(call),
                ENCODINGS[self.settings.compression],
                remake=lambda records: table.prepare(batch.only(decoded, records), None).blocks[0],
                renew=table.renew,
            )

        parts = at_least_once.AtLeastOnce(prepare, set_aside, stager)
        staged, diverted = at_least_once.deliver(parts, deadline=call.deadline, metrics=call.metrics)
        return Reply.of_staged(staged, diverted=diverted)

    def _exactly_once(self, decoded: Decoded, parts: exactly_once.ExactlyOnce, call: _Call) -> Reply:
        """Write a batch with the ledger."""
        rejected.log(batch.placeless(decoded.rejected), call.metrics)
        state, self._state = self._state, None
        done = exactly_once.deliver(decoded, parts, deadline=call.deadline, metrics=call.metrics, state=state)
        self._state = done.state
        exactly_once.gauge(done, call.metrics, now=parts.services.clock())
        return Reply.of_delivered(done)

    def _batch_table(self, connections: Connections | None, call: _Call) -> BatchTable:
        originals = None if connections is None else connections.originals
        text = ReplacedText(self.settings, originals, call.metrics)
        return BatchTable(self.settings.table, self._table, call.service, text, call.metrics, call.deadline, call.began)

    def _check_offset_topic(self, connections: Connections, deadline: Deadline) -> None:
        """Check once that the ledger's topic keeps its messages; raises `ConfigurationError`."""
        if not self._checked:
            with login.LoginAdmin(connections.configuration) as client:
                offset_topic.check(client, self.settings.offset_topic, deadline)
            self._checked = True

    def _named_tunnel(self) -> TrustedAddress | None:
        named = self.settings.tunnel_endpoint
        return self._destinations.service(named) if named else None

    def _sessions(self, call: _Call) -> TunnelUploadSessions:
        if self._tunnel_endpoint is None:
            self._tunnel_endpoint = tunnel_endpoint(call.service, self._destinations, call.deadline)
        return TunnelUploadSessions(call.service.at(self._tunnel_endpoint), self.settings)


@dataclass(frozen=True, slots=True)
class _Call:
    """One invocation; `began` is in seconds of the monotonic clock."""

    invocation: Invocation
    service: Service
    deadline: Deadline
    began: float = field(default_factory=time.monotonic)

    @property
    def metrics(self) -> Metrics:
        """The invocation's metrics."""
        return self.invocation.metrics
