"""The action `reset`: named topic-partitions begin at given offsets, in the ledger and in the group.

The ledger forgets its settled offsets from the given offset on, so their records are written again; records before the
given offset count as written. The reset begins a new generation, so earlier claims have no effect any more. With
`keep_settled` only the group begins there: records that the ledger has as settled are dropped when they come again.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from kafka_maxcompute.errors import LedgerError, RefusedError
from kafka_maxcompute.ledger import identity, marks
from kafka_maxcompute.ledger.operations import Genesis, Reset, Snapshot, State
from kafka_maxcompute.ledger.source_topics import ids
from kafka_maxcompute.offsets import count, gaps, within
from provisioning import brokers
from provisioning.connector_resources import stream
from provisioning.lag import of_ledger
from provisioning.resources.ledger import begin, opened
from provisioning.resources.start import outside
from provisioning.resources.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kafka_maxcompute.ledger.operations import Identity, Mark
    from kafka_maxcompute.offsets import Interval, TopicPartition
    from provisioning.cloud import Cloud

EXACTLY_ONCE = "exactly-once"


@dataclass(frozen=True, slots=True)
class ResetFacts:
    """The facts that a reset depends on.

    `starts` are the wanted first offsets, `logs` the first and next offset of each topic-partition of the source topic,
    `committed` the group's committed offsets, `now` the identity of table and topic now. `state` is the ledger's, None
    without a readable ledger; `lost` says why the ledger can't be relied on. `marks` are marks of the records in these
    logs; `marked` has the digest of the record that each log holds at the ledger's mark. `same_topic`: the caller
    confirms that the source topic is still the topic whose records the ledger has. `keep_settled`: the ledger stays
    unchanged.
    """

    starts: Mapping[int, int]
    logs: Mapping[int, Interval]
    committed: Mapping[int, int]
    now: Identity
    running: bool
    state: State | None = None
    lost: str = ""
    marks: Mapping[TopicPartition, Mark] = field(default_factory=dict)
    marked: Mapping[TopicPartition, str] = field(default_factory=dict)
    same_topic: bool = False
    keep_settled: bool = False


def reset(cloud: Cloud) -> dict[str, Any]:
    """Return the effects of the reset; do it if the connector's name confirms it and no fault blocks it."""
    request, settings = cloud.request, cloud.request.settings
    if not request.start and request.start_timestamp is None and not request.same_topic:
        fault = (
            "start: expected start or start_timestamp, where topic-partitions begin, or same_topic, with which all go "
            "on, found none; set one of them"
        )
        return {"state": "blocked", "faults": [fault], "topic_partitions": []}
    facts = _facts(cloud)
    effects = [_effect(settings.source_topic, number, facts) for number in sorted(facts.starts)]
    faults = list(obstacles(cloud.request.settings.source_topic, facts))
    if request.confirm not in {"", settings.name}:
        faults.append(f"confirm: expected the connector's name, {settings.name!r}, found {request.confirm!r}")
    if faults or not request.confirm:
        return {"state": "blocked" if faults else "planned", "faults": faults, "topic_partitions": effects}
    # The group comes first: brokers refuse the commit while the group has members, and then the ledger must not change.
    if facts.starts:
        brokers.commit(cloud, facts.starts)
    if facts.keep_settled and facts.state is not None:
        generation: int | None = facts.state.generation
    else:
        generation = _begin(cloud, facts) if settings.delivery == EXACTLY_ONCE else None
    return {"state": "reset", "faults": [], "topic_partitions": effects, "generation": generation}


def obstacles(topic: str, facts: ResetFacts) -> Iterator[str]:
    """Yield the faults that block the reset. Pure."""
    if facts.running:
        yield "the stream is running; pause it first"
    yield from outside(topic, facts.starts, facts.logs).values()
    if facts.keep_settled:
        if facts.state is None:
            lack = f"one that can't be relied on ({facts.lost})" if facts.lost else "none"
            yield f"keep_settled: expected a ledger that drops settled records, found {lack}; leave keep_settled out"
        return
    if facts.state is not None and facts.state.pending:
        names = ", ".join(sorted(facts.state.pending))
        yield f"claims are pending: {names}; call status, which completes them, then call again"
    yield from _table_faults(facts)
    others = sorted(facts.logs.keys() - facts.starts.keys())
    if facts.lost and others:
        listed = ", ".join(map(str, others))
        yield f"the ledger can't be relied on ({facts.lost}), so name every topic-partition; {listed} are missing"
    elif others and facts.state is not None:
        yield from _topic_faults(topic, facts, facts.state)


def _table_faults(facts: ResetFacts) -> Iterator[str]:
    """Yield the faults of same_topic and of the table: a ledger needs a table with a creation time."""
    if facts.state is None:
        if facts.same_topic:
            yield "same_topic: expected a ledger to go on with, found none; name every topic-partition instead"
        return
    known, now = facts.state.identity.table_created if facts.state.identity else 0, facts.now.table_created
    if not now:
        yield f"table {facts.now.table}: expected its creation time from MaxCompute, found none; call again"
    elif not facts.starts and known not in {0, now}:
        yield (
            f"table {facts.now.table}: expected the one created at {known} (epoch ms), found {now}; "
            "name the topic-partitions whose records are to be in it"
        )


