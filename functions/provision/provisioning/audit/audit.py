"""The audit of one connector: reads table, ledger, error topic and log in the order that `comparison` needs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kafka_maxcompute import probe_records
from kafka_maxcompute.brokers.log_bounds import NO_SUCH_TOPIC
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG
from kafka_maxcompute.dead_letters.dead_letter import parse
from kafka_maxcompute.dead_letters.error_topic import UNLOGGED
from kafka_maxcompute.dead_letters.generations import era
from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.ledger.state import former, taken
from kafka_maxcompute.offsets import count, intervals
from provisioning.audit.comparison import Finding, Known, findings, suspects, waiting
from provisioning.audit.partition_values import misplaced, samples
from provisioning.audit.table_runs import runs, statement
from provisioning.audit.topic_ends import Ends, topic_ends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.generations import Era
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.maxcompute.service import Service
    from kafka_maxcompute.offsets import Interval, Intervals
    from kafka_maxcompute.probe_records import Announcement
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.audit.table_runs import Run
    from provisioning.broker_clients import BrokerClients


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The sources of an audit: MaxCompute, the brokers, and the ledger (None if the connector has none).

    `starts` has the first offsets to deliver, by topic-partition, from the connector's settings record.
    """

    settings: Settings
    service: Service
    clients: BrokerClients
    ledger: Ledger | None = None
    starts: Mapping[int, int] = field(default_factory=dict)

    def ends(self, topic: str, deadline: Deadline) -> dict[int, Ends]:
        """Return a topic's present ends, by topic-partition."""
        return topic_ends(self.clients.asking, topic, deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The result for one topic-partition.

    `unverifiable` is the number of offsets that should be in the table or the error topic and are in neither, but the
    log has no record to deliver at them: the record has expired, was compacted or aborted, or is a transaction's marker
    or a probe's record. `waiting` is the number of offsets that are still to be delivered.
    """

    known: Known
    unverifiable: int
    waiting: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of an audit.

    `statement` is the query that read the table. `times_compared` is the number of records whose times were compared
    with their partition values. `pending` has the ids of claims that were still pending after the table was read.
    """

    topic: str
    statement: str
    topic_partitions: tuple[Examined, ...]
    pending: tuple[str, ...]
    times_compared: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings of all topic-partitions."""
        return tuple(finding for examined in self.topic_partitions for finding in examined.findings)


@dataclass(frozen=True, slots=True)
class _Letters:
    """The source topic's offsets that have a dead letter, by topic-partition.

    At `doubtful` offsets, the letter may be from before a reset.
    """

    sure: Mapping[int, Intervals]
    doubtful: Mapping[int, Intervals]


@dataclass(frozen=True, slots=True)
class _Observed:
    """The facts that the audit read.

    `before` and `after` are the ledger's states before and after the table was read, None without a ledger. `committed`
    has the source topic's ends and committed offsets that were read first, `ends` those that were read last.
    """

    committed: dict[int, Ends]
    before: State | None
    letters: _Letters
    rows: tuple[Run, ...]
    after: State | None
    ends: dict[int, Ends]


def audit(sources: Sources, deadline: Deadline) -> Report:
    """Read and compare the sources; change nothing. Raises `BatchError` or `LedgerError` if a source can't be read."""
    settings = sources.settings
    observed = _read(sources, deadline)
    partitions = sorted({*observed.ends, *(run.partition for run in observed.rows)})
    known_by_partition = {partition: _known(partition, observed, sources) for partition in partitions}
    missing = {partition: suspects(known) for partition, known in known_by_partition.items()}
    existing = _existing(sources, missing, deadline)
    times = _times(sources, samples(observed.rows), deadline)
    wrong = misplaced(observed.rows, times, settings)
    return Report(
        topic=settings.source_topic,
        statement=str(statement(settings)),
        topic_partitions=tuple(
            Examined(
                known=known,
                unverifiable=count(missing[partition]) - count(existing.get(partition, ())),
                waiting=waiting(known),
                findings=tuple(findings(known, existing.get(partition, ()), wrong.get(partition, ()))),
            )
            for partition, known in known_by_partition.items()
        ),
        pending=tuple(observed.after.pending) if observed.after else (),
        times_compared=len(times),
    )


def _read(sources: Sources, deadline: Deadline) -> _Observed:
    """Read the sources in the order that `comparison` needs."""
    settings, ledger = sources.settings, sources.ledger
    committed = sources.ends(settings.source_topic, deadline)
    before = ledger.read(deadline) if ledger else None
    return _Observed(
        committed=committed,
        before=before,
        letters=_letters(sources, before, deadline),
        rows=tuple(runs(sources.service, settings, deadline)),
        after=ledger.read(deadline) if ledger else None,
        ends=sources.ends(settings.source_topic, deadline),
    )


def _letters(sources: Sources, state: State | None, deadline: Deadline) -> _Letters:
    """Return the offsets of the connector's dead letters, except letters `not-in-log`: their records may have rows."""
    settings = sources.settings
    topics = {settings.error_topic, settings.dead_letter_topic}
    wanted = {(topic, partition): WHOLE_LOG for topic in topics for partition in sources.ends(topic, deadline)}
    offsets: dict[Era, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for _, _, message in sources.clients.logs().stream(wanted, deadline):
        letter = parse(message)
        if letter is None or (letter.connector, letter.topic) != (settings.name, settings.source_topic):
            continue
        if letter.partition is not None and letter.offset is not None and letter.reason != UNLOGGED:
            offsets[era(letter, state)][letter.partition].append(letter.offset)
    sure, doubtful = (
        {partition: intervals(listed) for partition, listed in offsets[age].items()} for age in ("now", "unknown")
    )
    return _Letters(sure, doubtful)


def _known(partition: int, observed: _Observed, sources: Sources) -> Known:
    place, ends = (sources.settings.source_topic, partition), observed.ends.get(partition, Ends(0, 0))
    committed, before, after = observed.committed.get(partition), observed.before, observed.after
    known = Known(
        partition=partition,
        begin=ends.begin,
        end=ends.end,
        runs=tuple(run for run in observed.rows if run.partition == partition),
        letters=observed.letters.sure.get(partition, ()),
        doubtful=observed.letters.doubtful.get(partition, ()),
        former=former(after, place) if after else (),
        committed=committed.committed if committed else None,
        settled=before.settled.get(place, ()) if before else None,
        claimed=taken(after).get(place, ()) if after else None,
    )
    start = after.starts.get(place) if after else None
    start = sources.starts.get(partition) if start is None else start
    return replace(known, start=_start(known, start, sources.settings))


def _start(known: Known, given: int | None, settings: Settings) -> int:
    """Return the first offset to deliver: `given`, or without it the first offset that was delivered."""
    if given is not None:
        return given
    delivered = [offsets[0][0] for offsets in (known.visible, known.letters, known.settled) if offsets]
    if settings.consumer_offset == "earliest":
        delivered.append(known.begin)
    return min(delivered, default=known.end)


def _existing(sources: Sources, missing: Mapping[int, Intervals], deadline: Deadline) -> dict[int, Intervals]:
    """Return the missing offsets at which the log has a record that isn't an announced probe's."""
    settings, announced = sources.settings, None
    wanted = {(settings.source_topic, partition): offsets for partition, offsets in missing.items() if offsets}
    existing: dict[int, list[Interval]] = defaultdict(list)
    # An aborted record counts as nonexistent, even if the stream delivers aborted records.
    for (_, partition), offset, record in sources.clients.logs(committed=True).stream(wanted, deadline):
        if probe_records.may_be_one(record):
            # Any producer can write a probe mark, so the config topic decides. It's read only if a record has a mark.
            announced = _announced(sources, deadline) if announced is None else announced
            if any(probe.holds(settings.source_topic, partition, offset) for probe in announced):
                continue
        # Records come in the log's order. A list of ten million single offsets would take a gigabyte.
        spans = existing[partition]
        if spans and spans[-1][1] == offset - 1:
            spans[-1] = spans[-1][0], offset
        else:
            spans.append((offset, offset))
    return {partition: tuple(offsets) for partition, offsets in existing.items()}


def _announced(sources: Sources, deadline: Deadline) -> tuple[Announcement, ...]:
    """Return the connector's probes that the config topic announces; () if the topic doesn't exist."""
    place = sources.settings.config_topic, 0
    try:
        log = [record for _, _, record in sources.clients.logs().stream({place: WHOLE_LOG}, deadline)]
    except RefusedError as error:
        if error.code != NO_SUCH_TOPIC:
            raise
        return ()
    return tuple(probe_records.announcements(log, sources.settings.name).values())


def _times(sources: Sources, wanted: Mapping[int, Intervals], deadline: Deadline) -> dict[tuple[int, int], int | None]:
    """Return the timestamps (epoch ms) of the log's records at wanted offsets, by topic-partition and offset."""
    topic = sources.settings.source_topic
    places = {(topic, partition): offsets for partition, offsets in wanted.items()}
    return {
        (partition, offset): record.timestamp
        for (_, partition), offset, record in sources.clients.logs().stream(places, deadline)
    }
