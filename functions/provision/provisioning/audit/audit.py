"""An audit of one connector: everything that is asked for, in its order, and what was found."""

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
    """What an audit asks: the table's service, the brokers, and the ledger where the connector has one.

    `starts` are the offsets, by topic-partition, at which the connector was told to begin.
    """

    settings: Settings
    service: Service
    clients: BrokerClients
    ledger: Ledger | None = None
    starts: Mapping[int, int] = field(default_factory=dict)

    def ends(self, topic: str, deadline: Deadline) -> dict[int, Ends]:
        """The ends of a topic's logs now."""
        return topic_ends(self.clients.asking, topic, deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A topic-partition, and what came out of it; all numbers are of offsets.

    `unverifiable` should be somewhere, are nowhere, and the log has no record of them (any more): expired, compacted,
    a transaction's marker or aborted with it, or a probe's. `waiting` have yet to be delivered.
    """

    known: Known
    unverifiable: int
    waiting: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an audit found; `times_compared` is how many records' times were held against their partition values.

    `pending` are the ids of claims that weren't settled at the end.
    """

    topic: str
    statement: str
    topic_partitions: tuple[Examined, ...]
    pending: tuple[str, ...]
    times_compared: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return tuple(finding for one in self.topic_partitions for finding in one.findings)


@dataclass(frozen=True, slots=True)
class _Letters:
    """The source topic's offsets that have a letter, by topic-partition; `doubtful` ones may be of before a reset."""

    sure: Mapping[int, Intervals]
    doubtful: Mapping[int, Intervals]


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What was asked for, by topic-partition; `before` and `after` the table was read, None without a ledger."""

    committed: dict[int, Ends]
    before: State | None
    letters: _Letters
    rows: tuple[Run, ...]
    after: State | None
    ends: dict[int, Ends]


def audit(sources: Sources, deadline: Deadline) -> Report:
    """Compare everything; changes nothing. Raises a `BatchError` where a source can't be asked, `LedgerError` too."""
    settings = sources.settings
    gathered = _gathered(sources, deadline)
    partitions = sorted({*gathered.ends, *(run.partition for run in gathered.rows)})
    everything = {partition: _known(partition, gathered, sources) for partition in partitions}
    doubted = {partition: suspects(known) for partition, known in everything.items()}
    existing = _existing(sources, doubted, deadline)
    times = _times(sources, samples(gathered.rows), deadline)
    wrong = misplaced(gathered.rows, times, settings)
    return Report(
        topic=settings.source_topic,
        statement=str(statement(settings)),
        topic_partitions=tuple(
            Examined(
                known=known,
                unverifiable=count(doubted[partition]) - count(existing.get(partition, ())),
                waiting=waiting(known),
                findings=tuple(findings(known, existing.get(partition, ()), wrong.get(partition, ()))),
            )
            for partition, known in everything.items()
        ),
        pending=tuple(gathered.after.pending) if gathered.after else (),
        times_compared=len(times),
    )


def _gathered(sources: Sources, deadline: Deadline) -> _Gathered:
    """Everything that is compared, asked for in the order that `comparison` needs."""
    settings, ledger = sources.settings, sources.ledger
    committed = sources.ends(settings.source_topic, deadline)
    before = ledger.read(deadline) if ledger else None
    return _Gathered(
        committed=committed,
        before=before,
        letters=_letters(sources, before, deadline),
        rows=tuple(runs(sources.service, settings, deadline)),
        after=ledger.read(deadline) if ledger else None,
        ends=sources.ends(settings.source_topic, deadline),
    )


def _letters(sources: Sources, state: State | None, deadline: Deadline) -> _Letters:
    """The dead letters of this connector, without those of records that may have a row as well."""
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
        {partition: intervals(found) for partition, found in offsets[which].items()} for which in ("now", "unknown")
    )
    return _Letters(sure, doubtful)


def _known(partition: int, gathered: _Gathered, sources: Sources) -> Known:
    place, ends = (sources.settings.source_topic, partition), gathered.ends.get(partition, Ends(0, 0))
    committed, before, after = gathered.committed.get(partition), gathered.before, gathered.after
    known = Known(
        partition=partition,
        begin=ends.begin,
        end=ends.end,
        runs=tuple(run for run in gathered.rows if run.partition == partition),
        letters=gathered.letters.sure.get(partition, ()),
        doubtful=gathered.letters.doubtful.get(partition, ()),
        former=former(after, place) if after else (),
        committed=committed.committed if committed else None,
        settled=before.settled.get(place, ()) if before else None,
        claimed=taken(after).get(place, ()) if after else None,
    )
    told = after.starts.get(place) if after else None
    told = sources.starts.get(partition) if told is None else told
    return replace(known, start=_start(known, told, sources.settings))


def _start(known: Known, told: int | None, settings: Settings) -> int:
    """The first offset that was the connector's to deliver: what it was told, else where it has begun, as it seems."""
    if told is not None:
        return told
    somewhere = [found[0][0] for found in (known.visible, known.letters, known.settled) if found]
    if settings.consumer_offset == "earliest":
        somewhere.append(known.begin)
    return min(somewhere, default=known.end)


def _existing(sources: Sources, doubted: Mapping[int, Intervals], deadline: Deadline) -> dict[int, Intervals]:
    """Those of the offsets that the log has records for; an announced probe's aren't meant to be anywhere else."""
    settings, announced = sources.settings, None
    wanted = {(sources.settings.source_topic, partition): found for partition, found in doubted.items() if found}
    existing: dict[int, list[Interval]] = defaultdict(list)
    # Whether aborted records are delivered is for the stream to know; nobody can miss them.
    for (_, partition), offset, record in sources.clients.logs(committed=True).stream(wanted, deadline):
        if probe_records.may_be_one(record):
            # Asked for once, if there is a mark at all: anybody can write one.
            announced = _announced(sources, deadline) if announced is None else announced
            if any(one.holds(settings.source_topic, partition, offset) for one in announced):
                continue
        # They come in the log's order. A list of every offset would take a gigabyte for ten million.
        found = existing[partition]
        if found and found[-1][1] == offset - 1:
            found[-1] = found[-1][0], offset
        else:
            found.append((offset, offset))
    return {partition: tuple(found) for partition, found in existing.items()}


def _announced(sources: Sources, deadline: Deadline) -> tuple[Announcement, ...]:
    """The connector's probes, as the config topic has them; none without that topic."""
    place = sources.settings.config_topic, 0
    try:
        log = [record for _, _, record in sources.clients.logs().stream({place: WHOLE_LOG}, deadline)]
    except RefusedError as error:
        if error.code != NO_SUCH_TOPIC:
            raise
        return ()
    return tuple(probe_records.announcements(log, sources.settings.name).values())


def _times(sources: Sources, wanted: Mapping[int, Intervals], deadline: Deadline) -> dict[tuple[int, int], int | None]:
    """The times (ms) of records that the log still has, by topic-partition and offset."""
    topic = sources.settings.source_topic
    places = {(topic, partition): found for partition, found in wanted.items()}
    return {
        (partition, offset): record.timestamp
        for (_, partition), offset, record in sources.clients.logs().stream(places, deadline)
    }