def _topic_faults(topic: str, facts: ResetFacts, state: State) -> Iterator[str]:
    """Yield a fault if the settled offsets of topic-partitions that aren't named may be of another topic's records."""
    places = {(topic, number): end for number, (_, end) in facts.logs.items() if number not in facts.starts}
    settled = {place: state.settled[place] for place in places if place in state.settled}
    marked = {place: digest for place, digest in facts.marked.items() if place in places}
    observed = identity.Observed(topics=facts.now.topics, ends=places, dropped=settled, marks=marked)
    signs = list(identity.signs_of_another(state, observed))
    for sign in signs:
        yield f"name these topic-partitions as well: {sign}"
    if not signs and not facts.same_topic:
        advice = (
            f"if {topic} is still the topic whose records are written, give same_topic; else name every topic-partition"
        )
        yield from (f"{doubt}; {advice}" for doubt in identity.unproven_logs(state, observed))


def _facts(cloud: Cloud) -> ResetFacts:
    """Read the facts; raises `RefusedError` if the table of a ledger doesn't exist."""
    request, settings, deadline = cloud.request, cloud.request.settings, cloud.deadline.within(brokers.SECONDS)
    moment = request.start_timestamp
    starts = request.start if moment is None else brokers.offsets_at(cloud, moment)
    topic, logs = settings.source_topic, brokers.logs(cloud)
    places = [(topic, number) for number in logs]
    resource = stream(request)
    stream_state = resource.look(cloud)
    running = stream_state is not None and not resource.is_paused(stream_state)
    committed, table = brokers.committed(cloud), f"{settings.project}.{settings.table}"
    if settings.delivery != EXACTLY_ONCE:
        now = identity.identity(settings.name, table, None, {})
        return ResetFacts(
            starts, logs, committed, now, running, same_topic=request.same_topic, keep_settled=request.keep_settled
        )
    definition = Table(settings).look(cloud)
    if definition is None:
        remedy = "create it first (plan without create_table prints the statement), then call again"
        raise RefusedError(
            f"expected table {table}, whose rows the ledger settles, found none; {remedy}", code="NoSuchTable"
        )
    now = identity.identity(settings.name, table, definition.created, ids(cloud.clients.admin, [topic], deadline))
    originals = cloud.clients.logs()
    facts = ResetFacts(
        starts,
        logs,
        committed,
        now,
        running,
        marks=marks.of_logs({(topic, number): ends for number, ends in logs.items()}, originals, deadline),
        same_topic=request.same_topic,
        keep_settled=request.keep_settled,
    )
    with opened(cloud, settings) as (_, ledger):
        try:
            state = ledger.read(deadline)
        except LedgerError as error:
            return dataclasses.replace(facts, lost=str(error))
    settled = {place: offsets for place, offsets in state.settled.items() if place in places}
    return dataclasses.replace(facts, state=state, marked=marks.look(state, settled, originals, deadline).digests)


def _effect(topic: str, number: int, facts: ResetFacts) -> dict[str, Any]:
    """Return the effect on one topic-partition, with the numbers of `status`: offsets that the log still has.

    `delivered_again` counts offsets from the start on that are written a second time, `left_out` offsets before the
    start that aren't written. Written offsets are the ledger's settled ones; without a ledger, those before the group's
    committed offset.
    """
    start, (first, end) = facts.starts[number], facts.logs.get(number, (0, 0))
    committed = facts.committed.get(number)
    if facts.state is not None:
        written = facts.state.settled.get((topic, number), ())
    else:
        written = ((0, committed - 1),) if committed else ()
    progress = of_ledger(written, first, end)
    return {
        "topic": topic,
        "partition": number,
        "start": start,
        "end": end if number in facts.logs else None,
        "committed": committed,
        "settled_up_to": None if facts.state is None else progress["settled_up_to"],
        "lag": progress["lag"],
        "delivered_again": 0 if facts.keep_settled else count(within(written, max(first, start), end - 1)),
        "left_out": count(gaps(written, within=(first, start - 1))) if start > first else 0,
    }


def _begin(cloud: Cloud, facts: ResetFacts) -> int:
    """Begin the next generation of the ledger, or a new ledger if the ledger is lost; return the generation's number.

    Raises `RefusedError` if another operation came first.
    """
    topic, name = cloud.request.settings.source_topic, uuid.uuid4().hex
    with opened(cloud, cloud.request.settings) as (log, ledger):
        begun: Reset | Snapshot
        if facts.state is None:
            # A snapshot covers at least one operation, even in a topic created again.
            ledger.append(Genesis(identity=facts.now), cloud.deadline)
            end = log.end(cloud.deadline)
            starts = {(topic, number): start for number, start in facts.starts.items()}
            begun = identity.new_beginning(
                facts.now, starts, end=end, now=time.time_ns() // 1_000_000, id_=name, marks=facts.marks
            )
        else:
            begun = _reset(facts.state, topic, facts, name)
        return begin(ledger, begun, name, cloud.deadline).generation


def _reset(state: State, topic: str, facts: ResetFacts, name: str) -> Reset:
    """Return the next generation. A topic that goes on keeps its known id if the brokers don't report the id now."""
    starts = {(topic, number): start for number, start in facts.starts.items()}
    goes_on = facts.logs.keys() > facts.starts.keys() and state.identity is not None
    known = state.topic_ids if goes_on else {}
    current = replace(facts.now, topics={**known, **facts.now.topics})
    return Reset(id=name, generation=state.generation + 1, identity=current, starts=starts, marks=dict(facts.marks))
